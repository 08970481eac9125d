// More candidates for the same hole from what was learnt, without learning again.

import { useState } from 'preact/hooks';
import { get } from './api';
import { type Task, useCreation } from './common';
import { NumberField } from './number';
import type { Job, JobRequest, Results } from './types';

interface Props {
  job: Job;
  results: Results;
  task: Task;
}

export function More({ job, results, task }: Props) {
  const [candidates, setCandidates] = useState(4);
  const create = useCreation<Job>('/v1/jobs');
  if (!job.request.adapter_of && !results.files.some((file) => file.name.startsWith('adapter/'))) return null;
  const root = job.request.adapter_of ?? job.id;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    task.run(async () => task.go(`/job/${(await create([job.id, candidates], request)).id}`));
  };
  const request = async (): Promise<JobRequest> => {
    const jobs = await get<Job[]>(`/v1/jobs?scene=${job.scene}`);
    const seed = Math.max(nextSeed(jobs, root), ...results.candidates.map((candidate) => candidate.seed + 1));
    const { scene, expand, aspect, canvas, grow_mask, model, device, strip } = job.request;
    const settings = { ...job.request.settings, candidates, seed };
    return { scene, adapter_of: root, mask_of: job.id, expand, aspect, canvas, grow_mask, model, device, strip, settings };
  };
  return (
    <form class="card" onSubmit={submit} noValidate>
      <h2>More candidates</h2>
      <NumberField label="How many" hint="From what was learnt, without learning again." least={1} most={64} value={candidates} set={setCandidates} />
      <button type="submit" disabled={task.busy} class="wide">
        Draw more
      </button>
    </form>
  );
}

/** The first seed that no job has drawn which uses what `root` has learnt, whether it is done or still waits. */
function nextSeed(jobs: Job[], root: string): number {
  const of = jobs.filter((job) => job.id === root || job.request.adapter_of === root);
  return Math.max(0, ...of.map(({ request: { settings } }) => (settings?.seed ?? 0) + (settings?.candidates ?? 4)));
}
