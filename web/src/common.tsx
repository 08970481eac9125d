// Small parts that several pages use.

import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { getBlob } from './api';

/** The object URL of a picture behind the API; undefined until it is there. */
export function usePicture(href: string | undefined | null): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    setUrl(undefined);
    if (!href) return;
    const stop = new AbortController();
    let made: string | undefined;
    getBlob(href, stop.signal)
      .then((blob) => setUrl((made = URL.createObjectURL(blob))))
      .catch(() => {});
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [href]);
  return url;
}

export function Picture({ href, alt, class: name }: { href: string | undefined | null; alt: string; class?: string }) {
  const url = usePicture(href);
  return url ? <img src={url} alt={alt} class={name} /> : <span class={`blank ${name ?? ''}`} aria-hidden="true" />;
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

/** Does something that may fail, once at a time. */
export function useTask(): { busy: boolean; error: unknown; setError: (error: unknown) => void; run: (task: () => Promise<void>) => void } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = (task: () => Promise<void>) => {
    if (busy) return;
    setBusy(true);
    setError(undefined);
    task()
      .catch(setError)
      .finally(() => setBusy(false));
  };
  return { busy, error, setError, run };
}

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

export function go(path: string): void {
  location.hash = path;
}
