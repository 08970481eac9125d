// A `realfill serve` with an empty data folder, and a Chromium, for as long as something is done with them.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const target = process.env.CARGO_TARGET_DIR ?? join(import.meta.dirname, '../../target');

/** Starts `realfill serve` on a free port. */
async function serve(folder) {
  const process = spawn(join(target, 'release/realfill'), ['serve', '--port', '0', '--data-dir', folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  let told = '';
  const address = await new Promise((resolve, reject) => {
    process.stderr.on('data', (data) => {
      told += data;
      const found = /http:\/\/[^/]+\//.exec(told);
      if (found) resolve(found[0]);
    });
    process.on('exit', () => reject(new Error(`the server ended: ${told}`)));
  });
  return { process, address };
}

/** Calls `act(address, browser)`; cleans up however that ends. */
export async function withServerAndBrowser(act) {
  const folder = await mkdtemp(join(tmpdir(), 'realfill-page-'));
  const server = await serve(folder);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  try {
    await act(server.address, browser);
  } finally {
    await browser.close();
    const ended = new Promise((resolve) => server.process.once('exit', resolve));
    server.process.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}
