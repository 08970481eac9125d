// Where in the result the hole is: to begin there at full size, and to show it in small pictures.

import type { Fidelity } from './types';
import type { Frame } from './frame';

/** A part of the result, in pixels of it. */
export interface Part {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function holeOf({ regions }: Fidelity): Part | undefined {
  if (regions.length === 0) return undefined;
  const [x, y] = [Math.min(...regions.map((region) => region.x)), Math.min(...regions.map((region) => region.y))];
  const right = Math.max(...regions.map((region) => region.x + region.width));
  const bottom = Math.max(...regions.map((region) => region.y + region.height));
  return { x, y, width: right - x, height: bottom - y };
}

/** How much of a hole is shown around it. */
const MARGIN = 0.3;

/** Width over height of a small picture. */
const SHAPE = 4 / 3;

/** The hole with some of what lies around it, in a shape that goes with others, within the result. */
export function surroundings(hole: Part, frame: Frame): Part {
  let [width, height] = [hole.width * (1 + 2 * MARGIN), hole.height * (1 + 2 * MARGIN)];
  width = Math.min(Math.max(width, height * SHAPE), frame.width);
  height = Math.min(Math.max(height, width / SHAPE), frame.height);
  const within = (middle: number, length: number, most: number) => Math.min(Math.max(middle - length / 2, 0), most - length);
  return { x: within(hole.x + hole.width / 2, width, frame.width), y: within(hole.y + hole.height / 2, height, frame.height), width, height };
}
