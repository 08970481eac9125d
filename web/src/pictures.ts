// Pictures behind the API. They are fetched with the token and decoded before they take the place of what is shown. Those that nobody
// waits for any more are given up: a browser has six connections to a server.

import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { getBlob } from './api';

export interface Shown {
  /** The picture's address in this page, and which one it is: the one before while another is on its way. */
  url: string | undefined;
  href: string | undefined;
  isLoading: boolean;
  error: unknown;
  retry: () => void;
}

/** A picture that was asked for, and how to give it up. */
interface Asked {
  url: Promise<string>;
  stop: AbortController;
}

/** Shows a picture, and fetches those ahead that will be asked for next. */
export function usePicture(href: string | undefined | null, next: string[] = []): Shown {
  const [shown, setShown] = useState<{ href: string; url: string }>();
  const [error, setError] = useState<unknown>();
  const [round, retry] = useReducer<number, void>((round) => round + 1, 0);
  const kept = useRef(new Map<string, Asked>());
  const current = useRef<string | undefined>(undefined);

  useEffect(() => {
    let isOver = false;
    setError(undefined);
    if (!href) setShown(undefined);
    forget(kept.current, [href, current.current, ...next]);
    const show = async (href: string) => {
      const url = await fetched(kept.current, href);
      if (isOver) return;
      current.current = href;
      setShown({ href, url });
      next.forEach((other) => fetched(kept.current, other).catch(() => {}));
    };
    if (href) show(href).catch((error) => isOver || setError(error));
    return () => void (isOver = true);
  }, [href, next.join(' '), round]);
  useEffect(() => () => forget(kept.current, []), []);

  const isLoading = Boolean(href) && shown?.href !== href && !error;
  return { url: shown?.url, href: shown?.href, isLoading, error, retry: () => retry(undefined) };
}

function fetched(kept: Map<string, Asked>, href: string): Promise<string> {
  const known = kept.get(href);
  if (known) return known.url;
  const stop = new AbortController();
  const asked = { url: load(href, stop.signal), stop };
  kept.set(href, asked);
  asked.url.catch(() => kept.get(href) === asked && kept.delete(href));
  return asked.url;
}

async function load(href: string, signal: AbortSignal): Promise<string> {
  const url = URL.createObjectURL(await getBlob(href, signal));
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => {}); // some browsers show large pictures that they will not decode ahead
  if (image.naturalWidth > 0) return url;
  URL.revokeObjectURL(url);
  throw new Error('This browser cannot show the picture.');
}

/** Gives back all pictures but some, and gives up those that are on their way. */
function forget(kept: Map<string, Asked>, but: (string | undefined | null)[]): void {
  for (const [href, { url, stop }] of kept) {
    if (but.includes(href)) continue;
    kept.delete(href);
    stop.abort();
    url.then(URL.revokeObjectURL, () => {});
  }
}
