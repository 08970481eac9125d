// What the tests of the page share: a browser page that fails on errors and foreign hosts, pictures, and looking at pixels.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const PATIENCE = 240_000;

/** A job with little to do. */
export const short = (asked, iterations) => ({ ...asked, settings: { ...asked.settings, view_px: 64, sampler: { steps: 1 }, tune: { iterations, batch: 1 } } });

/** Every job as short as can be, or as `page.iterations` says: what is tested here is the page. What the page itself asked for is left in `page.asked`. */
async function shorten(page) {
  page.asked = [];
  page.iterations = 3;
  await page.route('**/v1/jobs', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    const body = route.request().postDataJSON();
    page.asked.push(body);
    await route.continue({ postData: JSON.stringify(short(body, page.iterations)) });
  });
}

/** A page in which every error is a failure, but for those of the console that `allowed` matches. */
export async function open(browser, address, options, allowed = /(?!)/) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('request', (request) => {
    const url = request.url();
    assert.ok(url.startsWith(address) || url.startsWith('blob:'), `the page asks another host: ${url}`);
  });
  page.on('console', (message) => assert.ok(message.type() !== 'error' || allowed.test(message.text()), message.text()));
  page.on('pageerror', (error) => assert.fail(error.message));
  await shorten(page);
  if (process.env.ASSETS) await page.route('**/assets/*', (route) => route.fulfill({ path: join(process.env.ASSETS, new URL(route.request().url()).pathname.split('/').at(-1)) }));
  return page;
}

export async function check(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `axe, ${what}`);
  const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!isTooWide, `${what} is wider than the window`);
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${what.replaceAll(' ', '-')}.png`), fullPage: true });
}

/** A picture with much to match, as PNG: part of an endless pattern. */
export async function photo(page, width, height, shift) {
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
export async function drag(page, from, to) {
  const box = await page.locator('.stage canvas').boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 8 });
  await page.mouse.up();
}

/** Holds what is asked for until it is let go; `asked` comes with the first such request. */
export async function hold(page, url, method) {
  let letGo;
  const isFree = new Promise((resolve) => (letGo = resolve));
  const asked = page.waitForRequest((request) => request.method() === method && url.test(request.url()));
  await page.route(url, async (route) => {
    if (route.request().method() === method) await isFree;
    await route.fallback();
  });
  return { asked, letGo };
}

/** How many pixels two pictures differ in, by whether the mask has them. */
export async function differences(page, before, after, mask) {
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

/** A white rectangle on black, as PNG. */
export async function rectangle(page, width, height, { x, y, w, h }) {
  const url = await page.evaluate(
    ([width, height, x, y, w, h]) => {
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext('2d');
      context.fillRect(0, 0, width, height);
      context.fillStyle = '#fff';
      context.fillRect(x, y, w, h);
      return canvas.toDataURL('image/png');
    },
    [width, height, x, y, w, h],
  );
  return { name: 'mask.png', mimeType: 'image/png', buffer: Buffer.from(url.split(',')[1], 'base64') };
}

/** How large a mask is, and which of its pixels are white, as a rectangle and in number. */
export async function white(page, content) {
  return page.evaluate(async (source) => {
    const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(source), (c) => c.charCodeAt(0))]));
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const found = { width, height, count: 0, left: width, right: -1, top: height, bottom: -1 };
    for (let i = 0; i < width * height; i++) {
      if (data[4 * i] < 128) continue;
      const [x, y] = [i % width, Math.floor(i / width)];
      found.count += 1;
      [found.left, found.right] = [Math.min(found.left, x), Math.max(found.right, x)];
      [found.top, found.bottom] = [Math.min(found.top, y), Math.max(found.bottom, y)];
    }
    return found;
  }, content.toString('base64'));
}

/** Uploads photos of this size and waits for the editor; returns the scene's id and its photo. */
export async function newScene(page, address, width, height) {
  await page.goto(address);
  const house = await photo(page, width, height, 0);
  await page.setInputFiles('#target', house);
  await page.setInputFiles('#references', [await photo(page, width, height, 9)]);
  await page.getByRole('button', { name: 'Next' }).click();
  await page.locator('.stage canvas').waitFor();
  return { id: page.url().split('/').at(-1), house };
}

/** The mask that the server has of a scene. */
export async function maskOf(page, address, scene) {
  return (await page.request.get(`${address}v1/scenes/${scene}/photos/mask`)).body();
}

export const saved = (page) => page.waitForResponse((response) => response.url().endsWith('/mask') && response.request().method() === 'PUT');
