// Scenes and runs are made once, and nobody who went elsewhere meanwhile is dragged to them.

import assert from 'node:assert/strict';
import { drag, hold, newScene, photo, saved, short } from './steps.mjs';

/** What is asked for goes on without whoever left: a run that waits for the mask does not begin, and of what is made the answer is not followed. */
export async function staysWhereOneWentMeanwhile(page, address) {
  const leave = async ({ asked, letGo }, url) => {
    await asked;
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('heading', { name: 'History' }).waitFor();
    const answered = page.waitForResponse((answer) => url.test(answer.url()) && answer.request().method() !== 'GET');
    letGo();
    await answered;
    await page.waitForTimeout(300);
    assert.ok(page.url().endsWith('#/history'), `the page went on to ${page.url()}`);
    await page.unroute(url);
  };
  const run = () => page.getByRole('button', { name: 'Run', exact: true }).click();
  const { id } = await newScene(page, address, 160, 120);
  const [mask, jobs, scenes] = [/\/mask$/, /\/v1\/jobs$/, /\/v1\/scenes$/];

  const sending = await hold(page, mask, 'PUT');
  await drag(page, [0.4, 0.4], [0.6, 0.4]);
  await run();
  await leave(sending, mask);
  assert.equal(page.asked.length, 0, 'a run has begun');

  await page.goto(`${address}#/scene/${id}`);
  await page.locator('.stage canvas').waitFor();
  const making = await hold(page, jobs, 'POST');
  await run();
  await leave(making, jobs);

  await page.goto(address);
  await page.setInputFiles('#target', await photo(page, 160, 120, 0));
  await page.setInputFiles('#references', [await photo(page, 160, 120, 9)]);
  const uploading = await hold(page, scenes, 'POST');
  await page.getByRole('button', { name: 'Next' }).click();
  await leave(uploading, scenes);
}

/** A run whose answer was lost is not made again when it is asked for again, unless something else is meant by then. */
export async function makesOneRunOfOneIntention(page, address) {
  const { id } = await newScene(page, address, 160, 120);
  const sent = saved(page);
  await drag(page, [0.4, 0.4], [0.6, 0.4]);
  await sent;
  const keys = [];
  let isLost = true;
  await page.route('**/v1/jobs', async (route) => {
    if (route.request().method() !== 'POST') return route.fallback();
    keys.push(await route.request().headerValue('idempotency-key'));
    if (!isLost) return route.fallback();
    await route.fetch({ postData: JSON.stringify(short(route.request().postDataJSON(), page.iterations)) });
    await route.abort();
  });
  const run = () => page.getByRole('button', { name: 'Run', exact: true }).click();
  const runs = async () => (await (await page.request.get(`${address}v1/jobs?scene=${id}`)).json()).length;
  const isRefused = page.getByText('The server cannot be reached.');
  await run();
  await isRefused.waitFor();
  await drag(page, [0.4, 0.6], [0.6, 0.6]);
  await isRefused.waitFor({ state: 'detached' });
  await run();
  await isRefused.waitFor();
  assert.equal(await runs(), 2, 'another mask is another run');
  isLost = false;
  await run();
  await page.waitForURL(/#\/job\//);
  assert.equal(await runs(), 2, 'a run is made twice');
  await page.goBack();
  await page.locator('.stage canvas').waitFor();
  await run();
  await page.waitForURL(/#\/job\//);
  assert.equal(await runs(), 3, 'what was made is not made again when it is meant');
  assert.deepEqual(keys.map((key) => keys.indexOf(key)), [0, 1, 1, 3]);
}
