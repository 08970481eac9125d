// The mask and the frame as a list of what was done, so that undo is exact: everything is painted anew without the last.

import { type MaskFile, PAINT } from './file';
import { SIDES, type Sides } from './view';

export interface Point {
  x: number;
  y: number;
  /** Radius in pixels of the preview. */
  r: number;
}

export type Act =
  | { kind: 'stroke'; erase: boolean; points: Point[] }
  | { kind: 'rect' | 'lasso'; erase: boolean; points: Point[] }
  | { kind: 'invert' }
  | { kind: 'clear' }
  | { kind: 'picture'; mask: MaskFile }
  | { kind: 'frame'; sides: Sides };

/** What is marked, at the preview's size. */
export type Content = 'nothing' | 'some' | 'everything';

export class MaskPainting {
  readonly canvas: HTMLCanvasElement;
  private acts: Act[] = [];
  private undone: Act[] = [];
  /** What was undone before the last act, should that be dropped. */
  private spared: Act[] = [];

  /** `base` is the mask that there is already, and `frame` how far the photo is widened already: no undo takes them back. */
  constructor(
    readonly width: number,
    readonly height: number,
    readonly base: MaskFile | undefined,
    private readonly frame: Sides,
  ) {
    this.canvas = document.createElement('canvas');
    [this.canvas.width, this.canvas.height] = [width, height];
    this.repaint();
  }

  get canUndo(): boolean {
    return this.acts.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  get sides(): Sides {
    return this.acts.findLast((act) => act.kind === 'frame')?.sides ?? this.frame;
  }

  /** Tells one state of the mask from every other: the last act that changed it. */
  get state(): Act | undefined {
    return this.acts.findLast((act) => act.kind !== 'frame');
  }

  /** What makes the mask: where it starts from, and what was done since. */
  get recipe(): { start: MaskFile | undefined; acts: Act[] } {
    const last = this.acts.findLastIndex((act) => act.kind === 'clear' || act.kind === 'picture');
    const act = this.acts[last];
    const start = act ? (act.kind === 'picture' ? act.mask : undefined) : this.base;
    return { start, acts: this.acts.slice(last + 1).filter((act) => act.kind !== 'frame') };
  }

  add(act: Act): void {
    this.acts.push(act);
    [this.spared, this.undone] = [this.undone, []];
    paintAct(this.context(), act, this);
  }

  /** Paints more of a stroke that was added last. */
  extend(point: Point): void {
    const act = this.acts.at(-1);
    if (act?.kind !== 'stroke') return;
    const before = act.points.at(-1);
    act.points.push(point);
    paintAct(this.context(), { ...act, points: before ? [before, point] : [point] }, this);
  }

  /** Draws a frame further that was added last. */
  reframe(sides: Sides): void {
    const act = this.acts.at(-1);
    if (act?.kind === 'frame') act.sides = sides;
  }

  /** Whether the frame that was added last is as it was before. */
  get isFrameIdle(): boolean {
    const last = this.acts.at(-1);
    const before = this.acts.slice(0, -1).findLast((act) => act.kind === 'frame')?.sides ?? this.frame;
    return last?.kind === 'frame' && SIDES.every((side) => last.sides[side] === before[side]);
  }

  /** Ends a stroke: what was saved while it was drawn is another state. */
  finish(): void {
    const act = this.acts.pop();
    if (act) this.acts.push({ ...act });
  }

  /** Takes back the last act and forgets it: a stroke that turned out to be a pinch. */
  drop(): void {
    this.acts.pop();
    this.undone = this.spared;
    this.repaint();
  }

  undo(): void {
    const act = this.acts.pop();
    if (act) this.undone.push(act);
    this.repaint();
  }

  redo(): void {
    const act = this.undone.pop();
    if (!act) return;
    this.acts.push(act);
    paintAct(this.context(), act, this);
  }

  content(): Content {
    const { data } = this.context().getImageData(0, 0, this.width, this.height);
    let [painted, known] = [false, false];
    for (let i = 3; i < data.length && !(painted && known); i += 4) {
      if (data[i]! >= 128) painted = true;
      else known = true;
    }
    return !painted ? 'nothing' : known ? 'some' : 'everything';
  }

  private context(): CanvasRenderingContext2D {
    return this.canvas.getContext('2d', { willReadFrequently: true })!;
  }

  private repaint(): void {
    const context = this.context();
    context.clearRect(0, 0, this.width, this.height);
    if (this.base) context.drawImage(this.base.paint, 0, 0);
    this.acts.forEach((act) => paintAct(context, act, this));
  }
}

/** Paints one act onto a mask of the preview's size, or onto a larger one that the context scales to it. */
export function paintAct(context: CanvasRenderingContext2D, act: Act, { width, height }: { width: number; height: number }): void {
  context.save();
  context.fillStyle = context.strokeStyle = PAINT;
  switch (act.kind) {
    case 'frame':
      break;
    case 'clear':
      context.clearRect(0, 0, width, height);
      break;
    case 'invert':
      context.globalCompositeOperation = 'source-out';
      context.fillRect(0, 0, width, height);
      break;
    case 'picture':
      context.clearRect(0, 0, width, height);
      context.drawImage(act.mask.paint, 0, 0);
      break;
    default:
      if (act.erase) context.globalCompositeOperation = 'destination-out';
      if (act.kind === 'stroke') paintStroke(context, act.points);
      else paintShape(context, act.points);
  }
  context.restore();
}

/** Discs joined by lines; a line has the width of its end. */
function paintStroke(context: CanvasRenderingContext2D, points: Point[]): void {
  points.forEach((point, i) => {
    context.beginPath();
    context.arc(point.x, point.y, point.r, 0, 2 * Math.PI);
    context.fill();
    const before = points[i - 1];
    if (!before) return;
    context.beginPath();
    context.lineWidth = 2 * point.r;
    context.moveTo(before.x, before.y);
    context.lineTo(point.x, point.y);
    context.stroke();
  });
}

function paintShape(context: CanvasRenderingContext2D, points: Point[]): void {
  context.beginPath();
  points.forEach((point) => context.lineTo(point.x, point.y));
  context.closePath();
  context.fill();
}

/** The corners of the rectangle between two points. */
export function corners(a: Point, b: Point): Point[] {
  return [a, { ...a, x: b.x }, b, { ...a, y: b.y }];
}
