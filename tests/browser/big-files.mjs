// Big files in slices, while the server dies and the page goes: part of the test in console.mjs.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from './browser.mjs';
import { closeUploads, filesOf } from './folders.mjs';
import { chooseFiles, uploaded } from './steps.mjs';

const SIZE = 100 * 1024 * 1024 + 4321;
const SLICES = 7;
const PATIENCE_MS = 60_000;
/** Bytes per second that the browser may send, so that there is a middle in which something can happen. */
const RATE = 24 * 1024 * 1024;

/** `server` can be killed and started; without one that can, only pages go away. */
export async function bigFiles(visitor, server) {
  const { page } = visitor;
  const directory = mkdtempSync(join(tmpdir(), 'hayloft-big-'));
  const network = await visitor.context.newCDPSession(page);
  const limit = (rate) => network.send('Network.emulateNetworkConditions', {
    offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: rate,
  });
  page.on('dialog', (dialog) => { void dialog.accept(); });
  try {
    const make = (name) => {
      const path = join(directory, name);
      writeFileSync(path, randomBytes(SIZE));
      return path;
    };
    const [first, second] = [make('first big.bin'), make('second big.bin')];
    await visitor.go('/files');
    await limit(RATE);
    await whileTheServerDies(visitor, server, first);
    await whileThePageGoes(visitor, server, second);
    await limit(-1);
    await page.waitForSelector('.card[data-name="second big.bin"]');
    await closeUploads(visitor);
    await thatIsCancelled(visitor, make('third big.bin'), limit);
    for (const path of [first, second]) await sameBytes(visitor, path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Counts slices that the server has acknowledged; `atLeast(n)` waits for so many. */
function acknowledged(page) {
  let count = 0;
  let reached = () => {};
  const listen = (response) => {
    if (response.request().method() !== 'PUT' || response.status() !== 204) return;
    count += 1;
    reached();
  };
  page.on('response', listen);
  return {
    get count() { return count; },
    async atLeast(wanted) {
      const deadline = Date.now() + PATIENCE_MS;
      while (count < wanted && Date.now() < deadline) {
        let timer;
        await Promise.race([
          new Promise((done) => { reached = done; }), new Promise((done) => { timer = setTimeout(done, deadline - Date.now()); }),
        ]);
        clearTimeout(timer);
      }
      expect(count >= wanted, `${wanted} slices should be acknowledged, and ${count} are`);
    },
    stop() { page.off('response', listen); },
  };
}

async function whileTheServerDies(visitor, server, path) {
  const { page } = visitor;
  await chooseFiles(visitor, path);
  const slices = acknowledged(page);
  await slices.atLeast(2);
  if (server) {
    await visitor.tolerating(/ERR_|Failed to load/, async () => {
      await server.kill();
      await page.waitForSelector('.upload-row.troubled');
      await visitor.inspect('big-file-server-gone');
      await server.start();
      await slices.atLeast(SLICES);
    });
  }
  await uploaded(visitor, 'first big.bin');
  expect(slices.count === SLICES, `each slice is acknowledged once, not ${slices.count} for ${SLICES}`);
  slices.stop();
}

async function whileThePageGoes(visitor, server, path) {
  const { page } = visitor;
  await chooseFiles(visitor, path);
  const before = acknowledged(page);
  await before.atLeast(1);
  await page.click('.upload-row[data-state=sending] .upload-row-tools button >> nth=0');
  await page.waitForSelector('.upload-row[data-state=paused]');
  await visitor.inspect('big-file-paused');
  await page.click('.upload-row[data-state=paused] .upload-row-tools button >> nth=0');
  await before.atLeast(3);
  await visitor.tolerating(/ERR_|Failed to load/, async () => {
    if (server) {
      await server.kill();
      await server.start();
    }
    await page.reload();
    await page.waitForSelector('.upload-row[data-state=unfinished]');
  });
  before.stop();
  await visitor.inspect('big-file-unfinished');
  const after = acknowledged(page);
  await chooseFiles(visitor, { name: 'other.bin', mimeType: '', buffer: Buffer.from('other') }, '.upload-decision button');
  await page.waitForSelector('.toast.bad');
  await page.click('.toast.bad .icon-button');
  await chooseFiles(visitor, path, '.upload-decision button');
  await uploaded(visitor, 'second big.bin');
  expect(after.count <= SLICES - 3, `only missing slices are sent again, not ${after.count}`);
  after.stop();
}

/** A cancelled upload leaves nothing at the server. */
async function thatIsCancelled(visitor, path, limit) {
  const { page } = visitor;
  await limit(RATE);
  await chooseFiles(visitor, path);
  const slices = acknowledged(page);
  await slices.atLeast(1);
  const gone = page.waitForResponse((response) => response.request().method() === 'DELETE' && response.url().includes('/uploads/'));
  await page.click('.upload-row[data-state=sending] .upload-row-tools button >> nth=1');
  expect((await gone).status() === 204, 'cancelling tells the server');
  slices.stop();
  await limit(-1);
  await page.reload();
  await visitor.settled();
  expect((await page.$('.upload-row')) === null, 'nothing is left to go on with');
}

async function sameBytes(visitor, path) {
  const name = path.split('/').at(-1);
  const file = (await filesOf(visitor)).find((one) => one.name === name);
  const local = readFileSync(path);
  const sent = Buffer.from(await (await fetch(file.url)).arrayBuffer());
  expect(sent.equals(local), `the bytes of ${name} are the same`);
  expect(file.md5 === createHash('md5').update(local).digest('hex'), `the MD5 of ${name} is right`);
}
