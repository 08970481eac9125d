// The page in Chromium against a real server: photos in, mask painted with the mouse, a run watched, candidates compared, the
// result downloaded and its pixels checked; at desk and phone width, light and dark, with axe.
//
//   node tests/page.mjs                 needs the built program and Chromium (CHROMIUM, or /usr/bin/chromium)
//   SHOTS=folder node tests/page.mjs    leaves screenshots there
//   ASSETS=folder node tests/page.mjs   takes the page's files from there, to try a change without building the program

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { withServerAndBrowser } from './server.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 240_000;

/** Every job as short as can be: what is tested here is the page. */
async function shorten(page) {
  await page.route('**/v1/jobs', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    const body = route.request().postDataJSON();
    body.settings = { ...body.settings, view_px: 64, sampler: { steps: 1 }, tune: { iterations: 3, batch: 1 } };
    await route.continue({ postData: JSON.stringify(body) });
  });
}

async function open(browser, address, options) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('request', (request) => {
    const url = request.url();
    assert.ok(url.startsWith(address) || url.startsWith('blob:'), `the page asks another host: ${url}`);
  });
  page.on('console', (message) => assert.notEqual(message.type(), 'error', message.text()));
  page.on('pageerror', (error) => assert.fail(error.message));
  await shorten(page);
  if (process.env.ASSETS) await page.route('**/assets/*', (route) => route.fulfill({ path: join(process.env.ASSETS, new URL(route.request().url()).pathname.split('/').at(-1)) }));
  return page;
}

async function check(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `axe, ${what}`);
  const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!isTooWide, `${what} is wider than the window`);
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${what.replaceAll(' ', '-')}.png`), fullPage: true });
}

/** A picture with much to match, as PNG: part of an endless pattern. */
async function photo(page, width, height, shift) {
  const url = await page.evaluate(
    ([width, height, shift]) => {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext('2d');
      const image = context.createImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        const [u, v] = [(i % width) + shift, Math.floor(i / width)];
        const wave = (a, b) => 127 + 120 * Math.sin(u / a) * Math.cos(v / b);
        image.data.set([wave(5, 7), wave(11, 3), wave(4, 13), 255], 4 * i);
      }
      context.putImageData(image, 0, 0);
      return canvas.toDataURL('image/png');
    },
    [width, height, shift],
  );
  return { name: `photo-${shift}.png`, mimeType: 'image/png', buffer: Buffer.from(url.split(',')[1], 'base64') };
}

/** Drags over a part of the stage, in shares of its sides. */
async function drag(page, from, to) {
  const box = await page.locator('.stage canvas').boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 8 });
  await page.mouse.up();
}

/** How many pixels two pictures differ in, by whether the mask has them. */
async function differences(page, before, after, mask) {
  return page.evaluate(
    async (sources) => {
      const pixels = async (source) => {
        const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(source), (c) => c.charCodeAt(0))]));
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
        context.drawImage(bitmap, 0, 0);
        return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
      };
      const [before, after, mask] = await Promise.all(sources.map(pixels));
      const found = { inside: 0, outside: 0, size: before.length === after.length };
      for (let i = 0; i < before.length; i += 4) {
        const differs = [0, 1, 2].some((c) => before[i + c] !== after[i + c]);
        if (differs) found[mask[i] >= 128 ? 'inside' : 'outside'] += 1;
      }
      return found;
    },
    [before, after, mask].map((content) => content.toString('base64')),
  );
}

async function uploadsPaintsAndDownloads(page, address) {
  await page.goto(address);
  await check(page, 'new light');
  const house = await photo(page, 160, 120, 0);
  await page.setInputFiles('#target', house);
  await page.setInputFiles('#references', [await photo(page, 160, 120, 9), await photo(page, 150, 130, 20)]);
  await check(page, 'chosen light');
  await page.getByRole('button', { name: 'Next' }).click();

  await page.locator('.stage canvas').waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByText('Paint over what is missing first').waitFor();
  await page.getByRole('slider', { name: 'Size' }).fill('20');
  await drag(page, [0.4, 0.4], [0.6, 0.6]);
  await page.getByRole('button', { name: 'Rectangle' }).click();
  await drag(page, [0.45, 0.55], [0.5, 0.65]);
  await page.keyboard.press('Control+z');
  assert.ok(await page.getByRole('button', { name: 'Redo' }).isEnabled());
  await page.keyboard.press('Control+Shift+Z');
  await page.getByRole('button', { name: 'Invert' }).click();
  await page.getByRole('button', { name: 'Undo' }).click();
  await check(page, 'mask light');
  await page.getByLabel('Candidates').fill('2');
  await page.getByRole('button', { name: 'Run', exact: true }).click();

  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await check(page, 'running light');
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
  await page.locator('.after').waitFor();
  await page.locator('.before img').waitFor();
  await page.getByRole('slider', { name: 'Share of the photo before' }).fill('20');
  const part = await page.locator('.before').evaluate((before) => before.style.clipPath);
  assert.match(part, /80%/);
  await page.getByLabel('Show what is supported').check();
  await page.locator('.over').waitFor();
  await check(page, 'result light');

  const save = async (name) => {
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name, exact: true }).click();
    return readFile(await (await waiting).path());
  };
  const scene = await page.locator('.title a').getAttribute('href');
  const mask = await page.request.get(`${address}v1/scenes/${scene.split('/').at(-1)}/photos/mask`);
  const best = await differences(page, house.buffer, await save('Download photo'), await mask.body());
  assert.ok(best.size && best.outside === 0 && best.inside > 20, JSON.stringify(best));
  assert.equal(JSON.parse(await save('Report')).candidates.length, 2);
  await page.getByRole('button', { name: /Seed/ }).click();
  await page.getByText('Why it is number 2').waitFor();
  const second = await differences(page, house.buffer, await save('Download photo'), await mask.body());
  assert.ok(second.size && second.outside === 0, JSON.stringify(second));

  await page.getByLabel('How many').fill('1');
  await page.getByRole('button', { name: 'Draw more' }).click();
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
}

async function widensStopsAndResumes(page, address) {
  await page.goto(address);
  await page.setInputFiles('#target', await photo(page, 160, 120, 0));
  await page.setInputFiles('#references', [await photo(page, 160, 120, 9)]);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.locator('.stage canvas').waitFor();
  await page.getByText('More', { exact: true }).click();
  await page.getByLabel('Right').fill('25');
  await page.getByLabel('Right').press('Tab');
  await check(page, 'widened dark');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
  await page.waitForFunction(() => document.querySelector('.after')?.naturalWidth === 200);
  await check(page, 'result dark');
  await page.getByRole('link', { name: 'History' }).click();
  await page.locator('.entry').first().waitFor();
  await check(page, 'history dark');
  const before = await page.locator('.entry').count();
  await page.getByRole('button', { name: /^Delete photo/ }).first().click();
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.waitForFunction((count) => document.querySelectorAll('.entry').length === count, before - 1);
}

/** The example on a phone, its mask touched, the run begun and stopped. */
async function exampleOnAPhone(page, address) {
  await page.goto(address);
  await check(page, 'new phone');
  await page.getByRole('button', { name: 'Try the example scene' }).tap();
  const canvas = page.locator('.stage canvas');
  await canvas.waitFor();
  await check(page, 'mask phone');
  const box = await canvas.boundingBox();
  await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
  assert.ok(await page.getByRole('button', { name: 'Undo' }).isEnabled());
  await page.getByRole('button', { name: 'Run', exact: true }).tap();
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await check(page, 'running phone');
  await page.getByRole('button', { name: 'Stop' }).tap();
  await page.getByRole('heading', { name: 'Stopped' }).waitFor();
}

await withServerAndBrowser(async (address, browser) => {
  const desk = { viewport: { width: 1280, height: 860 } };
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
  await uploadsPaintsAndDownloads(await open(browser, address, { ...desk, colorScheme: 'light' }), address);
  console.log('page: uploaded, painted, run, compared and downloaded');
  await widensStopsAndResumes(await open(browser, address, { ...desk, colorScheme: 'dark' }), address);
  console.log('page: widened, stopped, resumed, deleted');
  await exampleOnAPhone(await open(browser, address, phone), address);
  console.log('page: the example on a phone');
});
