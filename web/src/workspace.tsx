// Where a scene is worked on: mark what is missing, choose how to run, and see earlier runs.

import { useLayoutEffect, useMemo, useReducer, useState } from 'preact/hooks';
import { Picture, Trouble, useCreation, useTask, useTitle } from './common';
import { JobList } from './history';
import { type Choices, keep, kept } from './kept';
import { MaskEditor } from './mask/editor';
import { Saver, type Saving } from './mask/saving';
import { MaskPainting } from './mask/strokes';
import { expansion } from './mask/view';
import { RunPanel } from './run';
import type { Loaded } from './scene';
import { type Job, type Scene, references, target } from './types';
import { Widen } from './widen';

const SAVING: Record<Saving, string> = { saved: '', unsaved: 'The mask is not saved yet.', saving: 'The mask is being saved.' };

export function Workspace({ scene, picture, jobs, mask, isShown }: Loaded) {
  const photo = target(scene);
  const scale = photo.width / picture.width;
  const begun = useMemo(() => kept(scene.id, jobs, photo, scale), []);
  const [choices, setChoices] = useState(begun.choices);
  const painting = useMemo(() => new MaskPainting(picture.width, picture.height, mask, begun.sides), []);
  const { saver, saving, error } = useSaver(scene, painting);
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const task = useTask();
  const create = useCreation<Job>('/v1/jobs');
  useTitle(scene.name);

  const changed = () => {
    if (saver.isOver) return; // a mask file was read after the scene was left
    task.setError(undefined);
    saver.changed();
    keep(scene.id, { sides: painting.sides, choices });
    redraw(undefined);
  };
  const choose = (changed: Partial<Choices>) =>
    setChoices((before) => {
      const choices = { ...before, ...changed };
      keep(scene.id, { sides: painting.sides, choices });
      return choices;
    });
  const start = () =>
    task.run(async () => {
      const { preset, model, device, grow_mask, strip, candidates, seed } = choices;
      const expand = expansion(painting.sides, scale);
      await saver.flush();
      if (saver.isOver) return;
      if (!saver.marksSomething && !expand && !scene.has_hole) throw new Error('Paint over what is missing first, or widen the photo.');
      const settings = { candidates, seed };
      const request = { scene: scene.id, preset, model: model || undefined, device: device || undefined, grow_mask: grow_mask || undefined, strip, expand, settings };
      task.go(`/job/${(await create([JSON.stringify(request), painting.state], () => request)).id}`);
    });

  return (
    <div class="workspace">
      <div class="title">
        <h1>{scene.name}</h1>
        <p class="hint">
          {photo.width} × {photo.height} pixels. Paint over what is missing; draw the frame out by its handles to widen the photo.
        </p>
      </div>
      <div>
        <MaskEditor picture={picture} full={photo} painting={painting} changed={changed} say={task.setError} />
        <p class="hint saving">{isShown ? SAVING[saving] : `${SAVING[saving]} This browser cannot show the mask that the scene has; it is used unless another is painted.`}</p>
      </div>
      <aside>
        <Trouble error={task.error ?? error} />
        <RunPanel choices={choices} choose={choose} busy={task.busy} start={start}>
          <Widen
            sides={painting.sides}
            picture={picture}
            setSides={(sides) => {
              painting.add({ kind: 'frame', sides });
              changed();
            }}
          />
        </RunPanel>
        <section class="card">
          <h2>References</h2>
          <div class="thumbs small">
            {references(scene).map((reference) => (
              <figure class="thumb" key={reference.role}>
                <Picture href={`/v1/scenes/${scene.id}/previews/${reference.role}`} alt={reference.name} />
              </figure>
            ))}
          </div>
        </section>
        {jobs.length > 0 && (
          <section class="card">
            <h2>Earlier runs</h2>
            <JobList jobs={jobs} />
          </section>
        )}
      </aside>
    </div>
  );
}

/** Saves what is painted a moment later, when the tab is put away, and when the page is left; warns while it is not saved. A layout effect, since that of others ends only after the next page was painted. */
function useSaver(scene: Scene, painting: MaskPainting): { saver: Saver; saving: Saving; error?: unknown } {
  const [{ saving, error }, tell] = useState<{ saving: Saving; error?: unknown }>({ saving: 'saved' });
  const saver = useMemo(() => new Saver(scene, target(scene), painting, (saving, error) => tell({ saving, error })), []);
  useLayoutEffect(() => {
    const flush = () => void saver.flush().catch(() => {});
    const leave = (event: BeforeUnloadEvent) => {
      if (saver.isSaved) return;
      event.preventDefault();
      flush();
    };
    const hide = () => document.hidden && flush();
    addEventListener('beforeunload', leave);
    document.addEventListener('visibilitychange', hide);
    return () => {
      removeEventListener('beforeunload', leave);
      document.removeEventListener('visibilitychange', hide);
      saver.leave().catch(() => {});
    };
  }, []);
  return { saver, saving, error };
}
