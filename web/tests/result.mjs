// The result pixel by pixel: it begins at the hole, the divider stays in sight, and what is beside its handle moves the photo.

import assert from 'node:assert/strict';
import { PATIENCE, check, newScene, rectangle, saved } from './steps.mjs';

export async function beginsAtTheHoleAtFullSize(page, address) {
  await newScene(page, address, 2600, 400);
  const sent = saved(page);
  await page.locator('input[type=file]').setInputFiles(await rectangle(page, 2600, 400, { x: 2000, y: 180, w: 60, h: 40 }));
  await sent;
  await page.getByLabel('Candidates').fill('2');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: PATIENCE });
  await page.locator('.before img').waitFor();
  const crop = await page.locator('.crop img').first().evaluate((image) => image.getBoundingClientRect().width / image.closest('.crop').getBoundingClientRect().width);
  assert.ok(crop > 5, `small pictures show ${crop}`);

  const enlarge = async () => {
    await page.getByRole('button', { name: '100 %' }).click();
    await page.waitForFunction(() => document.querySelector('.scroller').scrollWidth > 1290);
  };
  await enlarge();
  const look = () =>
    page.locator('.scroller').evaluate((scroller) => {
      const [view, knob] = [scroller, document.querySelector('.knob')].map((part) => part.getBoundingClientRect());
      const end = parseFloat(/- ([\d.]+)px/.exec(document.querySelector('.before').style.clipPath)?.[1]);
      return { width: scroller.scrollWidth, middle: scroller.scrollLeft + scroller.clientWidth / 2, knob: knob.left + knob.width / 2 - view.left, seen: view.width, end: end - scroller.scrollLeft };
    });
  const before = await look();
  assert.ok(Math.abs(before.width - 1300) < 2, `a pixel of the photo is not one of the screen: ${before.width}`);
  const beginsAtTheHole = ({ middle, seen }) => Math.abs(middle - 1015) < 4 || middle > 1300 - seen / 2 - 2;
  assert.ok(beginsAtTheHole(before), JSON.stringify(before));
  assert.ok(Math.abs(before.knob - before.seen / 2) < 2 && Math.abs(before.end - before.knob) < 2, JSON.stringify(before));
  await check(page, 'result full');

  const box = await page.locator('.scroller').boundingBox();
  await page.mouse.move(box.x + 100, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + 200, box.y + 40, { steps: 4 });
  await page.mouse.up();
  const panned = await look();
  assert.ok(Math.abs(panned.middle - (before.middle - 100)) < 3 && Math.abs(panned.knob - before.knob) < 1, JSON.stringify([before, panned]));
  await page.mouse.move(box.x + panned.knob, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + panned.knob + 60, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  const slid = await look();
  assert.ok(slid.middle === panned.middle && Math.abs(slid.knob - panned.knob - 60) < 3, JSON.stringify([panned, slid]));
  await page.keyboard.press('ArrowRight');
  await page.getByText('Why it is number 2').waitFor();
  await page.getByText('Candidate 2 is loading…').waitFor({ state: 'detached' });
  assert.equal((await look()).middle, slid.middle, 'another candidate is seen at another place');

  await page.addInitScript(() => {
    const late = (event) => {
      const { target } = event;
      if (!event.isTrusted || !target.matches('.after')) return;
      event.stopImmediatePropagation();
      setTimeout(() => target.dispatchEvent(new Event('load')), 600);
    };
    document.addEventListener('load', late, true);
  });
  await page.reload();
  await page.locator('.before img').waitFor();
  await enlarge();
  assert.ok(beginsAtTheHole(await look()), `a photo that comes late: ${JSON.stringify(await look())}`);
}
