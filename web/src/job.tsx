// A job: how far it is while it runs, what it has made when it is done.

import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { get, listen, post, remove } from './api';
import { Pending, Trouble, useTask, useTitle } from './common';
import { Progress } from './progress';
import { ResultView } from './result';
import { Sure } from './sure';
import { type Told, nothingTold, told } from './story';
import type { Job, JobEvent, Scene } from './types';

export function JobPage({ id }: { id: string }) {
  const [job, setJob] = useState<Job>();
  const [scene, setScene] = useState<Scene>();
  const [round, setRound] = useState(0);
  const [isLost, setLost] = useState(false);
  const [story, hear] = useReducer<Told, JobEvent | 'anew'>((story, event) => (event === 'anew' ? nothingTold() : told(story, event)), nothingTold());
  const task = useTask();

  const turns = useRef({ asked: 0, shown: 0 });

  /** Shows what is answered, unless what was asked later is shown already. */
  const show = async (ask: () => Promise<Job>) => {
    const turn = ++turns.current.asked;
    const job = await ask();
    if (turn < turns.current.shown) return;
    turns.current.shown = turn;
    setJob(job);
  };
  const refresh = () => show(() => get<Job>(`/v1/jobs/${id}`));
  useEffect(() => {
    const stop = new AbortController();
    hear('anew');
    task.run(refresh);
    listen(
      id,
      (event) => {
        hear(event);
        if (event.event === 'state') void refresh().catch(() => {});
      },
      (isLost) => {
        if (stop.signal.aborted) return;
        setLost(isLost);
        if (!isLost) void refresh().catch(() => {});
      },
      stop.signal,
    ).then(async () => void (stop.signal.aborted || (await refresh())), task.setError);
    return () => stop.abort();
  }, [id, round]);
  useEffect(() => {
    if (!job || scene) return;
    const found = (scene: Scene) => (setScene(scene), task.setError(undefined));
    get<Scene>(`/v1/scenes/${job.scene}`).then(found, task.setError);
  }, [job]);
  useEffect(() => {
    if (job?.state !== 'waiting') return;
    const timer = setInterval(() => void refresh().catch(() => {}), 3000);
    return () => clearInterval(timer);
  }, [job?.state]);

  const cancel = () => task.run(() => show(() => post<Job>(`/v1/jobs/${id}/cancel`)));
  const resume = () =>
    task.run(async () => {
      await show(() => post<Job>(`/v1/jobs/${id}/resume`));
      setRound((round) => round + 1);
    });

  const forget = () =>
    task.run(async () => {
      await remove(`/v1/jobs/${id}`);
      task.go(`/scene/${job!.scene}`);
    });

  const heading = job && { waiting: 'In the queue', running: job.stopping ? 'Stopping' : 'At work', stopped: 'Stopped', done: 'Done', failed: 'That did not work' }[job.state];
  useTitle(heading, scene?.name);
  if (!job || !scene) return <Pending title="Run" error={task.error} />;
  return (
    <div class="wide-page">
      <div class="title">
        <p class="hint">
          <a href={`#/scene/${scene.id}`}>{scene.name}</a>
        </p>
        <h1>{heading}</h1>
      </div>
      <Trouble error={task.error} />
      {job.state === 'done' ? <ResultView job={job} scene={scene} /> : <Progress job={job} story={story} isLost={isLost} cancel={cancel} resume={resume} busy={task.busy} />}
      {job.state !== 'running' && (
        <div class="row ends">
          <Sure words="Delete this run" label="Delete this run" busy={task.busy} act={forget} />
        </div>
      )}
    </div>
  );
}
