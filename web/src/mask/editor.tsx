// Marking what is missing: brush, eraser, rectangle and lasso with mouse, pen, fingers or keys, and a frame that can be
// drawn out to widen the photo.

import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { paintOverlay } from './overlay';
import { type MaskPainting, type Point, corners, paintOfPicture } from './strokes';
import { SIDES, type Side, type Sides, type View, fitted, handle, isWithinLimit, sideAt, toPicture, zoomed } from './view';

export type Tool = 'brush' | 'eraser' | 'rect' | 'lasso' | 'pan';

const TOOLS: { tool: Tool; label: string; key: string }[] = [
  { tool: 'brush', label: 'Brush', key: 'b' },
  { tool: 'eraser', label: 'Eraser', key: 'e' },
  { tool: 'rect', label: 'Rectangle', key: 'r' },
  { tool: 'lasso', label: 'Lasso', key: 'l' },
  { tool: 'pan', label: 'Move', key: 'h' },
];

interface Props {
  picture: ImageBitmap;
  /** The photo's own size, for messages. */
  full: { width: number; height: number };
  painting: MaskPainting;
  sides: Sides;
  setSides: (sides: Sides) => void;
  /** Called when the mask has changed. */
  changed: () => void;
  say: (error: unknown) => void;
}

type Drag = { kind: 'paint' } | { kind: 'shape' } | { kind: 'pan' } | { kind: 'side'; side: Side };
interface Finger {
  x: number;
  y: number;
}

export function MaskEditor({ picture, full, painting, sides, setSides, changed, say }: Props) {
  const stage = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [tool, setTool] = useState<Tool>('brush');
  const [brush, setBrush] = useState(Math.round(Math.max(picture.width, picture.height) / 24));
  const view = useRef<View>({ scale: 1, x: 0, y: 0 });
  const drag = useRef<Drag | undefined>(undefined);
  const shape = useRef<Point[]>([]);
  const fingers = useRef(new Map<number, Finger>());
  const cursor = useRef<Finger | undefined>(undefined);
  const space = useRef(false);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const frame = useRef(0);

  const draw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      if (!canvas.current || !stage.current) return;
      const isRound = tool === 'brush' || tool === 'eraser';
      paintOverlay(canvas.current, stage.current, {
        picture,
        mask: painting.canvas,
        view: view.current,
        sides,
        shape: shape.current,
        cursor: isRound && cursor.current ? { ...cursor.current, r: (brush / 2) * view.current.scale } : undefined,
      });
    });
  };
  const touched = () => {
    changed();
    redraw(undefined);
    draw();
  };
  const fit = () => {
    if (!stage.current) return;
    view.current = fitted(stage.current.getBoundingClientRect(), picture, sides);
    draw();
  };
  useEffect(() => {
    const watch = new ResizeObserver(fit);
    watch.observe(stage.current!);
    return () => watch.disconnect();
  }, [picture]);
  useEffect(() => {
    if (!drag.current) fit();
  }, [sides]);
  useEffect(draw);

  const at = (event: { clientX: number; clientY: number }): Finger => {
    const box = canvas.current?.getBoundingClientRect() ?? { left: 0, top: 0 };
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const point = (event: PointerEvent): Point => {
    const pressure = event.pointerType === 'pen' && event.pressure > 0 ? 0.3 + 0.7 * event.pressure : 1;
    return { ...toPicture(view.current, at(event)), r: (brush / 2) * pressure };
  };

  const down = (event: PointerEvent) => {
    canvas.current!.setPointerCapture(event.pointerId);
    canvas.current!.focus({ preventScroll: true });
    const here = at(event);
    fingers.current.set(event.pointerId, here);
    if (fingers.current.size === 2) return beginPinch();
    if (fingers.current.size > 2) return;
    const reach = event.pointerType === 'touch' ? 26 : 14;
    const side = SIDES.find((side) => distance(handle(view.current, picture, sides, side), here) < reach);
    if (side) drag.current = { kind: 'side', side };
    else if (tool === 'pan' || space.current || event.button === 1) drag.current = { kind: 'pan' };
    else if (event.button !== 0) return;
    else if (tool === 'rect' || tool === 'lasso') {
      shape.current = [point(event)];
      drag.current = { kind: 'shape' };
    } else {
      painting.add({ kind: 'stroke', erase: tool === 'eraser', points: [point(event)] });
      drag.current = { kind: 'paint' };
    }
    draw();
  };
  /** A second finger: what the first one began was no stroke. */
  const beginPinch = () => {
    if (drag.current?.kind === 'paint') painting.drop();
    shape.current = [];
    drag.current = undefined;
    draw();
  };
  const move = (event: PointerEvent) => {
    const here = at(event);
    cursor.current = event.pointerType === 'touch' ? undefined : here;
    const before = fingers.current.get(event.pointerId);
    if (!before) return draw();
    if (fingers.current.size === 2) pinch(event.pointerId, before, here);
    fingers.current.set(event.pointerId, here);
    if (fingers.current.size > 1) return draw();
    switch (drag.current?.kind) {
      case 'paint':
        (event.getCoalescedEvents?.() ?? [event]).forEach((piece) => painting.extend(point(piece)));
        break;
      case 'shape':
        if (tool === 'lasso') shape.current.push(point(event));
        else shape.current = corners(shape.current[0]!, point(event));
        break;
      case 'pan':
        view.current = { ...view.current, x: view.current.x + here.x - before.x, y: view.current.y + here.y - before.y };
        break;
      case 'side': {
        const side = drag.current.side;
        const next = { ...sides, [side]: sideAt(side, toPicture(view.current, here), picture) };
        if (isWithinLimit(next, picture)) setSides(next);
        break;
      }
    }
    draw();
  };
  const pinch = (id: number, before: Finger, here: Finger) => {
    const other = [...fingers.current].find(([known]) => known !== id)![1];
    const factor = distance(here, other) / Math.max(1, distance(before, other));
    const middle = { x: (here.x + other.x) / 2, y: (here.y + other.y) / 2 };
    const moved = { x: (here.x - before.x) / 2, y: (here.y - before.y) / 2 };
    view.current = zoomed({ ...view.current, x: view.current.x + moved.x, y: view.current.y + moved.y }, factor, middle);
  };
  const up = (event: PointerEvent) => {
    fingers.current.delete(event.pointerId);
    if (drag.current?.kind === 'shape' && shape.current.length > 2) painting.add({ kind: tool === 'lasso' ? 'lasso' : 'rect', erase: event.altKey, points: shape.current });
    const didWiden = drag.current?.kind === 'side';
    const didPaint = drag.current?.kind === 'paint' || drag.current?.kind === 'shape';
    shape.current = [];
    drag.current = undefined;
    if (didPaint) touched();
    else if (didWiden) fit();
    else draw();
  };
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    view.current = zoomed(view.current, Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), at(event));
    draw();
  };
  useEffect(() => {
    const surface = canvas.current!;
    surface.addEventListener('wheel', wheel, { passive: false });
    return () => surface.removeEventListener('wheel', wheel);
  });

  const undo = () => (painting.undo(), touched());
  const redo = () => (painting.redo(), touched());
  const invert = () => (painting.add({ kind: 'invert' }), touched());
  const clear = () => (painting.add({ kind: 'clear' }), touched());
  const zoomBy = (factor: number) => {
    const box = stage.current!.getBoundingClientRect();
    view.current = zoomed(view.current, factor, { x: box.width / 2, y: box.height / 2 });
    draw();
  };
  /** Arrow keys move the brush, Enter dabs. */
  const step = (dx: number, dy: number, far: boolean) => {
    const box = stage.current!.getBoundingClientRect();
    const length = far ? 40 : 8;
    const from = cursor.current ?? { x: box.width / 2, y: box.height / 2 };
    cursor.current = { x: clamp(from.x + dx * length, 0, box.width), y: clamp(from.y + dy * length, 0, box.height) };
    draw();
  };
  const dab = () => {
    if (!cursor.current || (tool !== 'brush' && tool !== 'eraser')) return;
    painting.add({ kind: 'stroke', erase: tool === 'eraser', points: [{ ...toPicture(view.current, cursor.current), r: brush / 2 }] });
    touched();
  };
  const resizeBrush = (factor: number) => setBrush(clamp(Math.round(brush * factor), 2, 600));
  const key = (event: KeyboardEvent) => {
    const command = event.ctrlKey || event.metaKey;
    const name = event.key.toLowerCase();
    const chosen = TOOLS.find((known) => known.key === name);
    const actions: Record<string, () => void> = {
      arrowleft: () => step(-1, 0, event.shiftKey),
      arrowright: () => step(1, 0, event.shiftKey),
      arrowup: () => step(0, -1, event.shiftKey),
      arrowdown: () => step(0, 1, event.shiftKey),
      enter: dab,
      ' ': () => void (space.current = true),
      '[': () => resizeBrush(1 / 1.2),
      ']': () => resizeBrush(1.2),
      '+': () => zoomBy(1.25),
      '-': () => zoomBy(0.8),
      '0': fit,
      i: invert,
    };
    if (command && name === 'z') event.shiftKey ? redo() : undo();
    else if (command && name === 'y') redo();
    else if (command) return;
    else if (chosen) setTool(chosen.tool);
    else if (actions[name]) actions[name]();
    else return;
    event.preventDefault();
  };

  const takeFile = async (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const file = input.files?.[0];
    input.value = '';
    if (!file) return;
    const bitmap = await createImageBitmap(file).catch(() => undefined);
    if (!bitmap) return say('This browser cannot read that mask. Save it as PNG.');
    if (bitmap.width !== full.width || bitmap.height !== full.height) {
      return say(`The mask is ${bitmap.width}×${bitmap.height} but the photo is ${full.width}×${full.height}. Export the mask at the photo's size.`);
    }
    say(undefined);
    painting.add({ kind: 'picture', picture: paintOfPicture(bitmap, painting.width, painting.height) });
    touched();
  };

  return (
    <div class="editor" onKeyUp={(event) => event.key === ' ' && (space.current = false)}>
      <div class="tools" role="toolbar" aria-label="Mask tools">
        <div class="group" role="group" aria-label="Tool">
          {TOOLS.map(({ tool: one, label, key }) => (
            <button type="button" key={one} aria-pressed={tool === one} title={`${label} (${key.toUpperCase()})`} onClick={() => setTool(one)}>
              {label}
            </button>
          ))}
        </div>
        <label class="size">
          <span>Size</span>
          <input type="range" min="2" max="600" value={brush} onInput={(event) => setBrush(Number(event.currentTarget.value))} />
        </label>
        <div class="group">
          <button type="button" onClick={undo} disabled={!painting.canUndo} title="Undo (Ctrl+Z)">
            Undo
          </button>
          <button type="button" onClick={redo} disabled={!painting.canRedo} title="Redo (Ctrl+Shift+Z)">
            Redo
          </button>
          <button type="button" onClick={invert} title="Invert (I)">
            Invert
          </button>
          <button type="button" onClick={clear}>
            Clear
          </button>
        </div>
        <div class="group">
          <button type="button" onClick={() => zoomBy(0.8)} aria-label="Zoom out" title="Zoom out (-)">
            −
          </button>
          <button type="button" onClick={fit} title="Fit (0)">
            Fit
          </button>
          <button type="button" onClick={() => zoomBy(1.25)} aria-label="Zoom in" title="Zoom in (+)">
            +
          </button>
        </div>
        <label class="button file">
          <input type="file" accept="image/*" onChange={takeFile} />
          Mask file
        </label>
      </div>
      <div class="stage" ref={stage}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label="The photo: paint over what is missing. Arrow keys move the brush, Enter paints, square brackets change its size."
          data-tool={tool}
          onPointerDown={down}
          onPointerMove={move}
          onPointerUp={up}
          onPointerCancel={up}
          onPointerLeave={() => ((cursor.current = undefined), draw())}
          onKeyDown={key}
        />
      </div>
    </div>
  );
}

const distance = (a: Finger, b: Finger) => Math.hypot(a.x - b.x, a.y - b.y);
const clamp = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most);
