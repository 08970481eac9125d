// The API's answers, as /openapi.json describes them.

export interface ScenePhoto {
  role: string;
  name: string;
  width: number;
  height: number;
  bytes: number;
  extension: string;
}

export interface Scene {
  id: string;
  name: string;
  created: number;
  has_hole: boolean;
  photos: ScenePhoto[];
}

export type JobState = 'waiting' | 'running' | 'stopped' | 'done' | 'failed';

export interface JobRequest {
  scene: string;
  preset?: 'quick' | 'thorough' | 'paper';
  model?: string;
  device?: string;
  expand?: string;
  aspect?: string;
  canvas?: string;
  grow_mask?: number;
  adapter_of?: string;
  mask_of?: string;
  strip?: 'nothing' | 'gps' | 'metadata';
  /** As a settings file; the page itself sends these two. */
  settings?: { candidates?: number; seed?: number; [name: string]: unknown };
}

export interface Standing {
  stage: string;
  step: number;
  steps: number;
  remaining_secs?: number;
  loss?: number;
}

export interface Job {
  id: string;
  scene: string;
  state: JobState;
  stopping: boolean;
  created: number;
  changed: number;
  request: JobRequest;
  error?: string;
  ahead?: number;
  progress?: Standing;
}

export interface Candidate {
  rank: number;
  seed: number;
  /** Null, as `seam`, `guide` and `apart`, where the model drew no numbers. */
  score: number | null;
  correspondences: number;
  verified: number;
  seam: number | null;
  guide: number | null;
  apart: number | null;
  picture: string;
  photo: string | null;
}

export interface ResultFile {
  name: string;
  bytes: number;
  href: string;
}

export interface Results {
  completed: string;
  supported_share: number;
  candidates: Candidate[];
  files: ResultFile[];
  report: { config: { guide: boolean }; timings: { stage: string; secs: number }[] };
}

/** `fidelity.json`; places in pixels of the result. */
export interface Fidelity {
  regions: { x: number; y: number; width: number; height: number }[];
}

export interface Offer {
  name: string;
  words: string;
}

export type JobEvent = { at: number } & (
  | { event: 'state'; state: JobState; error?: string }
  | { event: 'stage'; stage: string; steps: number }
  | { event: 'progress'; step: number; loss?: number | null; remaining_secs?: number }
  | { event: 'note'; text: string }
  | { event: 'preview'; seed?: number }
);

export const target = (scene: Scene): ScenePhoto => scene.photos.find((photo) => photo.role === 'target')!;
export const references = (scene: Scene): ScenePhoto[] => scene.photos.filter((photo) => photo.role.startsWith('ref-'));
export const hasMask = (scene: Scene): boolean => scene.photos.some((photo) => photo.role === 'mask');
