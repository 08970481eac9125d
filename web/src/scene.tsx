// A scene: what is there of it is fetched before anything can be painted.

import { useEffect, useState } from 'preact/hooks';
import { get, getBlob } from './api';
import { Pending, useTask } from './common';
import { type MaskFile, maskFile, unshown } from './mask/file';
import { settled, waiting } from './mask/saving';
import { type Job, type Scene, hasMask } from './types';
import { Workspace } from './workspace';

export interface Loaded {
  scene: Scene;
  picture: ImageBitmap;
  jobs: Job[];
  /** The mask that is there, and whether this browser can show it. */
  mask: MaskFile | undefined;
  isShown: boolean;
}

export function ScenePage({ id }: { id: string }) {
  const [loaded, setLoaded] = useState<Loaded>();
  const task = useTask();
  useEffect(() => {
    task.run(async () => {
      waiting.set(id, task.setError);
      await settled(id);
      waiting.delete(id);
      task.setError(undefined);
      setLoaded(await load(id));
    });
  }, [id]);
  return loaded ? <Workspace {...loaded} /> : <Pending title="Scene" error={task.error} />;
}

async function load(id: string): Promise<Loaded> {
  const scene = await get<Scene>(`/v1/scenes/${id}`);
  const [preview, jobs, file] = await Promise.all([
    getBlob(`/v1/scenes/${id}/previews/target`),
    get<Job[]>(`/v1/jobs?scene=${id}`),
    hasMask(scene) ? getBlob(`/v1/scenes/${id}/photos/mask`) : undefined,
  ]);
  const picture = await createImageBitmap(preview);
  if (!file) return { scene, picture, jobs, mask: undefined, isShown: true };
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  const mask = bitmap ? maskFile(file, bitmap, picture.width, picture.height) : unshown(file);
  bitmap?.close();
  return { scene, picture, jobs, mask, isShown: bitmap !== undefined };
}
