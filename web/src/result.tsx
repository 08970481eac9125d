// A finished job: the candidates with why they rank so, before and after, what is true and what is invented, and files.

import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import { get, getBlob } from './api';
import { Candidates } from './candidates';
import { Again, Trouble, duration, useTask } from './common';
import { Compare } from './compare';
import { Downloads, extension } from './downloads';
import { frameOf, placed } from './frame';
import { type Part, holeOf } from './hole';
import { More } from './more';
import { usePicture } from './pictures';
import { type Candidate, type Fidelity, type Job, type ResultFile, type Results, type Scene, target } from './types';

/** What browsers show. */
const SHOWN = ['jpg', 'png', 'webp', 'avif', 'bmp'];

export function ResultView({ job, scene }: { job: Job; scene: Scene }) {
  const [results, setResults] = useState<Results>();
  const [hole, setHole] = useState<Part>();
  const [rank, setRank] = useState(1);
  const [isFidelity, setFidelity] = useState(false);
  const task = useTask();
  useEffect(() => {
    task.run(async () => {
      const results = await get<Results>(`/v1/jobs/${job.id}/results`);
      const fidelity = fileOf(results, 'fidelity.json');
      if (fidelity) setHole(holeOf(await get<Fidelity>(fidelity.href)));
      setResults(results);
    });
  }, [job.id]);
  useArrows(rank, results?.candidates.length ?? 1, setRank);
  const fidelity = useFidelity(isFidelity ? fileOf(results, 'fidelity.png')?.href : undefined);
  const of = (rank: number) => results?.candidates.find((candidate) => candidate.rank === rank);
  const [candidate, ...neighbours] = [of(rank), of(rank + 1), of(rank - 1)];
  const next = neighbours.flatMap((candidate) => (candidate ? [shownPhoto(candidate)] : []));
  const after = usePicture(candidate && shownPhoto(candidate), next);
  const before = usePicture(beforePath(scene));
  if (!results || !candidate) return task.error ? <Trouble error={task.error} /> : <p role="status">Loading…</p>;
  const total = results.report.timings.reduce((sum, timing) => sum + timing.secs, 0);
  const frame = frameOf(job.request, target(scene));
  const seen = hole ?? { x: 0, y: 0, width: frame.width, height: frame.height };
  const middle = { x: (seen.x + seen.width / 2) / frame.width, y: (seen.y + seen.height / 2) / frame.height };
  const shown = results.candidates.find((candidate) => shownPhoto(candidate) === after.href)?.rank ?? rank;
  return (
    <div class="result">
      <section class="viewer">
        <Compare before={before.url} after={after.url} overlay={fidelity} place={placed(frame, target(scene))} middle={middle} label={`candidate ${shown}`}>
          {after.isLoading && (
            <span class="coming" role="status">
              Candidate {rank} is loading…
            </span>
          )}
        </Compare>
        <Missing what={`Candidate ${rank}`} error={after.error} retry={after.retry} />
        <Missing what="The photo before" error={before.error} retry={before.retry} />
        <div class="row under">
          {fileOf(results, 'fidelity.png') && (
            <label class="check">
              <input type="checkbox" checked={isFidelity} onChange={(event) => setFidelity(event.currentTarget.checked)} />
              Show what is supported
            </label>
          )}
          <span class="hint">
            {supported(results)} Took {duration(total)}.
          </span>
        </div>
        {isFidelity && <Legend count={scene.photos.filter((photo) => photo.role.startsWith('ref-')).length} />}
      </section>
      <aside>
        <section class="card">
          <h2>Candidates</h2>
          <Candidates candidates={results.candidates} rank={rank} pick={setRank} hole={hole} frame={frame} />
          <Why candidate={candidate} />
        </section>
        <section class="card">
          <h2>Download</h2>
          <Downloads job={job} candidate={candidate} results={results} scene={scene} say={task.setError} />
        </section>
        <More job={job} results={results} task={task} />
        <Trouble error={task.error} />
      </aside>
    </div>
  );
}

/** The keys left and right go through the candidates, but where they have another use. */
function useArrows(rank: number, count: number, pick: (rank: number) => void): void {
  useLayoutEffect(() => {
    const key = (event: KeyboardEvent) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const isTaken = event.target instanceof Element && event.target.closest('input, select, .scroller');
      if (!by || isTaken || event.ctrlKey || event.altKey || event.metaKey) return;
      const next = rank + by;
      if (next >= 1 && next <= count) pick(next);
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  });
}

function Missing({ what, error, retry }: { what: string; error: unknown; retry: () => void }) {
  if (!error) return null;
  return (
    <p class="trouble" role="alert">
      {what} did not come: {error instanceof Error ? error.message : String(error)} <Again act={retry} />
    </p>
  );
}

const fileOf = (results: Results | undefined, name: string): ResultFile | undefined => results?.files.find((file) => file.name === name);

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

const rounded = (value: number | null, digits: number): string => value?.toFixed(digits) ?? 'no number';

function Why({ candidate }: { candidate: Candidate }) {
  const rows: [string, string, string][] = [
    ['Points in common with the references', `${candidate.verified} (${Math.round(100 * candidate.correspondences)} %)`, 'More is better'],
    ['Step at the seam', rounded(candidate.seam, 2), 'About 1 cannot be seen'],
    ['Difference from what is trusted', rounded(candidate.guide, 4), 'Less is better'],
    ['Distance from the others', rounded(candidate.apart, 4), 'Less is more usual'],
  ];
  return (
    <table class="why">
      <caption>
        Why it is number {candidate.rank} <small>score {rounded(candidate.score, 3)}, seed {candidate.seed}</small>
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
