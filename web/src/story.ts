// What a job has told so far, as one picture of it.

import type { JobEvent } from './types';

export interface Told {
  /** Whether a worker has ever had it. */
  hasBegun: boolean;
  stage: string;
  step: number;
  steps: number;
  remaining: number | undefined;
  /** Stages that have begun, in order. */
  stages: string[];
  /** [step, loss]; a resumed job tells some steps again, and the later telling counts. */
  losses: [number, number][];
  /** Names of previews, newest last: `guide` or a seed. */
  previews: string[];
  notes: string[];
}

export const nothingTold = (): Told => ({ hasBegun: false, stage: '', step: 0, steps: 0, remaining: undefined, stages: [], losses: [], previews: [], notes: [] });

export function told(story: Told, event: JobEvent): Told {
  switch (event.event) {
    case 'state':
      return event.state === 'running' ? { ...story, hasBegun: true, stage: '', stages: [], notes: [], remaining: undefined } : story;
    case 'stage':
      return { ...story, stage: event.stage, step: 0, steps: event.steps, remaining: undefined, stages: [...story.stages, event.stage] };
    case 'progress':
      return { ...story, step: event.step, remaining: event.remaining_secs ?? undefined, losses: withLoss(story.losses, event.step, event.loss) };
    case 'note':
      return { ...story, notes: [...story.notes, event.text] };
    case 'preview': {
      const name = event.seed === undefined ? 'guide' : String(event.seed);
      return { ...story, previews: [...story.previews.filter((other) => other !== name), name] };
    }
  }
}

function withLoss(losses: [number, number][], step: number, loss: number | null | undefined): [number, number][] {
  if (typeof loss !== 'number') return losses;
  return [...losses.filter(([other]) => other < step), [step, loss]];
}

/** The stages as people know them; several of the program's make one. */
export const STAGES: { title: string; of: string[] }[] = [
  { title: 'Find the place in the references', of: ['guide', 'guide the references'] },
  { title: 'Learn the scene', of: ['tune', 'measure'] },
  { title: 'Draw candidates', of: ['sample'] },
  { title: 'Put together', of: ['composite'] },
];

/** Which of them a stage belongs to; -1 before the first. The second guide comes after the first, so order alone tells. */
export function stageIndex(stage: string): number {
  return STAGES.findIndex(({ of }) => of.includes(stage));
}
