// Before and after, one over the other, parted by a slider; at the size of the window or pixel by pixel.

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { Placed } from './frame';

interface Props {
  before: string | undefined;
  after: string | undefined;
  overlay: string | undefined;
  place: Placed;
  /** The middle of what is looked at first at full size, in shares of the result. */
  middle: { x: number; y: number };
  label: string;
  /** Lies over the picture: what is said of it. */
  children?: ComponentChildren;
}

const percent = (share: number) => `${100 * share}%`;

export function Compare({ before, after, overlay, place, middle, label, children }: Props) {
  const [share, setShare] = useState(50);
  const [isFull, setFull] = useState(false);
  const [width, setWidth] = useState(0);
  const view = useRef<HTMLDivElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const part = useRef<HTMLDivElement>(null);
  const isWhole = Boolean(after && before);
  const isSized = width > 0;

  /** The divider has its place in what is seen, so the part before ends elsewhere with every scroll. */
  const clip = () => {
    const { scrollLeft, clientWidth } = scroller.current!;
    const end = isFull ? `calc(100% - ${scrollLeft + (share / 100) * clientWidth}px)` : `${100 - share}%`;
    if (part.current) part.current.style.clipPath = `inset(0 ${end} 0 0)`;
  };
  useLayoutEffect(clip);
  useLayoutEffect(() => {
    const seen = scroller.current!;
    if (isFull) seen.scrollTo(middle.x * seen.scrollWidth - seen.clientWidth / 2, middle.y * seen.scrollHeight - seen.clientHeight / 2);
    clip();
  }, [isFull, isSized]);

  const slide = (event: PointerEvent) => {
    const { left, width } = view.current!.getBoundingClientRect();
    setShare(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
  };
  return (
    <>
      <div class="compare">
        <div class={`view ${isFull ? 'full' : ''}`} ref={view}>
          <Scroller isFull={isFull} scroller={scroller} slide={slide} scrolled={clip}>
            <div class="layers" style={{ width: isFull && width ? `${width / devicePixelRatio}px` : '' }}>
              {after ? <img class="after" src={after} alt={`The completed photo, ${label}`} draggable={false} onLoad={(event) => setWidth(event.currentTarget.naturalWidth)} /> : <span class="blank tall" />}
              {after && overlay && <img class="over" src={overlay} alt="What is supported by which reference, and what is invented" draggable={false} />}
              {isWhole && (
                <div class="before" ref={part}>
                  <img src={before} alt="The photo before" draggable={false} style={{ left: percent(place.left), top: percent(place.top), width: percent(place.width), height: percent(place.height) }} />
                </div>
              )}
            </div>
          </Scroller>
          {isWhole && share > 14 && <span class="tag left">Before</span>}
          {isWhole && share < 86 && <span class="tag right">After</span>}
          {isWhole && <Divider share={share} slide={slide} />}
          {children}
        </div>
      </div>
      <div class="row compare-controls">
        <label class="slider">
          <input type="range" min="0" max="100" step="0.5" value={share} aria-label="Share of the photo before that is shown" onInput={(event) => setShare(Number(event.currentTarget.value))} />
        </label>
        <button type="button" aria-pressed={isFull} disabled={!after} onClick={() => setFull(!isFull)}>
          {isFull ? 'Fit' : '100 %'}
        </button>
      </div>
    </>
  );
}

interface ScrollerProps {
  isFull: boolean;
  scroller: { current: HTMLDivElement | null };
  slide: (event: PointerEvent) => void;
  scrolled: () => void;
  children: ComponentChildren;
}

/** Fitted, the pointer moves the divider wherever it is; at full size it moves the picture, as fingers do by themselves. */
function Scroller({ isFull, scroller, slide, scrolled, children }: ScrollerProps) {
  const last = useRef({ x: 0, y: 0 });
  const drag = (event: PointerEvent) => {
    const box = event.currentTarget as HTMLDivElement;
    if (event.type === 'pointerdown' && !(isFull && event.pointerType === 'touch')) box.setPointerCapture(event.pointerId);
    else if (!box.hasPointerCapture(event.pointerId)) return;
    if (!isFull) slide(event);
    else if (event.type === 'pointermove') box.scrollBy(last.current.x - event.clientX, last.current.y - event.clientY);
    last.current = { x: event.clientX, y: event.clientY };
  };
  const reach = isFull ? { tabIndex: 0, role: 'region' as const, 'aria-label': 'The photo at full size, to be scrolled' } : {};
  return (
    <div class="scroller" ref={scroller} onPointerDown={drag} onPointerMove={drag} onScroll={scrolled} {...reach}>
      {children}
    </div>
  );
}

function Divider({ share, slide }: { share: number; slide: (event: PointerEvent) => void }) {
  const drag = (event: PointerEvent) => {
    const handle = event.currentTarget as HTMLElement;
    if (event.type === 'pointerdown') handle.setPointerCapture(event.pointerId);
    else if (handle.hasPointerCapture(event.pointerId)) slide(event);
  };
  return (
    <span class="divider" style={{ left: `${share}%` }} aria-hidden="true">
      <span class="knob" onPointerDown={drag} onPointerMove={drag} />
    </span>
  );
}
