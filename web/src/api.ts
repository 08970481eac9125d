// The HTTP API. The token, where the server wants one, goes along in a header, so pictures are fetched and not linked.

import type { Job, JobEvent } from './types';

const KEY = 'realfill-token';

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

let askForToken: () => void = () => {};

/** Is called when the server wants a token, or another one. */
export function onToken(ask: () => void): void {
  askForToken = ask;
}

export function setToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

async function send(path: string, options: RequestInit = {}): Promise<Response> {
  const token = sessionStorage.getItem(KEY);
  const headers = new Headers(options.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  const answer = await fetch(path, { ...options, headers }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Refused(0, 'The server cannot be reached. Is it still running?');
  });
  if (answer.ok) return answer;
  if (answer.status === 401) askForToken();
  const problem: { detail?: string } = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, sentence(problem.detail ?? `The server answered ${answer.status}.`));
}

/** As the page says it: with a capital letter and a full stop. */
function sentence(words: string): string {
  const first = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export async function get<T>(path: string): Promise<T> {
  return (await send(path)).json();
}

export async function getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
  return (await send(path, { signal })).blob();
}

export async function post<T>(path: string, body?: unknown): Promise<T> {
  const json = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return (await send(path, { method: 'POST', ...json })).json();
}

export async function postForm<T>(path: string, form: FormData): Promise<T> {
  return (await send(path, { method: 'POST', body: form })).json();
}

export async function put<T>(path: string, body: Blob): Promise<T> {
  return (await send(path, { method: 'PUT', body })).json();
}

export async function remove(path: string): Promise<void> {
  await send(path, { method: 'DELETE' });
}

const RESTING = ['done', 'failed', 'stopped'];

/** Hears a job's events from the first on until it rests; connects again where the stream breaks off before that. */
export async function listen(job: string, hear: (event: JobEvent) => void, signal: AbortSignal): Promise<void> {
  let last: string | undefined;
  let rests = false;
  while (!signal.aborted && !rests) {
    try {
      const headers: HeadersInit = last === undefined ? {} : { 'Last-Event-ID': last };
      const answer = await send(`/v1/jobs/${job}/events`, { headers, signal });
      for await (const { id, data } of messages(answer.body!)) {
        last = id;
        const event = JSON.parse(data) as JobEvent;
        hear(event);
      }
      rests = RESTING.includes((await get<Job>(`/v1/jobs/${job}`)).state);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status >= 400 && error.status < 500) throw error;
    }
    if (!rests) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** Reads server-sent events (HTML standard, 9.2.6). */
async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<{ id: string; data: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data !== undefined) yield { id: field('id') ?? '', data };
    }
  }
}

/** Saves a file under its own name. */
export async function download(href: string, name: string): Promise<void> {
  const url = URL.createObjectURL(await getBlob(href));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
