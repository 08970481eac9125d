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

type Ask = (wasWrong: boolean) => Promise<string>;

let ask: Ask = () => Promise.reject(new Refused(401, 'This server wants a token.'));
let asking: Promise<void> | undefined;

/** Tells how a token is asked for: it is when the server wants one, or another one. */
export function onToken(how: Ask): void {
  ask = how;
}

/** Asks once, however many requests wait for it. */
function token(wasWrong: boolean): Promise<void> {
  asking ??= ask(wasWrong)
    .then((token) => sessionStorage.setItem(KEY, token))
    .finally(() => (asking = undefined));
  return asking;
}

/** A request that the server refuses for its token waits for another one and is sent again. */
async function send(path: string, options: RequestInit = {}): Promise<Response> {
  for (;;) {
    const known = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (known) headers.set('Authorization', `Bearer ${known.replace(/[^ -~]/g, '?')}`); // a header cannot hold what else was pasted
    const answer = await fetch(path, { ...options, headers }).catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      throw new Refused(0, 'The server cannot be reached. Is it still running?');
    });
    if (answer.ok) return answer;
    if (answer.status !== 401) throw await refusal(answer);
    if (known === sessionStorage.getItem(KEY)) await token(known !== null);
  }
}

async function refusal(answer: Response): Promise<Refused> {
  const problem: { detail?: string } = await answer.json().catch(() => ({}));
  return new Refused(answer.status, sentence(problem.detail ?? `The server answered ${answer.status}.`));
}

/** How the server's sentences begin, unless it is with a name that has to stay as it is. */
const BEGINNINGS = /^(the|there|this|nothing|no|it|job)\b/;

/** As the page says it: with a capital letter and a full stop. */
function sentence(words: string): string {
  const first = BEGINNINGS.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : words;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export async function get<T>(path: string): Promise<T> {
  return (await send(path)).json();
}

export async function getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
  return (await send(path, { signal })).blob();
}

export async function post<T>(path: string): Promise<T> {
  return (await send(path, { method: 'POST' })).json();
}

/** Makes something of a form or of what goes as JSON; sent again with the same key, it makes nothing new. */
export async function create<T>(path: string, body: FormData | object, key: string): Promise<T> {
  const [type, content] = body instanceof FormData ? [{}, body] : [{ 'Content-Type': 'application/json' }, JSON.stringify(body)];
  return (await send(path, { method: 'POST', headers: { 'Idempotency-Key': key, ...type }, body: content })).json();
}

export async function put<T>(path: string, body: Blob): Promise<T> {
  return (await send(path, { method: 'PUT', body })).json();
}

export async function remove(path: string): Promise<void> {
  await send(path, { method: 'DELETE' });
}

const RESTING = ['done', 'failed', 'stopped'];

/** Hears a job's events from the first on until it rests; connects again where the stream breaks off before that, and tells so. */
export async function listen(job: string, hear: (event: JobEvent) => void, lost: (isLost: boolean) => void, signal: AbortSignal): Promise<void> {
  let last: string | undefined;
  let rests = false;
  while (!signal.aborted && !rests) {
    try {
      const headers: HeadersInit = last === undefined ? {} : { 'Last-Event-ID': last };
      const answer = await send(`/v1/jobs/${job}/events`, { headers, signal });
      lost(false);
      for await (const { id, data } of messages(answer.body!)) {
        last = id;
        const event = JSON.parse(data) as JobEvent;
        hear(event);
      }
      rests = RESTING.includes((await get<Job>(`/v1/jobs/${job}`)).state);
      lost(false);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status >= 400 && error.status < 500) throw error;
      lost(true);
    }
    if (!rests) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

/** Three signs of life of a quiet stream: after that it is dead, though nothing says so. */
const SILENCE_MS = 45_000;

async function inTime<T>(reading: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error('The stream is silent.')), SILENCE_MS)));
  return Promise.race([reading, silence]).finally(() => clearTimeout(timer));
}

/** Reads server-sent events (HTML standard, 9.2.6). */
async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<{ id: string; data: string }> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
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
  } finally {
    reader.cancel().catch(() => {});
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
