// Marking what is missing: brush, eraser, rectangle and lasso with mouse, pen, fingers or keys, and a frame that can be
// drawn out to widen the photo.

import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';
import { maskFile } from './file';
import { paintOverlay } from './overlay';
import { type MaskPainting, type Point, corners } from './strokes';
import { LEAST_BRUSH, MOST_BRUSH, TOOLS, type Tool, Toolbar } from './tools';
import { NO_SIDES, SIDES, type Side, type View, fitted, handle, inWords, isWithinLimit, sideAt, toPicture, zoomed } from './view';

interface Props {
  picture: ImageBitmap;
  /** The photo's own size, for messages. */
  full: { width: number; height: number };
  painting: MaskPainting;
  /** Called when the mask or the frame has changed. */
  changed: () => void;
  say: (error: unknown) => void;
}

type Drag = { kind: 'paint'; at: number; way: number } | { kind: 'shape' } | { kind: 'pan' } | { kind: 'side'; side: Side; slack: number };
interface Finger {
  x: number;
  y: number;
}

/** A second finger that comes so soon, after so short a way on the screen, means that the first was to pinch. */
const [PINCH_MS, PINCH_PX] = [250, 12];

/** How long the brush is shown in the middle after its size has changed. */
const SHOWN_MS = 1200;

export function MaskEditor({ picture, full, painting, changed, say }: Props) {
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
  const isSizing = useRef(false);
  const sizing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const frame = useRef(0);
  const { sides } = painting;

  /** Where the brush is shown: under the pointer, or in the middle while its size changes. */
  const brushAt = (): Finger | undefined => {
    const isRound = tool === 'brush' || tool === 'eraser';
    if (isSizing.current) return middle();
    return isRound ? cursor.current : undefined;
  };
  const draw = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => {
      if (!canvas.current || !stage.current) return;
      const at = brushAt();
      paintOverlay(canvas.current, stage.current, {
        picture,
        mask: painting.canvas,
        view: view.current,
        sides: painting.sides,
        shape: shape.current,
        cursor: at && { ...at, r: (brush / 2) * view.current.scale },
      });
    });
  };
  const touched = () => {
    changed();
    redraw(undefined);
    draw();
  };
  const middle = (): Finger => {
    const box = stage.current!.getBoundingClientRect();
    return { x: box.width / 2, y: box.height / 2 };
  };
  const fit = () => {
    if (!stage.current) return;
    view.current = fitted(stage.current.getBoundingClientRect(), picture, painting.sides);
    draw();
  };
  useLayoutEffect(() => {
    const watch = new ResizeObserver(fit);
    watch.observe(stage.current!);
    return () => watch.disconnect();
  }, [picture]);
  useLayoutEffect(() => {
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
  /** The side whose handle is here: on the picture only the Move tool takes them, so that a stroke may begin at its edge. */
  const sideUnder = (here: Finger, pointer: string): Side | undefined => {
    const { x, y } = toPicture(view.current, here);
    const isOnPicture = x >= 0 && y >= 0 && x <= picture.width && y <= picture.height;
    if (isOnPicture && tool !== 'pan') return undefined;
    const reach = pointer === 'touch' ? 26 : 14;
    return SIDES.find((side) => distance(handle(view.current, picture, painting.sides, side), here) < reach);
  };

  const down = (event: PointerEvent) => {
    canvas.current!.setPointerCapture(event.pointerId);
    canvas.current!.focus({ preventScroll: true });
    const here = at(event);
    fingers.current.set(event.pointerId, here);
    if (fingers.current.size === 2) return beginPinch(event);
    if (fingers.current.size > 2) return;
    const side = sideUnder(here, event.pointerType);
    if (side) {
      const slack = sideAt(side, toPicture(view.current, here), picture) - painting.sides[side];
      painting.add({ kind: 'frame', sides: painting.sides });
      drag.current = { kind: 'side', side, slack };
    } else if (tool === 'pan' || space.current || event.button === 1) drag.current = { kind: 'pan' };
    else if (event.button !== 0) return;
    else if (tool === 'rect' || tool === 'lasso') {
      shape.current = [point(event)];
      drag.current = { kind: 'shape' };
    } else {
      painting.add({ kind: 'stroke', erase: tool === 'eraser', points: [point(event)] });
      drag.current = { kind: 'paint', at: event.timeStamp, way: 0 };
    }
    draw();
  };
  /** A second finger ends what the first has begun; right after its touch it was no stroke at all. */
  const beginPinch = (event: PointerEvent) => {
    const begun = drag.current;
    const isTouch = begun?.kind === 'paint' && event.timeStamp - begun.at < PINCH_MS && begun.way < PINCH_PX;
    if (isTouch) painting.drop();
    if (isTouch || begun?.kind === 'shape') drag.current = undefined;
    endDrag();
  };
  const move = (event: PointerEvent) => {
    const here = at(event);
    cursor.current = event.pointerType === 'touch' ? undefined : here;
    const before = fingers.current.get(event.pointerId);
    if (!before) {
      canvas.current!.dataset.side = sideUnder(here, event.pointerType) ?? '';
      return draw();
    }
    if (fingers.current.size === 2) pinch(event.pointerId, before, here);
    fingers.current.set(event.pointerId, here);
    if (fingers.current.size > 1) return draw();
    switch (drag.current?.kind) {
      case 'paint':
        drag.current.way += distance(before, here);
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
        const { side, slack } = drag.current;
        const out = sideAt(side, toPicture(view.current, here), picture) - slack;
        const next = { ...painting.sides, [side]: Math.max(0, out) };
        if (isWithinLimit(next, picture)) painting.reframe(next);
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
    if (drag.current?.kind === 'shape' && shape.current.length > 2) {
      painting.add({ kind: tool === 'lasso' ? 'lasso' : 'rect', erase: event.altKey, points: shape.current });
    } else if (drag.current?.kind === 'shape') drag.current = undefined;
    endDrag();
  };
  const endDrag = () => {
    const ended = drag.current?.kind;
    shape.current = [];
    drag.current = undefined;
    if (ended === 'paint') painting.finish();
    if (ended === 'side' && painting.isFrameIdle) painting.drop();
    if (ended && ended !== 'pan') touched();
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
  const unframe = () => (painting.add({ kind: 'frame', sides: NO_SIDES }), touched());
  const zoomBy = (factor: number) => {
    view.current = zoomed(view.current, factor, middle());
    draw();
  };
  /** Arrow keys move the brush, Enter dabs. */
  const step = (dx: number, dy: number, far: boolean) => {
    const box = stage.current!.getBoundingClientRect();
    const length = far ? 40 : 8;
    const from = cursor.current ?? middle();
    cursor.current = { x: clamp(from.x + dx * length, 0, box.width), y: clamp(from.y + dy * length, 0, box.height) };
    draw();
  };
  const dab = () => {
    if (!cursor.current || (tool !== 'brush' && tool !== 'eraser')) return;
    painting.add({ kind: 'stroke', erase: tool === 'eraser', points: [{ ...toPicture(view.current, cursor.current), r: brush / 2 }] });
    touched();
  };
  const resizeBrush = (size: number) => {
    setBrush(clamp(Math.round(size), LEAST_BRUSH, MOST_BRUSH));
    if (cursor.current) return;
    isSizing.current = true;
    clearTimeout(sizing.current);
    sizing.current = setTimeout(() => ((isSizing.current = false), draw()), SHOWN_MS);
  };
  const key = (event: KeyboardEvent) => {
    const name = event.key.toLowerCase();
    const isOfTheBrowser = event.ctrlKey || event.metaKey || (event.altKey && !'[]'.includes(name)); // with Alt some keyboards have brackets
    if (isOfTheBrowser) return;
    const chosen = TOOLS.find((known) => known.key === name);
    const actions: Record<string, () => void> = {
      arrowleft: () => step(-1, 0, event.shiftKey),
      arrowright: () => step(1, 0, event.shiftKey),
      arrowup: () => step(0, -1, event.shiftKey),
      arrowdown: () => step(0, 1, event.shiftKey),
      enter: dab,
      ' ': () => void (space.current = true),
      '[': () => resizeBrush(brush / 1.2),
      ']': () => resizeBrush(brush * 1.2),
      '+': () => zoomBy(1.25),
      '-': () => zoomBy(0.8),
      '0': fit,
      i: invert,
    };
    if (chosen) setTool(chosen.tool);
    else if (actions[name]) actions[name]();
    else return;
    event.preventDefault();
  };
  /** Undo and redo wherever the focus is, but where one types. */
  const command = (event: KeyboardEvent) => {
    const name = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || !['z', 'y'].includes(name) || isTyping(event.target) || drag.current) return;
    event.preventDefault();
    if (name === 'y' || event.shiftKey) redo();
    else undo();
  };
  useEffect(() => {
    addEventListener('keydown', command);
    return () => removeEventListener('keydown', command);
  });

  const takeFile = async (file: File | undefined) => {
    if (!file) return;
    const bitmap = await createImageBitmap(file).catch(() => undefined);
    if (!bitmap) return say(`This browser cannot read ${file.name} as a mask. Save it as PNG.`);
    if (bitmap.width !== full.width || bitmap.height !== full.height) {
      return say(`${file.name} is ${bitmap.width}×${bitmap.height} but the photo is ${full.width}×${full.height}. Export the mask at the photo's size.`);
    }
    painting.add({ kind: 'picture', mask: maskFile(file, bitmap, painting.width, painting.height) });
    bitmap.close();
    touched();
  };
  const drop = (event: DragEvent) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    void takeFile(files[0]).then(() => files.length > 1 && say(`A mask is one file. Only ${files[0]!.name} was taken.`));
  };
  useEffect(() => {
    addEventListener('drop', drop); // anywhere on the page: nothing else takes files here
    return () => removeEventListener('drop', drop);
  });

  const widened = inWords(sides, picture);
  return (
    <div class="editor" onKeyUp={(event) => event.key === ' ' && (space.current = false)}>
      <Toolbar
        {...{ tool, setTool, brush, undo, redo, invert, clear, zoomBy, fit }}
        setBrush={resizeBrush}
        canUndo={painting.canUndo}
        canRedo={painting.canRedo}
        takeFile={(file) => void takeFile(file)}
      />
      <div class="frame-line" role="status">
        {widened && (
          <>
            <span>Frame: {widened}</span>
            <button type="button" class="link" onClick={unframe}>
              Reset the frame
            </button>
          </>
        )}
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
const isTyping = (target: EventTarget | null) => target instanceof HTMLInputElement && ['number', 'text', 'password'].includes(target.type);
