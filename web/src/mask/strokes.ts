// The mask as a list of what was done, so that undo is exact: everything is painted anew without the last.

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
  | { kind: 'picture'; picture: HTMLCanvasElement };

/** Any opaque colour: what is painted is missing. */
const PAINT = '#e23b5a';

export class MaskPainting {
  readonly canvas: HTMLCanvasElement;
  private acts: Act[] = [];
  private undone: Act[] = [];

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.canvas = document.createElement('canvas');
    this.canvas.width = width;
    this.canvas.height = height;
  }

  get canUndo(): boolean {
    return this.acts.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** How much was done; changes with every act, undo and redo. */
  get length(): number {
    return this.acts.length;
  }

  add(act: Act): void {
    this.acts.push(act);
    this.undone = [];
    this.paint(act);
  }

  /** Paints more of a stroke that was added last. */
  extend(point: Point): void {
    const act = this.acts.at(-1);
    if (act?.kind !== 'stroke') return;
    const before = act.points.at(-1);
    act.points.push(point);
    this.paint({ kind: 'stroke', erase: act.erase, points: before ? [before, point] : [point] });
  }

  /** Takes back the last act and forgets it: a stroke that turned out to be a pinch. */
  drop(): void {
    this.acts.pop();
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
    this.paint(act);
  }

  isEmpty(): boolean {
    const { data } = this.context().getImageData(0, 0, this.width, this.height);
    for (let i = 3; i < data.length; i += 4) if (data[i]! >= 128) return false;
    return true;
  }

  /** White on black at another size, as the server wants it. */
  async png(width: number, height: number): Promise<Blob> {
    const full = document.createElement('canvas');
    [full.width, full.height] = [width, height];
    const context = full.getContext('2d')!;
    context.drawImage(this.canvas, 0, 0, width, height);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = '#000';
    context.fillRect(0, 0, width, height);
    return new Promise((resolve, reject) => full.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The mask is too large for this browser.'))), 'image/png'));
  }

  private context(): CanvasRenderingContext2D {
    return this.canvas.getContext('2d', { willReadFrequently: true })!;
  }

  private repaint(): void {
    this.context().clearRect(0, 0, this.width, this.height);
    this.acts.forEach((act) => this.paint(act));
  }

  private paint(act: Act): void {
    const context = this.context();
    context.save();
    context.fillStyle = context.strokeStyle = PAINT;
    switch (act.kind) {
      case 'clear':
        context.clearRect(0, 0, this.width, this.height);
        break;
      case 'invert':
        context.globalCompositeOperation = 'source-out';
        context.fillRect(0, 0, this.width, this.height);
        break;
      case 'picture':
        context.clearRect(0, 0, this.width, this.height);
        context.drawImage(act.picture, 0, 0);
        break;
      default:
        if (act.erase) context.globalCompositeOperation = 'destination-out';
        if (act.kind === 'stroke') paintStroke(context, act.points);
        else paintShape(context, act.points);
    }
    context.restore();
  }
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

/** A mask picture (white = missing; with transparency, what is painted) as paint at the preview's size. */
export function paintOfPicture(bitmap: ImageBitmap, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  const { data } = image;
  const paint = [0xe2, 0x3b, 0x5a];
  for (let i = 0; i < data.length; i += 4) {
    const white = 0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!;
    const isPainted = (white * data[i + 3]!) / 255 >= 128;
    data.set(paint, i);
    data[i + 3] = isPainted ? 255 : 0;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
