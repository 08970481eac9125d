// What goes wrong is said, and loses nothing: a token that is wanted late, files of other kinds, a server that is away.

import assert from 'node:assert/strict';
import { PATIENCE, newScene, photo } from './steps.mjs';

/** The request that was refused goes on by itself once the token is right; the photos stay chosen. */
export async function asksForTheToken(page, address) {
  let isAsked = false;
  await page.route('**/v1/**', (route) => {
    const isRight = route.request().headers().authorization === 'Bearer right';
    return isAsked && !isRight ? route.fulfill({ status: 401, json: { detail: 'a token is wanted' } }) : route.fallback();
  });
  await page.goto(address);
  await page.setInputFiles('#target', await photo(page, 160, 120, 0));
  await page.setInputFiles('#references', [await photo(page, 160, 120, 9)]);
  isAsked = true;
  await page.getByRole('button', { name: 'Next' }).click();
  const answer = async (token) => {
    await page.locator('dialog input').fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
  };
  await answer('ri\u200bght');
  await page.getByText('The server does not know that token.').waitFor();
  await answer('wrong');
  await page.getByText('The server does not know that token.').waitFor();
  await answer('right');
  await page.locator('.stage canvas').waitFor();
  await page.evaluate(() => sessionStorage.removeItem('realfill-token'));
  await page.goto(`${address}#/history`);
  await page.reload();
  await page.getByRole('heading', { name: 'This server wants a token' }).waitFor();
}

/** The right token after a wrong one counts also where the answer to the wrong one comes before the dialog has told that it was closed. */
export async function asksForTheTokenAtOnce(page, address) {
  await page.addInitScript(() => {
    const send = fetch;
    globalThis.fetch = async (path, options) => {
      const isRight = new Headers(options?.headers).get('Authorization') === 'Bearer right';
      return isRight || !String(path).startsWith('/v1') ? send(path, options) : new Response('{}', { status: 401 });
    };
  });
  await page.goto(`${address}#/history`);
  for (const token of ['wrong', 'right']) {
    await page.locator('dialog input').fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    if (token === 'wrong') await page.getByText('The server does not know that token.').waitFor();
  }
  await page.locator('.history, .narrow a').first().waitFor();
  await page.locator('dialog').waitFor({ state: 'hidden' });
  assert.equal(await page.getByRole('alert').count(), 0, 'the right token is thrown away');
  assert.equal(await page.evaluate(() => sessionStorage.getItem('realfill-token')), 'right');
}

/** Files that are no photos, and photos that are too many, are named. */
export async function saysWhatItLeavesOut(page, address) {
  await page.goto(address);
  const heic = { name: 'IMG_1.HEIC', mimeType: '', buffer: Buffer.from('x') };
  const many = await Promise.all([1, 2, 3, 4, 5, 6].map((shift) => photo(page, 40, 30, shift)));
  await page.setInputFiles('#references', [heic, ...many]);
  const told = page.getByRole('alert');
  await told.waitFor();
  assert.equal(await told.textContent(), 'IMG_1.HEIC is left out: it is a HEIC photo, which cannot be read here. Export it as JPEG. There can be 5 references. Left out: photo-6.png.');
  const isKept = await page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(['x'], 'notes.txt', { type: 'text/plain' }));
    return document.querySelector('header').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  assert.ok(!isKept, 'the browser opens what is dropped beside the boxes');
  await page.getByText('notes.txt is left out').waitFor();
}

/** While the server is away the page says so, and not how much time is left. */
export async function tellsALostConnection(page, address) {
  await newScene(page, address, 160, 120);
  await page.getByText('More', { exact: true }).click();
  await page.getByLabel('Right').fill('25');
  await page.getByLabel('Right').press('Enter');
  await page.route('**/events', (route) => route.abort());
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByText('Connection lost, trying again…').waitFor();
  await page.unroute('**/events');
  await page.getByText('Connection lost, trying again…').waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
}

/** Pictures of a page that was left hold no connection. */
export async function givesUpPicturesOfAPageThatWasLeft(page, address) {
  await newScene(page, address, 160, 120);
  const isOfHistory = (request) => request.url().endsWith('/previews/target');
  await page.route('**/previews/target', () => {}); // no answer ever comes
  const asked = page.waitForRequest(isOfHistory);
  await page.getByRole('link', { name: 'History' }).click();
  await asked;
  const givenUp = page.waitForEvent('requestfailed', isOfHistory);
  await page.getByRole('link', { name: 'New', exact: true }).click();
  await givenUp;
}

/** A run whose page was opened while the server was away is shown once it is back. */
export async function showsARunWhenTheServerIsBack(page, address) {
  const { id } = await newScene(page, address, 160, 120);
  const settings = { view_px: 64, candidates: 1, sampler: { steps: 1 }, tune: { iterations: 1, batch: 1 } };
  const made = await page.request.post(`${address}v1/jobs`, { data: { scene: id, expand: 'right=25%', settings } });
  assert.equal(made.status(), 201, await made.text());
  const paths = /\/v1\/(jobs|scenes)\//;
  await page.route(paths, (route) => route.abort());
  await page.goto(`${address}#/job/${(await made.json()).id}`);
  await page.getByText('The server cannot be reached.').waitFor();
  await page.unroute(paths);
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
  assert.equal(await page.getByText('The server cannot be reached.').count(), 0);
}

/** An answer that comes after a later one does not take the page back to what was. */
export async function showsTheLatestState(page, address) {
  await newScene(page, address, 160, 120);
  const job = { id: '0'.repeat(32), scene: page.url().split('/').at(-1), stopping: false, created: 0, changed: 0, request: {} };
  const events = [{ event: 'state', state: 'running', at: 0 }, { event: 'state', state: 'failed', error: 'no memory', at: 0 }];
  const body = events.map((event, id) => `id: ${id}\nevent: state\ndata: ${JSON.stringify(event)}\n\n`).join('');
  await page.route('**/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  let [count, letGo] = [0, undefined];
  const isFree = new Promise((resolve) => (letGo = resolve));
  await page.route(`**/v1/jobs/${job.id}`, async (route) => {
    const turn = ++count;
    if (turn === 2) await isFree;
    await route.fulfill({ json: { ...job, state: turn <= 2 ? 'running' : 'failed' } });
  });
  await page.goto(`${address}#/job/${job.id}`);
  await page.getByRole('heading', { name: 'That did not work' }).waitFor();
  const late = page.waitForResponse((answer) => answer.url().endsWith(job.id));
  letGo();
  await late;
  await page.waitForTimeout(300);
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'That did not work');
}

/** With a bucket a preview is told of before it is there; it is waited for without a word. */
export async function waitsForPreviews(page, address) {
  await newScene(page, address, 160, 120);
  const events = [{ event: 'state', state: 'running', at: 0 }, { event: 'preview', seed: 3, at: 0 }];
  const body = events.map((event, id) => `id: ${id}\nevent: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`).join('');
  await page.route('**/events', (route) => route.fulfill({ contentType: 'text/event-stream', body }));
  let isThere = false;
  const picture = await photo(page, 40, 30, 0);
  await page.route('**/v1/jobs/*/previews/3', (route) => (isThere ? route.fulfill({ contentType: 'image/png', body: picture.buffer }) : route.fulfill({ status: 404, json: { detail: 'there is no such file' } })));
  const job = { id: '0'.repeat(32), scene: page.url().split('/').at(-1), state: 'running', stopping: false, created: 0, changed: 0, request: {} };
  await page.route(`**/v1/jobs/${job.id}`, (route) => route.fulfill({ json: job }));
  const refused = page.waitForResponse((response) => response.url().endsWith('/previews/3'));
  await page.goto(`${address}#/job/${job.id}`);
  await refused;
  await page.getByText('Seed 3').waitFor();
  await page.waitForTimeout(300);
  assert.equal(await page.getByText('did not come').count(), 0);
  isThere = true;
  await page.getByAltText('Candidate with seed 3').waitFor();
}
