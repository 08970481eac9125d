// The first step: the photo to complete, and other photos of the same place.

import { useEffect, useState } from 'preact/hooks';
import { post } from './api';
import { Trouble, useCreation, useTask, useTitle } from './common';
import { ACCEPT, inWordsOfThePage, sorted } from './files';
import type { Scene } from './types';

const MOST_REFERENCES = 5;

interface Chosen {
  file: File;
  url: string;
}

const chosen = (file: File): Chosen => ({ file, url: URL.createObjectURL(file) });
const names = (files: File[]) => files.map((file) => file.name).join(', ');

export function NewScene() {
  const [target, setTarget] = useState<Chosen>();
  const [references, setReferences] = useState<Chosen[]>([]);
  const upload = useTask();
  const create = useCreation<Scene>('/v1/scenes');
  useTitle('Complete a photo');

  /** Takes files of which the first may become the target, and says which are left out, and why. */
  const add = (files: Iterable<File> | null | undefined, as: 'any' | 'target' | 'reference') => {
    const { pictures, told } = sorted(files);
    const says = [...told];
    let others = pictures;
    if (as === 'target' || (as === 'any' && !target)) {
      if (pictures[0]) setTarget(chosen(pictures[0]));
      others = pictures.slice(1);
    }
    if (as === 'target' && others.length > 0) says.push(`One photo is completed at a time. Left out: ${names(others)}.`);
    if (as !== 'target') {
      const room = MOST_REFERENCES - references.length;
      if (others.length > room) says.push(`There can be ${MOST_REFERENCES} references. Left out: ${names(others.slice(room))}.`);
      if (others.length > 0) setReferences([...references, ...others.slice(0, room).map(chosen)]);
    }
    upload.setError(says.length > 0 ? says.join(' ') : undefined);
  };
  useEffect(() => {
    const paste = (event: ClipboardEvent) => event.clipboardData?.files.length && add(event.clipboardData.files, 'any');
    const drop = (event: DragEvent) => event.dataTransfer?.files.length && add(event.dataTransfer.files, 'any');
    addEventListener('paste', paste);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('paste', paste);
      removeEventListener('drop', drop);
    };
  });

  const form = () => {
    const form = new FormData();
    form.set('target', target!.file);
    references.forEach((reference) => form.append('reference', reference.file));
    return form;
  };
  const send = async () => {
    const scene = await create([target, ...references], form).catch((error: unknown) => {
      throw inWordsOfThePage(error);
    });
    upload.go(`/scene/${scene.id}`);
  };
  const example = async () => upload.go(`/scene/${(await post<Scene>('/v1/scenes/example')).id}`);

  return (
    <div class="narrow">
      <h1>Complete a photo</h1>
      <p class="lead">Give a photo in which something is missing or in the way, and one to five other photos of the same place. What was really there is put back.</p>

      <section class="card">
        <h2>Photo to complete</h2>
        {target ? (
          <div class="thumbs">
            <Thumb chosen={target} label="the photo to complete" remove={() => setTarget(undefined)} />
          </div>
        ) : (
          <Drop id="target" label="Choose a photo" words="or drop or paste it" take={(files) => add(files, 'target')} />
        )}
      </section>

      <section class="card">
        <h2>
          References <small>{references.length} of {MOST_REFERENCES}</small>
        </h2>
        {references.length > 0 && (
          <div class="thumbs">
            {references.map((reference, i) => (
              <Thumb key={reference.url} chosen={reference} label={`reference ${i + 1}`} remove={() => setReferences(references.filter((other) => other !== reference))} />
            ))}
          </div>
        )}
        {references.length < MOST_REFERENCES && (
          <Drop id="references" label={references.length ? 'Add more' : 'Choose references'} words="or drop or paste them" multiple take={(files) => add(files, 'reference')} />
        )}
        <p class="hint">Good ones show the missing part, from about the same height and distance, in similar light. Two or three that differ a little are better than five from far apart.</p>
      </section>

      <Trouble error={upload.error} />
      <div class="row">
        <button type="button" class="primary" disabled={!target || references.length === 0 || upload.busy} onClick={() => upload.run(send)}>
          {upload.busy ? 'Uploading…' : 'Next: mark what is missing'}
        </button>
        <button type="button" disabled={upload.busy} onClick={() => upload.run(example)}>
          Try the example scene
        </button>
      </div>
    </div>
  );
}

interface DropProps {
  id: string;
  label: string;
  words: string;
  multiple?: boolean;
  take: (files: FileList | null | undefined) => void;
}

function Drop({ id, label, words, multiple, take }: DropProps) {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    take(event.dataTransfer?.files);
  };
  const choose = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    take(input.files);
    input.value = '';
  };
  return (
    <label class={`drop ${over ? 'over' : ''}`} onDragOver={() => setOver(true)} onDragLeave={() => setOver(false)} onDrop={drop}>
      <input id={id} type="file" accept={ACCEPT} multiple={multiple} onChange={choose} aria-label={label} />
      <strong>{label}</strong>
      <span>{words}</span>
    </label>
  );
}

/** Shown upright: browsers apply EXIF orientation by themselves. TIFF they cannot show. */
function Thumb({ chosen, label, remove }: { chosen: Chosen; label: string; remove: () => void }) {
  const [shown, setShown] = useState(true);
  return (
    <figure class="thumb">
      {shown ? <img src={chosen.url} alt={chosen.file.name} onError={() => setShown(false)} /> : <span class="blank">no preview before the upload</span>}
      <figcaption title={chosen.file.name}>{chosen.file.name}</figcaption>
      <button type="button" class="remove" onClick={remove} aria-label={`Remove ${label}`}>
        ×
      </button>
    </figure>
  );
}
