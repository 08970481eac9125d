// The candidates in small pictures of the hole, best first.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { Picture } from './common';
import type { Frame } from './frame';
import { type Part, surroundings } from './hole';
import type { Candidate } from './types';

interface Props {
  candidates: Candidate[];
  rank: number;
  pick: (rank: number) => void;
  hole: Part | undefined;
  frame: Frame;
}

export function Candidates({ candidates, rank, pick, hole, frame }: Props) {
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    const isHere = list.current!.contains(document.activeElement); // the focus goes along with the arrow keys
    if (isHere) list.current!.querySelector<HTMLElement>('[aria-pressed=true]')?.focus();
  }, [rank]);
  const part = hole && surroundings(hole, frame);
  return (
    <ol class="candidates" aria-label="Candidates, best first" ref={list}>
      {candidates.map((one) => (
        <li key={one.rank}>
          <button type="button" aria-pressed={one.rank === rank} onClick={() => pick(one.rank)}>
            <span class="crop" style={part ? { aspectRatio: `${part.width} / ${part.height}` } : {}}>
              <span style={part ? cut(part, frame) : {}}>
                <Picture href={one.picture} alt={`Candidate ${one.rank}`} plain />
              </span>
            </span>
            <span>
              {one.rank}. {one.rank === 1 ? 'Best' : `Seed ${one.seed}`}
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}

/** Lays a picture of the whole result so that this part fills what is around it. */
function cut(part: Part, frame: Frame): Record<string, string> {
  const percent = (share: number) => `${100 * share}%`;
  return {
    position: 'absolute',
    left: percent(-part.x / part.width),
    top: percent(-part.y / part.height),
    width: percent(frame.width / part.width),
    height: percent(frame.height / part.height),
  };
}
