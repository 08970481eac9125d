// Past scenes: opened again, or deleted with everything that was made from them.

import { useEffect, useRef, useState } from 'preact/hooks';
import { get, remove } from './api';
import { Picture, Trouble, useTask, useTitle, when } from './common';
import { Sure } from './sure';
import { type Job, type Scene, references } from './types';

export function History() {
  const [scenes, setScenes] = useState<Scene[]>();
  const [jobs, setJobs] = useState<Job[]>([]);
  const task = useTask();
  const heading = useRef<HTMLHeadingElement>(null);
  useTitle('History');
  useEffect(() => {
    task.run(async () => {
      const [scenes, jobs] = await Promise.all([get<Scene[]>('/v1/scenes'), get<Job[]>('/v1/jobs')]);
      setJobs(jobs);
      setScenes(scenes);
    });
  }, []);
  const forget = (scene: Scene) =>
    task.run(async () => {
      await remove(`/v1/scenes/${scene.id}`);
      setScenes((before) => before?.filter((other) => other.id !== scene.id));
      heading.current?.focus();
    });
  return (
    <div class="narrow">
      <h1 ref={heading} tabIndex={-1}>
        History
      </h1>
      <Trouble error={task.error} />
      {!scenes && !task.error && <p role="status">Loading…</p>}
      {scenes?.length === 0 && (
        <p>
          Nothing yet. <a href="#/">Complete a photo</a>
        </p>
      )}
      <ul class="history">
        {scenes?.map((scene) => (
          <Entry key={scene.id} scene={scene} jobs={jobs.filter((job) => job.scene === scene.id)} busy={task.busy} forget={() => forget(scene)} />
        ))}
      </ul>
    </div>
  );
}

function Entry({ scene, jobs, busy, forget }: { scene: Scene; jobs: Job[]; busy: boolean; forget: () => void }) {
  const count = references(scene).length;
  return (
    <li class="card entry">
      <a href={`#/scene/${scene.id}`} class="entry-picture" tabIndex={-1} aria-hidden="true">
        <Picture href={`/v1/scenes/${scene.id}/previews/target`} alt="" plain />
      </a>
      <div>
        <h2>
          <a href={`#/scene/${scene.id}`}>{scene.name}</a>
        </h2>
        <p class="hint">
          {when(scene.created)}, {count} {count === 1 ? 'reference' : 'references'}
        </p>
        <JobList jobs={jobs} />
      </div>
      <div class="entry-actions">
        <Sure words="Delete" label={`Delete ${scene.name}`} busy={busy} act={forget} />
      </div>
    </li>
  );
}

const WORDS = { waiting: 'waits', running: 'runs', stopped: 'stopped', done: 'done', failed: 'failed' } as const;

export function JobList({ jobs }: { jobs: Job[] }) {
  if (jobs.length === 0) return null;
  return (
    <ul class="jobs" aria-label="Runs">
      {jobs.map((job) => (
        <li key={job.id}>
          <a href={`#/job/${job.id}`}>
            {job.request.adapter_of ? 'more candidates' : job.request.preset ?? 'quick'}, {when(job.created)}
          </a>{' '}
          <span class={`state ${job.state}`}>{WORDS[job.state]}</span>
        </li>
      ))}
    </ul>
  );
}
