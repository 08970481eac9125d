// A finished job: the candidates with why they rank so, before and after, what is true and what is invented, and files.

import { useEffect, useState } from 'preact/hooks';
import { download, get, getBlob, post } from './api';
import { Field, Picture, Trouble, duration, go, size, usePicture, useTask } from './common';
import { Compare } from './compare';
import { placed } from './frame';
import { type Candidate, type Job, type ResultFile, type Results, type Scene, target } from './types';

/** What browsers show. */
const SHOWN = ['jpg', 'png', 'webp', 'avif', 'bmp'];

export function ResultView({ job, scene }: { job: Job; scene: Scene }) {
  const [results, setResults] = useState<Results>();
  const [rank, setRank] = useState(1);
  const [isFidelity, setFidelity] = useState(false);
  const task = useTask();
  useEffect(() => {
    task.run(async () => setResults(await get<Results>(`/v1/jobs/${job.id}/results`)));
  }, [job.id]);
  const fidelity = useFidelity(isFidelity ? fileOf(results, 'fidelity.png')?.href : undefined);
  const candidate = results?.candidates.find((candidate) => candidate.rank === rank);
  const after = usePicture(candidate && shownPhoto(candidate));
  const before = usePicture(beforePath(scene));
  if (!results || !candidate) return <Trouble error={task.error} />;
  const total = results.report.timings.reduce((sum, timing) => sum + timing.secs, 0);
  return (
    <div class="result">
      <section class="viewer">
        <Compare before={before} after={after} overlay={fidelity} place={placed(job.request, target(scene))} label={`candidate ${rank}`} />
        <div class="row under">
          {fileOf(results, 'fidelity.png') && (
            <label class="check">
              <input type="checkbox" checked={isFidelity} onChange={(event) => setFidelity(event.currentTarget.checked)} />
              Show what is supported
            </label>
          )}
          <span class="hint">{supported(results)} Took {duration(total)}.</span>
        </div>
        {isFidelity && <Legend count={scene.photos.filter((photo) => photo.role.startsWith('ref-')).length} />}
      </section>
      <aside>
        <section class="card">
          <h2>Candidates</h2>
          <ol class="candidates" aria-label="Candidates, best first">
            {results.candidates.map((one) => (
              <li key={one.rank}>
                <button type="button" aria-pressed={one.rank === rank} onClick={() => setRank(one.rank)}>
                  <Picture href={one.picture} alt={`Candidate ${one.rank}`} />
                  <span>
                    {one.rank}. {one.rank === 1 ? 'Best' : `Seed ${one.seed}`}
                  </span>
                </button>
              </li>
            ))}
          </ol>
          <Why candidate={candidate} />
        </section>
        <section class="card">
          <h2>Download</h2>
          <Downloads job={job} candidate={candidate} results={results} scene={scene} say={task.setError} />
        </section>
        <More job={job} results={results} run={task.run} busy={task.busy} />
        <Trouble error={task.error} />
      </aside>
    </div>
  );
}

const fileOf = (results: Results | undefined, name: string): ResultFile | undefined => results?.files.find((file) => file.name === name);
const extension = (href: string) => href.split('.').at(-1) ?? '';

/** The photo at its own size where the browser can show it, else the picture at working size. */
function shownPhoto(candidate: Candidate): string {
  return candidate.photo && SHOWN.includes(extension(candidate.photo)) ? candidate.photo : candidate.picture;
}

function beforePath(scene: Scene): string {
  const photo = target(scene);
  return SHOWN.includes(photo.extension) ? `/v1/scenes/${scene.id}/photos/target` : `/v1/scenes/${scene.id}/previews/target`;
}

function supported(results: Results): string {
  const percent = Math.round(100 * results.supported_share);
  if (!results.report.config.guide) return 'Nothing is checked against the references.';
  if (percent === 100) return 'All of the hole is supported by the references.';
  return `${percent} % of the hole is supported by the references; the rest is invented.`;
}

function Why({ candidate }: { candidate: Candidate }) {
  const rows: [string, string, string][] = [
    ['Points in common with the references', `${candidate.verified} (${Math.round(100 * candidate.correspondences)} %)`, 'More is better'],
    ['Step at the seam', candidate.seam.toFixed(2), 'About 1 cannot be seen'],
    ['Difference from what is trusted', candidate.guide.toFixed(4), 'Less is better'],
    ['Distance from the others', candidate.apart.toFixed(4), 'Less is more usual'],
  ];
  return (
    <table class="why">
      <caption>
        Why it is number {candidate.rank} <small>score {candidate.score.toFixed(3)}, seed {candidate.seed}</small>
      </caption>
      <tbody>
        {rows.map(([name, value, hint]) => (
          <tr key={name}>
            <th scope="row">
              {name}
              <small>{hint}</small>
            </th>
            <td>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Downloads({ job, candidate, results, scene, say }: { job: Job; candidate: Candidate; results: Results; scene: Scene; say: (error: unknown) => void }) {
  const stem = target(scene).name.replace(/\.[^.]*$/, '');
  const save = (href: string, name: string) => () => void download(href, name).catch(say);
  const photo = candidate.photo ?? candidate.picture;
  const words: Record<string, string> = { 'report.json': 'Report', 'sheet.png': 'All on one sheet', 'fidelity.png': 'Fidelity map', 'adapter.tar': 'Adapter' };
  const learnt = results.files.filter((file) => file.name.startsWith('adapter/')).reduce((sum, file) => sum + file.bytes, 0);
  const archive = { name: 'adapter.tar', bytes: learnt, href: `/v1/jobs/${job.id}/adapter.tar` };
  const others = [...results.files.filter((file) => file.name in words), ...(learnt > 0 ? [archive] : [])];
  return (
    <>
      <button type="button" class="primary wide" onClick={save(photo, `${stem}-completed.${extension(photo)}`)}>
        Photo
      </button>
      <ul class="files">
        {others.map((file) => (
          <li key={file.name}>
            <button type="button" class="link" onClick={save(file.href, `${stem}-${file.name}`)}>
              {words[file.name]}
            </button>
            <small>{size(file.bytes)}</small>
          </li>
        ))}
      </ul>
    </>
  );
}

/** More candidates from what was learnt, without learning again. */
function More({ job, results, run, busy }: { job: Job; results: Results; run: (task: () => Promise<void>) => void; busy: boolean }) {
  if (!job.request.adapter_of && !results.files.some((file) => file.name.startsWith('adapter/'))) return null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const candidates = Number(new FormData(event.currentTarget as HTMLFormElement).get('more'));
    const seed = 1 + Math.max(...results.candidates.map((candidate) => candidate.seed));
    const { expand, aspect, canvas, grow_mask, model, device, strip } = job.request;
    const request = { scene: job.scene, adapter_of: job.request.adapter_of ?? job.id, expand, aspect, canvas, grow_mask, model, device, strip, settings: { candidates, seed } };
    run(async () => go(`/job/${(await post<Job>('/v1/jobs', request)).id}`));
  };
  return (
    <form class="card" onSubmit={submit}>
      <h2>More candidates</h2>
      <Field label="How many" hint="From what was learnt, without learning again.">
        <input name="more" type="number" min="1" max="64" value="4" required />
      </Field>
      <button type="submit" disabled={busy} class="wide">
        Draw more
      </button>
    </form>
  );
}

const HUES = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9'];

function Legend({ count }: { count: number }) {
  return (
    <ul class="legend">
      {HUES.slice(0, count).map((hue, i) => (
        <li key={hue}>
          <Swatch colour={hue} /> reference {i + 1}
        </li>
      ))}
      <li>
        <Swatch colour="#d55e00" /> invented
      </li>
    </ul>
  );
}

const Swatch = ({ colour }: { colour: string }) => (
  <svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
    <rect width="10" height="10" rx="2" fill={colour} />
  </svg>
);

/** The fidelity map without its dark surroundings. */
function useFidelity(href: string | undefined): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    setUrl(undefined);
    if (!href) return;
    let made: string | undefined;
    let isOver = false;
    const make = async () => {
      const bitmap = await createImageBitmap(await getBlob(href));
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
      const context = canvas.getContext('2d')!;
      context.drawImage(bitmap, 0, 0);
      const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
      for (let i = 0; i < image.data.length; i += 4) {
        const isOutside = image.data[i] === 24 && image.data[i + 1] === 24 && image.data[i + 2] === 24;
        image.data[i + 3] = isOutside ? 0 : 190;
      }
      context.putImageData(image, 0, 0);
      const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
      if (blob && !isOver) setUrl((made = URL.createObjectURL(blob)));
    };
    make().catch(() => {});
    return () => {
      isOver = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [href]);
  return url;
}
