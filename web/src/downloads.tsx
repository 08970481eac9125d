// The files of a result, each saved under a name of its own.

import { useState } from 'preact/hooks';
import { download } from './api';
import { size } from './common';
import { type Candidate, type Job, type Results, type Scene, target } from './types';

interface Props {
  job: Job;
  candidate: Candidate;
  results: Results;
  scene: Scene;
  say: (error: unknown) => void;
}

const WORDS: Record<string, string> = { 'report.json': 'Report', 'sheet.png': 'All on one sheet', 'fidelity.png': 'Fidelity map', 'adapter.tar': 'Adapter' };

export const extension = (href: string): string => href.split('.').at(-1) ?? '';

export function Downloads({ job, candidate, results, scene, say }: Props) {
  const [busy, setBusy] = useState('');
  const stem = target(scene).name.replace(/\.[^.]*$/, '');
  const save = (href: string, name: string) => {
    say(undefined);
    setBusy(name);
    download(href, name)
      .catch(say)
      .finally(() => setBusy(''));
  };
  const photo = candidate.photo ?? candidate.picture;
  const name = `${stem}-completed${candidate.rank === 1 ? '' : `-${candidate.rank}`}.${extension(photo)}`;
  const learnt = results.files.filter((file) => file.name.startsWith('adapter/')).reduce((sum, file) => sum + file.bytes, 0);
  const archive = { name: 'adapter.tar', bytes: learnt, href: `/v1/jobs/${job.id}/adapter.tar` };
  const others = [...results.files.filter((file) => file.name in WORDS), ...(learnt > 0 ? [archive] : [])];
  return (
    <>
      <button type="button" class="primary wide" disabled={busy !== ''} onClick={() => save(photo, name)}>
        {busy === name ? 'Downloading…' : 'Download photo'}
      </button>
      <ul class="files">
        {others.map((file) => (
          <li key={file.name}>
            <button type="button" class="link" disabled={busy !== ''} onClick={() => save(file.href, `${stem}-${file.name}`)}>
              {WORDS[file.name]}
            </button>
            <small>{busy === `${stem}-${file.name}` ? 'on its way' : size(file.bytes)}</small>
          </li>
        ))}
      </ul>
    </>
  );
}
