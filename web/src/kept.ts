// What one has chosen for a scene, kept until the tab is closed: the frame, and how to run.

import { NO_SIDES, SIDES, type Sides } from './mask/view';
import { type Size, frameOf } from './frame';
import type { Job, JobRequest } from './types';

export interface Choices {
  preset: NonNullable<JobRequest['preset']>;
  candidates: number;
  model: string;
  device: string;
  grow_mask: number;
  seed: number;
  strip: NonNullable<JobRequest['strip']>;
}

export interface Kept {
  sides: Sides;
  choices: Choices;
}

const DEFAULT: Choices = { preset: 'quick', candidates: 4, model: '', device: '', grow_mask: 0, seed: 0, strip: 'nothing' };

const key = (scene: string) => `realfill-scene-${scene}`;

/** From this tab, else as in the newest run that learnt anew. */
export function kept(scene: string, jobs: Job[], photo: Size, scale: number): Kept {
  const text = sessionStorage.getItem(key(scene));
  if (text) return JSON.parse(text) as Kept;
  const request = jobs.find((job) => !job.request.adapter_of)?.request;
  if (!request) return { sides: NO_SIDES, choices: DEFAULT };
  const { preset, model, device, grow_mask, strip, settings } = request;
  const given = { preset, model, device, grow_mask, strip, candidates: settings?.candidates, seed: settings?.seed };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { sides: sidesOf(request, photo, scale), choices: { ...DEFAULT, ...known } };
}

export function keep(scene: string, kept: Kept): void {
  sessionStorage.setItem(key(scene), JSON.stringify(kept));
}

/** How far a run has widened the photo, in pixels of the preview. */
function sidesOf(request: JobRequest, photo: Size, scale: number): Sides {
  if (!request.expand) return NO_SIDES;
  const { width, height, x, y } = frameOf(request, photo);
  const sides = { left: x, top: y, right: width - photo.width - x, bottom: height - photo.height - y };
  return Object.fromEntries(SIDES.map((side) => [side, sides[side] / scale])) as unknown as Sides;
}
