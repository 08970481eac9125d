// A job at work: stage, remaining time, the loss, and what can be seen already.

import { Picture, duration } from './common';
import { STAGES, type Told, stageIndex } from './story';
import type { Job } from './types';

interface Props {
  job: Job;
  story: Told;
  /** Whether the server is not heard at the moment. */
  isLost: boolean;
  busy: boolean;
  cancel: () => void;
  resume: () => void;
}

export function Progress({ job, story, isLost, busy, cancel, resume }: Props) {
  const isOn = job.state === 'waiting' || job.state === 'running';
  return (
    <div class="progress-page">
      <section class="card">
        <p class="now" role="status">
          {isLost && isOn ? 'Connection lost, trying again…' : sentence(job, story)}
        </p>
        {job.state === 'running' && <p class="hint remaining">{isLost || !story.remaining ? '\u00a0' : `About ${duration(story.remaining)} of this step left.`}</p>}
        {job.state === 'running' && <progress max={Math.max(story.steps, 1)} value={story.step} aria-label="This stage" />}
        <Stages job={job} story={story} />
        <div class="row">
          {isOn && (
            <button type="button" onClick={cancel} disabled={busy || job.stopping}>
              {job.stopping ? 'Stopping after this step…' : 'Stop'}
            </button>
          )}
          {(job.state === 'stopped' || job.state === 'failed') && (
            <button type="button" class="primary" onClick={resume} disabled={busy}>
              {job.state === 'stopped' ? 'Resume' : 'Try again'}
            </button>
          )}
        </div>
      </section>
      {story.losses.length > 1 && <LossCurve losses={story.losses} />}
      {story.previews.length > 0 && (
        <section class="card">
          <h2>So far</h2>
          <div class="previews">
            {story.previews.map((name) => (
              <figure key={name}>
                <Picture href={`/v1/jobs/${job.id}/previews/${name}`} alt={name === 'guide' ? 'What the references propose' : `Candidate with seed ${name}`} soon={isOn} />
                <figcaption>{name === 'guide' ? 'What the references propose' : `Seed ${name}`}</figcaption>
              </figure>
            ))}
          </div>
        </section>
      )}
      {story.notes.length > 0 && (
        <section class="card">
          <h2>Notes</h2>
          <ul class="notes">
            {story.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function sentence(job: Job, story: Told): string {
  switch (job.state) {
    case 'waiting':
      return job.ahead ? `${job.ahead} ${job.ahead === 1 ? 'run comes' : 'runs come'} first.` : 'It begins in a moment.';
    case 'stopped':
      return story.hasBegun ? 'What was done is kept. It can go on from there.' : 'It had not begun.';
    case 'failed':
      return job.error ?? 'The server does not say why.';
    default:
      return STAGES[stageIndex(story.stage)]?.title ?? 'Read the photos';
  }
}

function Stages({ job, story }: { job: Job; story: Told }) {
  const current = job.state === 'running' ? stageIndex(story.stage) : -1;
  const reached = Math.max(-1, ...story.stages.map(stageIndex));
  return (
    <ol class="stages">
      {STAGES.map(({ title }, i) => (
        <li key={title} class={i === current ? 'current' : i <= reached ? 'past' : ''} aria-current={i === current ? 'step' : undefined}>
          {title}
        </li>
      ))}
    </ol>
  );
}

const [WIDTH, HEIGHT, PAD] = [640, 150, 6];

/** The loss a step, and its running mean, which is what can be read. */
function LossCurve({ losses }: { losses: [number, number][] }) {
  const last = losses.at(-1)!;
  const most = Math.max(...losses.map(([, loss]) => loss));
  const first = losses[0]![0];
  const x = (step: number) => PAD + ((WIDTH - 2 * PAD) * (step - first)) / Math.max(1, last[0] - first);
  const y = (loss: number) => HEIGHT - PAD - ((HEIGHT - 2 * PAD) * loss) / most;
  const path = (points: [number, number][]) => points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(' ');
  let mean = losses[0]![1];
  const means = losses.map(([step, loss]): [number, number] => [step, (mean = 0.9 * mean + 0.1 * loss)]);
  return (
    <section class="card">
      <h2>
        Loss <small>step {last[0]}, {last[1].toPrecision(3)}, on average {mean.toPrecision(3)}</small>
      </h2>
      <svg class="curve" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`The training loss over ${losses.length} steps`}>
        <polyline class="raw" points={path(losses)} />
        <polyline class="mean" points={path(means)} />
      </svg>
    </section>
  );
}
