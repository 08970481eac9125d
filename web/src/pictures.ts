// Pictures behind the API. They are fetched with the token and decoded before they take the place of what is shown.

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

/** Shows a picture, and fetches those ahead that will be asked for next. */
export function usePicture(href: string | undefined | null, next: string[] = []): Shown {
  const [shown, setShown] = useState<{ href: string; url: string }>();
  const [error, setError] = useState<unknown>();
  const [round, retry] = useReducer<number, void>((round) => round + 1, 0);
  const kept = useRef(new Map<string, Promise<string>>());
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

function fetched(kept: Map<string, Promise<string>>, href: string): Promise<string> {
  const known = kept.get(href);
  if (known) return known;
  const made = load(href);
  kept.set(href, made);
  made.catch(() => kept.delete(href));
  return made;
}

async function load(href: string): Promise<string> {
  const url = URL.createObjectURL(await getBlob(href));
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => {}); // some browsers show large pictures that they will not decode ahead
  if (image.naturalWidth > 0) return url;
  URL.revokeObjectURL(url);
  throw new Error('This browser cannot show the picture.');
}

/** Gives back all pictures but some. */
function forget(kept: Map<string, Promise<string>>, but: (string | undefined | null)[]): void {
  for (const [href, made] of kept) {
    if (but.includes(href)) continue;
    kept.delete(href);
    made.then(URL.revokeObjectURL, () => {});
  }
}
