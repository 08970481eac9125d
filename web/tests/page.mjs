// The page in Chromium against a real server: photos in, mask painted with the mouse, a run watched, candidates compared, the
// result downloaded and its pixels checked; at desk and phone width, light and dark, with axe. The single concerns are tested in
// marking.mjs, making.mjs, result.mjs and troubles.mjs.
//
//   node tests/page.mjs                 needs the built program and Chromium (CHROMIUM, or /usr/bin/chromium)
//   SHOTS=folder node tests/page.mjs    leaves screenshots there
//   ASSETS=folder node tests/page.mjs   takes the page's files from there, to try a change without building the program

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import {
  framesWithTheHandles,
  keepsAStrokeWhenPinched,
  keepsWhatIsPainted,
  leavesKeysToTheBrowser,
  saysWhyTheMaskWaits,
  sendsNoMaskThatWasReadTooLate,
  sendsTheMaskWhenTheServerIsBack,
  takesAMaskFileWhole,
} from './marking.mjs';
import { beginsAtTheHoleAtFullSize } from './result.mjs';
import { withServerAndBrowser } from './server.mjs';
import { makesOneRunOfOneIntention, staysWhereOneWentMeanwhile } from './making.mjs';
import { PATIENCE, check, differences, drag, maskOf, open, photo, saved } from './steps.mjs';
import { asksForTheToken, asksForTheTokenAtOnce, givesUpPicturesOfAPageThatWasLeft, saysWhatItLeavesOut, showsARunWhenTheServerIsBack, showsTheLatestState, tellsALostConnection, waitsForPreviews } from './troubles.mjs';

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

  let savedAs;
  const save = async (name) => {
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name, exact: true }).click();
    const download = await waiting;
    savedAs = download.suggestedFilename();
    return readFile(await download.path());
  };
  const scene = (await page.locator('.title a').getAttribute('href')).split('/').at(-1);
  const mask = await maskOf(page, address, scene);
  const best = await differences(page, house.buffer, await save('Download photo'), mask);
  assert.equal(savedAs, 'photo-0-completed.png');
  assert.ok(best.size && best.outside === 0 && best.inside > 20, JSON.stringify(best));
  assert.equal(JSON.parse(await save('Report')).candidates.length, 2);
  await page.getByRole('button', { name: /Seed/ }).click();
  await page.getByText('Why it is number 2').waitFor();
  const second = await differences(page, house.buffer, await save('Download photo'), mask);
  assert.ok(second.size && second.outside === 0, JSON.stringify(second));
  assert.equal(savedAs, 'photo-0-completed-2.png');
  await page.keyboard.press('ArrowLeft');
  await page.getByText('Why it is number 1').waitFor();
  assert.ok(await page.locator('.after').isVisible(), 'the picture before stays until the next one is there');

  const job = page.url();
  await page.goto(`${address}#/scene/${scene}`);
  await page.locator('.stage canvas').waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  const put = saved(page);
  await drag(page, [0.35, 0.75], [0.65, 0.8]);
  await put;
  await page.goto(job);
  await drawsMore(page, job, 2);
  const more = await differences(page, house.buffer, await save('Download photo'), mask);
  assert.ok(more.size && more.outside === 0 && more.inside > 20, `it fills another hole: ${JSON.stringify(more)}`);
  await page.goto(job);
  await drawsMore(page, job, 3);
  await deletesARun(page);
}

/** One candidate more, for the hole of this very job, with a seed that nobody had. */
async function drawsMore(page, job, seed) {
  await page.getByLabel('How many').fill('1');
  await page.getByRole('button', { name: 'Draw more' }).click();
  await page.waitForURL((url) => url.href !== job);
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
  await page.locator('.after').waitFor();
  const asked = page.asked.at(-1);
  const id = job.split('/').at(-1);
  assert.deepEqual([asked.mask_of, asked.adapter_of, asked.settings.seed, asked.settings.candidates], [id, id, seed, 1]);
}

async function deletesARun(page) {
  const id = page.url().split('/').at(-1);
  await page.locator('.crop img').first().waitFor();
  await page.getByRole('button', { name: 'Delete this run' }).click();
  await page.getByRole('button', { name: 'Keep' }).press('Enter');
  assert.ok(await page.getByRole('button', { name: 'Delete this run' }).evaluate((button) => button === document.activeElement));
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.locator('.stage canvas').waitFor();
  assert.equal(await page.locator(`a[href='#/job/${id}']`).count(), 0);
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
  page.iterations = 200; // a few seconds: long enough to be stopped, and soon done all the same
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
  let isDeleted = false;
  page.on('request', (request) => (isDeleted ||= request.method() === 'DELETE'));
  await page.getByRole('button', { name: /^Delete photo/ }).first().dblclick();
  await page.getByRole('button', { name: 'Delete for good' }).waitFor();
  assert.ok(!isDeleted, 'a double click has answered the question that it raised');
  await page.getByRole('button', { name: 'Delete for good' }).click();
  await page.waitForFunction((count) => document.querySelectorAll('.entry').length === count, before - 1);
}

/** The example on a phone, its mask touched, the run begun and stopped. */
async function exampleOnAPhone(page, address) {
  page.iterations = 100_000; // it is stopped anyway
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
  await keepsWhatIsPainted(await open(browser, address, desk), address);
  await sendsTheMaskWhenTheServerIsBack(await open(browser, address, desk, /ERR_FAILED|502|500|429/), address);
  await saysWhyTheMaskWaits(await open(browser, address, desk, /503/), address);
  await sendsNoMaskThatWasReadTooLate(await open(browser, address, desk), address);
  await takesAMaskFileWhole(await open(browser, address, desk), address);
  await framesWithTheHandles(await open(browser, address, desk), address);
  await leavesKeysToTheBrowser(await open(browser, address, desk), address);
  await keepsAStrokeWhenPinched(await open(browser, address, phone), address);
  console.log('page: the mask is kept, files whole, frame and fingers');
  await staysWhereOneWentMeanwhile(await open(browser, address, desk), address);
  await makesOneRunOfOneIntention(await open(browser, address, desk, /ERR_FAILED/), address);
  console.log('page: scenes and runs are made once, and nobody is dragged to them');
  await asksForTheToken(await open(browser, address, desk, /401/), address);
  await asksForTheTokenAtOnce(await open(browser, address, desk), address);
  await saysWhatItLeavesOut(await open(browser, address, desk), address);
  await tellsALostConnection(await open(browser, address, desk, /ERR_FAILED/), address);
  await showsTheLatestState(await open(browser, address, desk), address);
  await showsARunWhenTheServerIsBack(await open(browser, address, desk, /ERR_FAILED/), address);
  await waitsForPreviews(await open(browser, address, desk, /404/), address);
  await givesUpPicturesOfAPageThatWasLeft(await open(browser, address, desk), address);
  console.log('page: token, files, connection');
  await beginsAtTheHoleAtFullSize(await open(browser, address, { ...desk, deviceScaleFactor: 2 }), address);
  console.log('page: the result pixel by pixel');
});
