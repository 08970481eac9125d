// The pictures of the page in docs/images (there cropped, as JPEG): the example scene, run in full, at desk and phone width.
//
//   node tests/shots.mjs folder

import { join } from 'node:path';
import { withServerAndBrowser } from './server.mjs';

const folder = process.argv[2];

await withServerAndBrowser(async (address, browser) => {
  const desk = { viewport: { width: 1320, height: 900 }, colorScheme: 'light' };
  const page = await (await browser.newContext(desk)).newPage();
  if (process.env.ASSETS) await page.route('**/assets/*', (route) => route.fulfill({ path: join(process.env.ASSETS, new URL(route.request().url()).pathname.split('/').at(-1)) }));
  const shoot = (name) => page.screenshot({ path: join(folder, `page-${name}.png`) });
  await page.goto(address);
  await page.getByRole('button', { name: 'Try the example scene' }).click();
  await page.locator('.stage canvas').waitFor();
  await page.waitForTimeout(1500);
  await shoot('mask');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.previews figure').nth(1).waitFor({ timeout: 900_000 });
  await page.waitForTimeout(1500);
  await shoot('running');
  await page.getByRole('heading', { name: 'Done' }).waitFor({ timeout: 900_000 });
  await page.locator('.before img').waitFor();
  await page.waitForTimeout(1500);
  await shoot('result');
  await page.getByLabel('Show what is supported').check();
  await page.locator('.over').waitFor();
  await page.emulateMedia({ colorScheme: 'dark' });
  await shoot('fidelity');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(500);
  await shoot('phone');
});
