// Where the photo lies in a widened result: what `vision::canvas` reckons, from the same words.

import type { JobRequest } from './types';

/** A part of the result, in shares of its sides. */
export interface Placed {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A frame's size and where the photo's corner lies in it, in pixels of the photo. */
export interface Frame {
  width: number;
  height: number;
  x: number;
  y: number;
}

export type Size = { width: number; height: number };

export function frameOf(request: JobRequest, photo: Size): Frame {
  return request.aspect ? ofShape(request.aspect, photo) : request.canvas ? ofCanvas(request.canvas) : ofSides(request.expand ?? '', photo);
}

export function placed(frame: Frame, photo: Size): Placed {
  return { left: frame.x / frame.width, top: frame.y / frame.height, width: photo.width / frame.width, height: photo.height / frame.height };
}

/** `left=20%,top=300px` */
function ofSides(words: string, { width, height }: Size): Frame {
  const sides = Object.fromEntries(words.split(',').map((part) => part.split('=').map((word) => word.trim())));
  const px = (side: string, length: number) => {
    const given: string = sides[side] ?? '0';
    return Math.round(given.endsWith('%') ? (length * parseFloat(given)) / 100 : parseFloat(given));
  };
  const [x, y] = [px('left', width), px('top', height)];
  return { width: x + width + px('right', width), height: y + height + px('bottom', height), x, y };
}

/** `16:9`: the smallest frame of that shape, the photo in its middle. */
function ofShape(words: string, { width, height }: Size): Frame {
  const [across = 1, down = 1] = words.split(':').map(Number);
  const wide = Math.max(width, Math.floor((height * across) / down));
  const tall = Math.max(height, Math.floor((width * down) / across));
  return { width: wide, height: tall, x: Math.floor((wide - width) / 2), y: Math.floor((tall - height) / 2) };
}

/** `3000x2000+400+0`; a negative place cuts the photo off. */
function ofCanvas(words: string): Frame {
  const [, width = 1, height = 1, x = 0, y = 0] = (/^(\d+)x(\d+)([+-]\d+)([+-]\d+)$/.exec(words) ?? []).map(Number);
  return { width, height, x, y };
}
