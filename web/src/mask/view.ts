// Where the picture lies on the screen: zoom and pan, and the frame around it.

export interface Sides {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export const NO_SIDES: Sides = { left: 0, top: 0, right: 0, bottom: 0 };

export type Side = keyof Sides;
export const SIDES: Side[] = ['left', 'top', 'right', 'bottom'];

/** Screen = scale · picture + offset, in CSS pixels. */
export interface View {
  scale: number;
  x: number;
  y: number;
}

const MARGIN = 28;

/** The whole frame in the middle of the stage. */
export function fitted(stage: { width: number; height: number }, picture: { width: number; height: number }, sides: Sides): View {
  const width = picture.width + sides.left + sides.right;
  const height = picture.height + sides.top + sides.bottom;
  const scale = Math.min((stage.width - 2 * MARGIN) / width, (stage.height - 2 * MARGIN) / height, 4);
  const x = (stage.width - scale * width) / 2 + scale * sides.left;
  const y = (stage.height - scale * height) / 2 + scale * sides.top;
  return { scale: Math.max(scale, 0.01), x, y };
}

/** Zoomed so that what is at a point of the screen stays there. */
export function zoomed(view: View, factor: number, at: { x: number; y: number }): View {
  const scale = Math.min(Math.max(view.scale * factor, 0.02), 32);
  const ratio = scale / view.scale;
  return { scale, x: at.x - ratio * (at.x - view.x), y: at.y - ratio * (at.y - view.y) };
}

export function toPicture(view: View, at: { x: number; y: number }): { x: number; y: number } {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/** How far outside the frame its handles are, so that the photo's edge can be painted. */
const OUTSIDE = 7;

/** Where the handle of a side is on the screen. */
export function handle(view: View, picture: { width: number; height: number }, sides: Sides, side: Side): { x: number; y: number } {
  const left = view.x - view.scale * sides.left - OUTSIDE;
  const top = view.y - view.scale * sides.top - OUTSIDE;
  const right = view.x + view.scale * (picture.width + sides.right) + OUTSIDE;
  const bottom = view.y + view.scale * (picture.height + sides.bottom) + OUTSIDE;
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  return { left: { x: left, y: middle.y }, right: { x: right, y: middle.y }, top: { x: middle.x, y: top }, bottom: { x: middle.x, y: bottom } }[side];
}

/** How far a point of the picture is out on a side; less than 0 where it is in the photo. */
export function sideAt(side: Side, at: { x: number; y: number }, picture: { width: number; height: number }): number {
  return { left: -at.x, top: -at.y, right: at.x - picture.width, bottom: at.y - picture.height }[side];
}

/** How many times the photo's area the frame may have. */
const MOST_AREA = 4;

/** Whether the frame is within the limit. */
export function isWithinLimit(sides: Sides, picture: { width: number; height: number }): boolean {
  const area = (picture.width + sides.left + sides.right) * (picture.height + sides.top + sides.bottom);
  return area <= MOST_AREA * picture.width * picture.height;
}

/** The length that a side is measured by. */
export const length = (side: Side, picture: { width: number; height: number }): number => (side === 'left' || side === 'right' ? picture.width : picture.height);

/** How far a side may be out at most, in whole percent of the photo, while the others stay. */
export function mostPercent(side: Side, sides: Sides, picture: { width: number; height: number }): number {
  const others = { ...sides, [side]: 0 };
  const [width, height] = [picture.width + others.left + others.right, picture.height + others.top + others.bottom];
  const [along, across] = side === 'left' || side === 'right' ? [width, height] : [height, width];
  const room = (MOST_AREA * picture.width * picture.height) / across - along;
  return Math.max(0, Math.floor((100 * room) / length(side, picture) + 1e-9));
}

/** `+5 % bottom, +20 % left`; nothing where the photo is not widened. */
export function inWords(sides: Sides, picture: { width: number; height: number }): string {
  const parts = SIDES.filter((side) => sides[side] >= 0.5).map((side) => `+${percent(sides[side], length(side, picture))} % ${side}`);
  return parts.join(', ');
}

const percent = (px: number, of: number): string => {
  const share = (100 * px) / of;
  return share < 1 ? share.toFixed(1) : String(Math.round(share));
};

/** The frame as the API takes it, in pixels of the photo; undefined where nothing is added. */
export function expansion(sides: Sides, scale: number): string | undefined {
  const parts = SIDES.map((side) => [side, Math.round(sides[side] * scale)] as const).filter(([, px]) => px > 0);
  return parts.length > 0 ? parts.map(([side, px]) => `${side}=${px}px`).join(',') : undefined;
}
