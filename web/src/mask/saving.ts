// Keeps the mask on the server: a moment after each change, and when the page is left.

import { Refused, put, remove } from '../api';
import type { Scene } from '../types';
import { maskToSend } from './png';
import type { MaskPainting } from './strokes';

/** Between the last change and saving it, and between two tries. */
const [PAUSE_MS, RETRY_MS] = [1500, 5000];

/** Whether it may pass: no answer, too slow, too much at a time, or a fault of the server or of a proxy before it. */
const passes = (error: unknown): boolean => error instanceof Refused && ([0, 408, 429].includes(error.status) || error.status >= 500);

const pause = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS));

/** What is being saved, by scene: a scene that is opened again at once waits for it. */
const underWay = new Map<string, Promise<void>>();

/** Who waits for that, by scene, and hears why it takes so long. */
export const waiting = new Map<string, (error: unknown) => void>();

/** Warns before the tab is closed while something is being saved. */
const warn = (event: BeforeUnloadEvent) => event.preventDefault();

function begin(scene: string, saving: Promise<void>): void {
  underWay.set(scene, saving);
  addEventListener('beforeunload', warn);
}

function end(scene: string): void {
  underWay.delete(scene);
  if (underWay.size === 0) removeEventListener('beforeunload', warn);
}

export async function settled(scene: string): Promise<void> {
  await underWay.get(scene)?.catch(() => {});
}

export type Saving = 'saved' | 'unsaved' | 'saving';

export class Saver {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isLeft = false;
  private kept;
  private hasMask: boolean;

  constructor(
    private readonly scene: Scene,
    private readonly full: { width: number; height: number },
    private readonly painting: MaskPainting,
    private readonly tell: (saving: Saving, error?: unknown) => void,
  ) {
    this.kept = painting.state;
    this.hasMask = scene.photos.some((photo) => photo.role === 'mask');
  }

  get isSaved(): boolean {
    return this.painting.state === this.kept;
  }

  /** Whether the mask was left: what waited for it is not wanted any more. */
  get isOver(): boolean {
    return this.isLeft;
  }

  /** Whether the server has a mask, once all is saved. */
  get marksSomething(): boolean {
    return this.hasMask;
  }

  /** Saves in a moment, unless more changes until then. */
  changed(): void {
    clearTimeout(this.timer);
    this.tell(this.isSaved ? 'saved' : 'unsaved');
    if (!this.isSaved) this.timer = setTimeout(() => this.flush().catch(() => {}), PAUSE_MS);
  }

  /** Saves what is left to save, for the last time: from now on the mask may be another's. While what keeps it from the server may pass, it stays under way. */
  leave(): Promise<void> {
    this.isLeft = true;
    return this.flush();
  }

  /** Saves now what is not saved yet. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    const { id } = this.scene;
    const known = underWay.get(id);
    if (known) return known;
    if (this.isSaved) return Promise.resolve();
    const saving = this.save().finally(() => end(id));
    begin(id, saving);
    return saving;
  }

  private async save(): Promise<void> {
    while (!this.isSaved) {
      try {
        await this.saveOnce();
      } catch (error) {
        this.tell('unsaved', error);
        if (!passes(error)) throw error;
        if (!this.isLeft) {
          this.timer = setTimeout(() => this.flush().catch(() => {}), RETRY_MS);
          throw error;
        }
        waiting.get(this.scene.id)?.(error);
        await pause();
      }
    }
    this.tell('saved');
  }

  private async saveOnce(): Promise<void> {
    this.tell('saving');
    const { state } = this.painting;
    await this.send();
    this.kept = state;
  }

  private async send(): Promise<void> {
    const path = `/v1/scenes/${this.scene.id}/mask`;
    const { start, acts } = this.painting.recipe;
    switch (start && acts.length === 0 ? 'some' : this.painting.content()) {
      case 'everything':
        throw new Error('The whole photo is marked, so nothing known is left to go by. Leave what is to stay.');
      case 'nothing':
        if (this.hasMask) await remove(path).catch((error: unknown) => isGone(error) || Promise.reject(error));
        this.hasMask = false;
        break;
      default:
        await put<Scene>(path, await maskToSend(this.painting, this.full));
        this.hasMask = true;
    }
  }
}

const isGone = (error: unknown): boolean => error instanceof Refused && error.status === 404;
