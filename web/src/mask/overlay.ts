// Draws the editor's stage: the frame, the photo in it, the mask over the photo, and the brush.

import type { Point } from './strokes';
import { SIDES, type Sides, type View, handle } from './view';

export interface Shown {
  picture: ImageBitmap;
  mask: HTMLCanvasElement;
  view: View;
  sides: Sides;
  /** A rectangle or lasso in the making, in pixels of the preview. */
  shape: Point[];
  /** The brush on the screen. */
  cursor: { x: number; y: number; r: number } | undefined;
}

const ACCENT = '#2b8c86';

export function paintOverlay(canvas: HTMLCanvasElement, stage: HTMLElement, shown: Shown): void {
  const ratio = devicePixelRatio || 1;
  const { width, height } = stage.getBoundingClientRect();
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext('2d')!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const { picture, view, sides } = shown;
  const box = {
    x: view.x - view.scale * sides.left,
    y: view.y - view.scale * sides.top,
    width: view.scale * (picture.width + sides.left + sides.right),
    height: view.scale * (picture.height + sides.top + sides.bottom),
  };
  paintHatching(context, box);
  context.imageSmoothingEnabled = view.scale < 3;
  const [width2, height2] = [view.scale * picture.width, view.scale * picture.height];
  context.drawImage(picture, view.x, view.y, width2, height2);
  context.globalAlpha = 0.62;
  context.drawImage(shown.mask, view.x, view.y, width2, height2);
  context.globalAlpha = 1;
  paintFrame(context, box, shown);
  paintShape(context, shown);
  if (shown.cursor) paintBrush(context, shown.cursor);
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What will be new around the photo. */
function paintHatching(context: CanvasRenderingContext2D, box: Box): void {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.fillStyle = 'rgba(226, 59, 90, 0.28)';
  context.fillRect(box.x, box.y, box.width, box.height);
  context.strokeStyle = 'rgba(226, 59, 90, 0.55)';
  context.lineWidth = 1.5;
  context.beginPath();
  for (let offset = -box.height; offset < box.width; offset += 12) {
    context.moveTo(box.x + offset, box.y + box.height);
    context.lineTo(box.x + offset + box.height, box.y);
  }
  context.stroke();
  context.restore();
}

function paintFrame(context: CanvasRenderingContext2D, box: Box, { view, picture, sides }: Shown): void {
  context.strokeStyle = ACCENT;
  context.lineWidth = 1.5;
  context.strokeRect(box.x - 0.75, box.y - 0.75, box.width + 1.5, box.height + 1.5);
  for (const side of SIDES) {
    const at = handle(view, picture, sides, side);
    const isUpright = side === 'left' || side === 'right';
    const [w, h] = isUpright ? [8, 34] : [34, 8];
    context.beginPath();
    context.roundRect(at.x - w / 2, at.y - h / 2, w, h, 4);
    context.fillStyle = ACCENT;
    context.fill();
    context.strokeStyle = '#fff';
    context.stroke();
  }
}

function paintShape(context: CanvasRenderingContext2D, { shape, view }: Shown): void {
  if (shape.length < 2) return;
  context.beginPath();
  shape.forEach((point) => context.lineTo(view.x + view.scale * point.x, view.y + view.scale * point.y));
  context.closePath();
  context.fillStyle = 'rgba(226, 59, 90, 0.35)';
  context.fill();
  outline(context);
}

function paintBrush(context: CanvasRenderingContext2D, { x, y, r }: { x: number; y: number; r: number }): void {
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  outline(context);
}

/** Seen on light and dark. */
function outline(context: CanvasRenderingContext2D): void {
  context.lineWidth = 3;
  context.strokeStyle = 'rgba(0, 0, 0, 0.6)';
  context.stroke();
  context.lineWidth = 1.25;
  context.strokeStyle = '#fff';
  context.stroke();
}
