// Marking what is missing: nothing that is painted is lost, files stay whole, and the frame is taken by its handles.

import assert from 'node:assert/strict';
import { drag, hold, maskOf, newScene, rectangle, saved, white } from './steps.mjs';

/** The mask is saved by itself, also when the page is left at once; the frame and the settings come back too. */
export async function keepsWhatIsPainted(page, address) {
  const { id } = await newScene(page, address, 160, 120);
  const first = saved(page);
  await drag(page, [0.4, 0.4], [0.6, 0.4]);
  await first;
  const before = await white(page, await maskOf(page, address, id));
  const second = saved(page);
  await drag(page, [0.4, 0.6], [0.6, 0.6]);
  await page.getByRole('link', { name: 'History' }).click();
  await second;
  const after = await white(page, await maskOf(page, address, id));
  assert.ok(before.count > 50 && after.count > before.count + 50, JSON.stringify([before, after]));

  const mask = await hold(page, /photos\/mask$/, 'GET');
  await page.goBack();
  await mask.asked;
  assert.equal(await page.locator('.stage canvas').count(), 0, 'nothing can be painted before the mask is there');
  mask.letGo();
  await page.locator('.stage canvas').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Undo' }).isDisabled());
  await page.getByLabel('Candidates').fill('999');
  await page.getByLabel('Candidates').press('Enter');
  await page.getByText('The most that is possible is 64.').waitFor();
  await page.getByText('More', { exact: true }).click();
  await page.getByLabel('Bottom').fill('10');
  await page.getByLabel('Bottom').press('Enter');
  assert.ok(page.url().endsWith(`#/scene/${id}`), 'Enter has begun a run');
  await page.reload();
  await page.getByText('Frame: +10 % bottom').waitFor();
  assert.equal(await page.getByLabel('Candidates').inputValue(), '64');
  assert.equal((await white(page, await maskOf(page, address, id))).count, after.count);

  await page.route('**/mask', () => {}); // no answer ever comes: it stays unsaved
  await drag(page, [0.45, 0.5], [0.55, 0.5]);
  const warned = page.waitForEvent('dialog');
  await page.close({ runBeforeUnload: true });
  const dialog = await warned;
  assert.equal(dialog.type(), 'beforeunload');
  await dialog.accept();
}

const warnsBeforeItIsClosed = (page) => page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));

/** What is painted while the server is away, fails, or a proxy says so, is sent when it is back, though the scene was left; opened again, it waits for that. */
export async function sendsTheMaskWhenTheServerIsBack(page, address) {
  const { id } = await newScene(page, address, 160, 120);
  let status;
  await page.route('**/mask', (route) => {
    if (route.request().method() !== 'PUT') return route.continue();
    return status ? route.fulfill({ status }) : route.abort();
  });
  const failed = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/mask'));
  await drag(page, [0.4, 0.4], [0.6, 0.4]);
  await page.getByRole('link', { name: 'History' }).click();
  await failed;
  assert.ok(await warnsBeforeItIsClosed(page), 'what is not sent yet is lost without a word');
  await page.goBack();
  await page.waitForTimeout(300);
  assert.equal(await page.locator('.stage canvas').count(), 0, 'the scene is opened without what was painted');
  for (status of [502, 500, 429]) assert.equal((await saved(page)).status(), status);
  const sent = saved(page);
  await page.unroute('**/mask');
  assert.ok((await sent).ok());
  await page.locator('.stage canvas').waitFor();
  assert.ok(!(await warnsBeforeItIsClosed(page)));
  assert.ok((await white(page, await maskOf(page, address, id))).count > 50, 'what was painted is lost');
}

/** Where the mask cannot be kept for a while, whoever opens the scene again is told why it does not come. */
export async function saysWhyTheMaskWaits(page, address) {
  await newScene(page, address, 160, 120);
  await page.route('**/mask', (route) => route.fulfill({ status: 503, json: { detail: "the server's disk is full; try again later" } }));
  const refused = saved(page);
  await drag(page, [0.4, 0.4], [0.6, 0.4]);
  await page.getByRole('link', { name: 'History' }).click();
  await refused;
  await page.goBack();
  await page.getByRole('heading', { name: 'Scene' }).waitFor();
  await page.getByText("The server's disk is full; try again later.").waitFor();
  await page.unroute('**/mask');
  await page.locator('.stage canvas').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
}

/** A mask file that is read only after the scene was left does not come over what the scene has by then. */
export async function sendsNoMaskThatWasReadTooLate(page, address) {
  await page.addInitScript(() => {
    const read = createImageBitmap;
    const isFree = new Promise((resolve) => (globalThis.letGo = resolve));
    globalThis.createImageBitmap = async (source, ...options) => {
      if (source instanceof File) await isFree;
      return read(source, ...options);
    };
  });
  await newScene(page, address, 160, 120);
  let isSent = false;
  page.on('request', (request) => (isSent ||= request.method() === 'PUT'));
  await page.locator('input[type=file]').setInputFiles(await rectangle(page, 160, 120, { x: 20, y: 20, w: 30, h: 30 }));
  await page.getByRole('link', { name: 'History' }).click();
  await page.getByRole('heading', { name: 'History' }).waitFor();
  await page.evaluate(() => globalThis.letGo());
  await page.waitForTimeout(2000); // what is painted is sent after 1.5 s
  assert.ok(!isSent, 'the mask of a scene that was left is sent');
}

/** A file is sent as it is; what is painted over it is drawn at the photo's own size. */
export async function takesAMaskFileWhole(page, address) {
  const { id } = await newScene(page, address, 4100, 200);
  const mask = await rectangle(page, 4100, 200, { x: 3000, y: 20, w: 1, h: 100 });
  const sent = saved(page);
  await page.locator('input[type=file]').setInputFiles(mask);
  await sent;
  assert.deepEqual(await maskOf(page, address, id), mask.buffer);
  const dropped = saved(page);
  await page.locator('.stage').evaluate((stage, source) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(source), (c) => c.charCodeAt(0))], 'other.png', { type: 'image/png' }));
    stage.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, (await rectangle(page, 4100, 200, { x: 2000, y: 20, w: 1, h: 100 })).buffer.toString('base64'));
  await dropped;
  assert.equal((await white(page, await maskOf(page, address, id))).left, 2000);
  const undone = saved(page);
  await page.getByRole('button', { name: 'Undo' }).click();
  await undone;
  const painted = saved(page);
  await page.getByRole('button', { name: 'Rectangle' }).click();
  await drag(page, [0.3, 0.49], [0.4, 0.51]);
  await painted;
  const both = await white(page, await maskOf(page, address, id));
  assert.deepEqual([both.width, both.height, both.right], [4100, 200, 3000], JSON.stringify(both));
  assert.ok(both.count > 1000 && both.left > 1000 && both.left < 1300, JSON.stringify(both));
}

/** Where the middle of the photo's lower edge is on the screen, so many pixels inside. */
async function lowerEdge(page, inside) {
  const box = await page.locator('.stage canvas').boundingBox();
  const scale = Math.min((box.width - 56) / 160, (box.height - 56) / 120, 4);
  return [box.x + box.width / 2, box.y + box.height / 2 + scale * 60 - inside];
}

/** A stroke may begin at the edge; handles are taken with the Move tool, and undo takes the frame back. */
export async function framesWithTheHandles(page, address) {
  await newScene(page, address, 160, 120);
  const pull = async () => {
    const [x, y] = await lowerEdge(page, 3);
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + 30, y + 12, { steps: 4 });
    await page.mouse.up();
  };
  await pull();
  assert.equal(await page.getByText('Frame:').count(), 0, 'the stroke has widened the photo');
  assert.ok(await page.getByRole('button', { name: 'Undo' }).isEnabled());
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('button', { name: 'Move' }).click();
  await pull();
  await page.getByText(/Frame: \+\d+ % bottom/).waitFor();
  await page.getByRole('slider', { name: 'Size' }).focus();
  await page.keyboard.press('Control+z');
  await page.getByText('Frame:').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+y');
  await page.getByRole('button', { name: 'Reset the frame' }).click();
  await page.getByText('Frame:').waitFor({ state: 'detached' });
}

/** Alt with a key is the browser's: the page before, a menu. Brackets need it on some keyboards. */
export async function leavesKeysToTheBrowser(page, address) {
  await newScene(page, address, 160, 120);
  const isTaken = (key, altKey) => page.locator('.stage canvas').evaluate((canvas, [key, altKey]) => !canvas.dispatchEvent(new KeyboardEvent('keydown', { key, altKey, bubbles: true, cancelable: true })), [key, altKey]);
  assert.deepEqual(await Promise.all([isTaken('ArrowLeft', true), isTaken('e', true), isTaken('ArrowLeft', false), isTaken('[', true)]), [false, false, true, true]);
}

/** A second finger ends a long stroke and keeps it; one that comes right after the first was never to paint, however late the page hears of it. */
export async function keepsAStrokeWhenPinched(page, address) {
  await newScene(page, address, 160, 120);
  const box = await page.locator('.stage canvas').boundingBox();
  const fingers = await page.context().newCDPSession(page);
  const touchAt = (timestamp, type, ...points) => fingers.send('Input.dispatchTouchEvent', { type, timestamp, touchPoints: points.map(([x, y], id) => ({ id, x: box.x + x * box.width, y: box.y + y * box.height })) });
  const touch = (...what) => touchAt(Date.now() / 1000, ...what);
  await touch('touchStart', [0.3, 0.5]);
  for (let x = 0.32; x < 0.6; x += 0.04) await touch('touchMove', [x, 0.5]);
  await touch('touchStart', [0.58, 0.5], [0.7, 0.6]);
  await touch('touchMove', [0.55, 0.5], [0.75, 0.65]);
  await touch('touchEnd');
  assert.ok(await page.getByRole('button', { name: 'Undo' }).isEnabled(), 'the stroke is gone');
  await page.getByRole('button', { name: 'Undo' }).tap();
  await page.locator('.stage').evaluate((stage) => {
    const keepBusy = () => {
      for (const until = performance.now() + 400; performance.now() < until; );
    };
    stage.addEventListener('pointerdown', keepBusy, { capture: true, once: true });
  });
  const at = Date.now() / 1000;
  await Promise.all([touchAt(at, 'touchStart', [0.3, 0.5]), touchAt(at, 'touchStart', [0.3, 0.5], [0.7, 0.6])]);
  await touch('touchMove', [0.28, 0.5], [0.75, 0.65]);
  await touch('touchEnd');
  assert.ok(await page.getByRole('button', { name: 'Undo' }).isDisabled(), 'the pinch has painted');
  assert.ok(await page.getByRole('button', { name: 'Redo' }).isEnabled(), 'what was undone cannot be done again');
}
