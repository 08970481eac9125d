// Before and after, one over the other, parted by a slider; at the size of the window or pixel by pixel.

import { useRef, useState } from 'preact/hooks';
import type { Placed } from './frame';

interface Props {
  before: string | undefined;
  after: string | undefined;
  overlay: string | undefined;
  place: Placed;
  label: string;
}

const percent = (share: number) => `${100 * share}%`;

export function Compare({ before, after, overlay, place, label }: Props) {
  const [share, setShare] = useState(50);
  const [isFull, setFull] = useState(false);
  const [width, setWidth] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const drag = (event: PointerEvent) => {
    if (event.type === 'pointerdown') box.current!.setPointerCapture(event.pointerId);
    else if (!box.current!.hasPointerCapture(event.pointerId)) return;
    const bounds = box.current!.getBoundingClientRect();
    setShare(Math.min(100, Math.max(0, (100 * (event.clientX - bounds.left)) / bounds.width)));
  };
  return (
    <>
      <div class={`compare ${isFull ? 'full' : ''}`}>
        <div class="layers" ref={box} onPointerDown={drag} onPointerMove={drag} style={isFull && width ? { width: `${width}px` } : {}}>
          {after ? <img class="after" src={after} alt={`The completed photo, ${label}`} draggable={false} onLoad={(event) => setWidth(event.currentTarget.naturalWidth)} /> : <span class="blank tall" />}
          {after && overlay && <img class="over" src={overlay} alt="What is supported by which reference, and what is invented" draggable={false} />}
          {after && before && (
            <div class="before" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
              <img src={before} alt="The photo before" draggable={false} style={{ left: percent(place.left), top: percent(place.top), width: percent(place.width), height: percent(place.height) }} />
            </div>
          )}
          {after && before && share > 14 && <span class="tag left">Before</span>}
          {after && before && share < 86 && <span class="tag right">After</span>}
          {after && before && <span class="divider" style={{ left: `${share}%` }} aria-hidden="true" />}
        </div>
      </div>
      <div class="row compare-controls">
        <label class="slider">
          <input type="range" min="0" max="100" step="0.5" value={share} aria-label="Share of the photo before that is shown" onInput={(event) => setShare(Number(event.currentTarget.value))} />
        </label>
        <button type="button" aria-pressed={isFull} onClick={() => setFull(!isFull)}>
          {isFull ? 'Fit' : '100 %'}
        </button>
      </div>
    </>
  );
}
