// Small parts that several pages use.

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { create } from './api';
import { usePicture } from './pictures';

/** Between two tries of a picture that has no button for it. */
const RETRY_MS = 5000;

interface PictureProps {
  href: string | undefined | null;
  alt: string;
  class?: string;
  /** It can have no button in it, and tries again by itself. */
  plain?: boolean;
  /** It is told of before it is there: it tries again by itself, and says nothing until then. */
  soon?: boolean;
}

/** A picture; one that does not come says so. */
export function Picture({ href, alt, class: name, plain, soon }: PictureProps) {
  const { url, error, retry } = usePicture(href);
  const isPatient = plain || soon;
  useEffect(() => {
    if (!isPatient || !error) return;
    const timer = setTimeout(retry, RETRY_MS);
    return () => clearTimeout(timer);
  }, [error, isPatient]);
  if (url) return <img src={url} alt={alt} class={name} />;
  if (!error || soon) return <span class={`blank ${name ?? ''}`} aria-hidden="true" />;
  return (
    <span class={`blank ${name ?? ''}`}>
      {alt ? `${alt} did not come. ` : 'No picture. '}
      {!plain && <Again act={retry} />}
    </span>
  );
}

export function Again({ act }: { act: () => void }) {
  return (
    <button type="button" class="link" onClick={act}>
      Try again
    </button>
  );
}

/** The window's title follows the heading. */
export function useTitle(...parts: (string | undefined)[]): void {
  const title = [...parts.filter(Boolean), 'RealFill'].join(' - ');
  useEffect(() => {
    if (parts[0]) document.title = title;
  }, [title]);
}

/** A page before what it shows is there, or when it is not there at all. */
export function Pending({ title, error }: { title: string; error: unknown }) {
  useTitle(title);
  return (
    <div class="narrow">
      <h1>{title}</h1>
      {error ? (
        <>
          <Trouble error={error} />
          <p>
            <a href="#/history">History</a> has what there is.
          </p>
        </>
      ) : (
        <p role="status">Loading…</p>
      )}
    </div>
  );
}

/** What went wrong, read out by screen readers at once. */
export function Trouble({ error }: { error: unknown }) {
  if (!error) return null;
  return (
    <p class="trouble" role="alert">
      {error instanceof Error ? error.message : String(error)}
    </p>
  );
}

export function Field({ label, hint, children }: { label: string; hint?: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small>{hint}</small>}
    </label>
  );
}

export interface Task {
  busy: boolean;
  error: unknown;
  setError: (error: unknown) => void;
  run: (task: () => Promise<void>) => void;
  /** Goes to another page, unless one has left this one meanwhile. */
  go: (path: string) => void;
}

/** Does something that may fail, once at a time. */
export function useTask(): Task {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const isHere = useRef(true);
  useLayoutEffect(() => () => void (isHere.current = false), []);
  const run = (task: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError(undefined);
    task()
      .catch(setError)
      .finally(() => setBusy(false));
  };
  const go = (path: string) => {
    if (isHere.current) location.hash = path;
  };
  return { busy, error, setError, run, go };
}

/** What is to be made, and the key that it is sent with. */
interface Meant {
  of: unknown[];
  body: FormData | object;
  key: string;
}

/** Makes something on the server. Asked for again `of` the same before that is known to be made, it is sent as it was, so that it is made once. */
export function useCreation<T>(path: string): (of: unknown[], body: () => FormData | object | Promise<object>) => Promise<T> {
  const meant = useRef<Meant | undefined>(undefined);
  return async (of, body) => {
    const isSame = meant.current?.of.length === of.length && of.every((part, i) => part === meant.current?.of[i]);
    const sent = isSame ? meant.current! : { of, body: await body(), key: newKey() };
    meant.current = sent;
    const made = await create<T>(path, sent.body, sent.key);
    meant.current = undefined;
    return made;
  };
}

/** By chance. `randomUUID` is not there where the page comes without TLS. */
const newKey = (): string => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** 47 s, 3 min 05 s, 2 h 10 min. */
export function duration(secs: number): string {
  const whole = Math.max(0, Math.round(secs));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
}

export function when(unix: number): string {
  return new Date(unix * 1000).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

export function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
