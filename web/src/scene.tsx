// A scene: mark what is missing, choose how to run, and see earlier runs.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { get, getBlob, post, put, remove } from './api';
import { Field, Picture, Trouble, go, useTask } from './common';
import { JobList } from './history';
import { MaskEditor } from './mask/editor';
import { MaskPainting, paintOfPicture } from './mask/strokes';
import { NO_SIDES, SIDES, type Sides, expansion, isWithinLimit } from './mask/view';
import { type Job, type JobRequest, type Offer, type Scene, hasMask, references, target } from './types';

export function ScenePage({ id }: { id: string }) {
  const [scene, setScene] = useState<Scene>();
  const [picture, setPicture] = useState<ImageBitmap>();
  const [jobs, setJobs] = useState<Job[]>([]);
  const [isMarked, setMarked] = useState(false);
  const [sides, setSides] = useState<Sides>(NO_SIDES);
  const [version, setVersion] = useState(0);
  const [saved, setSaved] = useState(0);
  const task = useTask();
  const painting = useMemo(() => picture && new MaskPainting(picture.width, picture.height), [picture]);

  useEffect(() => {
    task.run(async () => {
      const scene = await get<Scene>(`/v1/scenes/${id}`);
      setScene(scene);
      setPicture(await createImageBitmap(await getBlob(`/v1/scenes/${id}/previews/target`)));
      setJobs(await get<Job[]>(`/v1/jobs?scene=${id}`));
    });
  }, [id]);
  useEffect(() => {
    if (!painting || !scene || !hasMask(scene)) return;
    getBlob(`/v1/scenes/${id}/photos/mask`)
      .then((blob) => createImageBitmap(blob))
      .then((bitmap) => {
        painting.add({ kind: 'picture', picture: paintOfPicture(bitmap, painting.width, painting.height) });
        setMarked(true);
        setVersion(1);
        setSaved(1);
      })
      .catch(task.setError);
  }, [painting]);

  if (!scene || !picture || !painting) return <Trouble error={task.error} />;
  const photo = target(scene);
  const scale = photo.width / picture.width;
  const changed = () => {
    task.setError(undefined);
    setMarked(!painting.isEmpty());
    setVersion((version) => version + 1);
  };
  const start = (request: JobRequest) =>
    task.run(async () => {
      const expand = expansion(sides, scale);
      if (!isMarked && !expand && !scene.has_hole) throw new Error('Paint over what is missing first, or widen the photo.');
      if (version !== saved && isMarked) {
        setScene(await put<Scene>(`/v1/scenes/${id}/mask`, await painting.png(photo.width, photo.height)));
        setSaved(version);
      } else if (version !== saved && hasMask(scene)) {
        await remove(`/v1/scenes/${id}/mask`);
        setScene({ ...scene, photos: scene.photos.filter((photo) => photo.role !== 'mask') });
        setSaved(version);
      }
      const job = await post<Job>('/v1/jobs', { ...request, scene: id, expand });
      go(`/job/${job.id}`);
    });

  return (
    <div class="workspace">
      <div class="title">
        <h1>{scene.name}</h1>
        <p class="hint">
          {photo.width} × {photo.height} pixels. Paint over what is missing; draw a side of the frame out to widen the photo.
        </p>
      </div>
      <MaskEditor picture={picture} full={photo} painting={painting} sides={sides} setSides={setSides} changed={changed} say={task.setError} />
      <aside>
        <Trouble error={task.error} />
        <RunPanel busy={task.busy} start={start}>
          <Widen sides={sides} setSides={setSides} picture={picture} />
        </RunPanel>
        <section class="card">
          <h2>References</h2>
          <div class="thumbs small">
            {references(scene).map((reference) => (
              <figure class="thumb" key={reference.role}>
                <Picture href={`/v1/scenes/${id}/previews/${reference.role}`} alt={reference.name} />
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

/** The frame in numbers, for keys and exactness. */
function Widen({ sides, setSides, picture }: { sides: Sides; setSides: (sides: Sides) => void; picture: ImageBitmap }) {
  const length = (side: keyof Sides) => (side === 'left' || side === 'right' ? picture.width : picture.height);
  return (
    <fieldset>
      <legend>Widen, in % of the photo</legend>
      <div class="sides">
        {SIDES.map((side) => (
          <label key={side} class="field">
            <span>{side[0]!.toUpperCase() + side.slice(1)}</span>
            <input
              type="number"
              min="0"
              max="300"
              step="1"
              value={Math.round((100 * sides[side]) / length(side))}
              onChange={(event) => {
                const percent = Math.max(0, Number(event.currentTarget.value) || 0);
                const next = { ...sides, [side]: (percent / 100) * length(side) };
                if (isWithinLimit(next, picture)) setSides(next);
                else event.currentTarget.value = String(Math.round((100 * sides[side]) / length(side)));
              }}
            />
          </label>
        ))}
      </div>
      <small>The result may have four times the photo's area.</small>
    </fieldset>
  );
}

function RunPanel({ busy, start, children }: { busy: boolean; start: (request: JobRequest) => void; children: preact.ComponentChildren }) {
  const [models, setModels] = useState<Offer[]>([]);
  const [devices, setDevices] = useState<Offer[]>([]);
  useEffect(() => {
    get<Offer[]>('/v1/models').then(setModels, () => {});
    get<Offer[]>('/v1/devices').then(setDevices, () => {});
  }, []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? '');
    start({
      scene: '',
      preset: text('preset') as JobRequest['preset'],
      model: text('model') || undefined,
      device: text('device') || undefined,
      grow_mask: Number(text('grow_mask')) || undefined,
      strip: text('strip') as JobRequest['strip'],
      settings: { candidates: Number(text('candidates')), seed: Number(text('seed')) },
    });
  };
  return (
    <form class="card run" onSubmit={submit}>
      <h2>Run</h2>
      <Field label="Care" hint="How long the model learns about this scene.">
        <select name="preset">
          <option value="quick">Quick: minutes</option>
          <option value="thorough">Thorough: twelve times the tuning</option>
          <option value="paper">As published: hours without a GPU</option>
        </select>
      </Field>
      <Field label="Candidates">
        <input name="candidates" type="number" min="1" max="64" value="4" required />
      </Field>
      <details>
        <summary>More</summary>
        {children}
        <Field label="Model">
          <select name="model">
            {models.map((model) => (
              <option key={model.name} value={model.name} title={model.words}>
                {model.name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Device">
          <select name="device">
            {devices.map((device) => (
              <option key={device.name} value={device.name} title={device.words}>
                {device.name}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Grow the mask, in pixels" hint="Where it leaves a rim of what is to go.">
          <input name="grow_mask" type="number" min="0" max="1000" value="0" required />
        </Field>
        <Field label="First seed">
          <input name="seed" type="number" min="0" max="4294967295" value="0" required />
        </Field>
        <Field label="Leave out of the result">
          <select name="strip">
            <option value="nothing">nothing</option>
            <option value="gps">where it was taken</option>
            <option value="metadata">all metadata</option>
          </select>
        </Field>
      </details>
      <button type="submit" class="primary wide" disabled={busy}>
        {busy ? 'Starting…' : 'Run'}
      </button>
    </form>
  );
}
