#!/usr/bin/env node
// Drives the npm clients `fdfs` 1.0.4 and `fastdfs-client` 1.0.2 (a fork with the same API)
// through the whole life of a file against a running server.
//
// Usage: npm_fdfs_cycle.js PACKAGE HOST:PORT      (the tracker's address)
//
// Prints a line per step and leaves with status 1 at the first mismatch. It passes against the
// original FastDFS as well, so a failure is a difference between the two servers.
//
// What the clients themselves cannot do is not tried: slaves and truncate do not exist in them,
// listings want the 105-byte records of old servers. An empty download never ends in them.
'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const DEADLINE_MS = 120000;

const [packageName, tracker] = process.argv.slice(2);
if (!packageName || !tracker) {
  console.error('usage: npm_fdfs_cycle.js PACKAGE HOST:PORT');
  process.exit(2);
}
const colon = tracker.lastIndexOf(':');
const quiet = () => {};
const Client = require(packageName);
const client = new Client({
  trackers: [{ host: tracker.slice(0, colon), port: Number(tracker.slice(colon + 1)) }],
  timeout: 10000,
  defaultExt: '',
  charset: 'utf8',
  logger: { log: quiet, debug: quiet, info: quiet, warn: quiet, error: console.error },
});
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hayloft-npm-'));

const step = (text) => console.log(`${packageName}: ${text}`);

async function content(fileId, options = {}) {
  const target = path.join(folder, crypto.randomUUID());
  await client.download(fileId, { target, ...options });
  return fs.readFileSync(target);
}

function same(what, got, want) {
  assert.ok(
    Buffer.from(want).equals(got),
    `${what}: ${got.length} bytes that are not the ${want.length} wanted`,
  );
}

async function refused(what, status, promise) {
  const error = await promise.then(
    () => assert.fail(`${what}: succeeded, want status ${status}`),
    (error) => error,
  );
  assert.strictEqual(error.code, status, `${what}: ${error.message}`);
}

async function uploads() {
  const hello = await client.upload(Buffer.from('hello'), { ext: 'txt' });
  assert.match(hello, /^[A-Za-z0-9]{1,16}\/M[0-9A-F]{2}\/[0-9A-F]{2}\/[0-9A-F]{2}\/[\w-]{30}\.txt$/);
  same('a buffer', await content(hello), 'hello');
  const tar = await client.upload(Buffer.from('archive'), { ext: 'tar.gz' });
  assert.ok(tar.endsWith('.tar.gz'), tar);
  same('a six-character extension', await content(tar), 'archive');
  step(`upload of a buffer: ${hello}`);

  const big = crypto.randomBytes(3 * 1024 * 1024 + 17);
  const file = path.join(folder, 'photo.jpg');
  fs.writeFileSync(file, big);
  const photo = await client.upload(file);
  assert.ok(photo.endsWith('.jpg'), photo);
  same('a file', await content(photo), big);
  step('upload of a file');

  const streamed = await client.upload(fs.createReadStream(file), { size: big.length, ext: 'jpg' });
  same('a stream', await content(streamed), big);
  const group = hello.split('/')[0];
  const placed = await client.upload(Buffer.from('placed'), { group, ext: 'txt' });
  assert.ok(placed.startsWith(`${group}/`), placed);
  step('upload of a stream, upload to a given group');
  return { hello, photo, big };
}

async function ranges(photo, big) {
  for (const [offset, bytes] of [[0, 1], [5, 5], [1048575, 2], [big.length - 3, 3]]) {
    const part = await content(photo, { offset, bytes });
    same(`range ${offset}+${bytes}`, part, big.subarray(offset, offset + bytes));
  }
  same('an open range', await content(photo, { offset: 1000 }), big.subarray(1000));
  same('a range past the end', await content(photo, { offset: big.length - 1, bytes: 9 }),
    big.subarray(big.length - 1));
  step('ranges');
}

async function information(hello) {
  const info = await client.getFileInfo(hello);
  assert.strictEqual(info.size, 5);
  assert.strictEqual(info.crc32, 0x3610a686);
  assert.match(info.addr, /^\d+\.\d+\.\d+\.\d+$/);
  assert.ok(Math.abs(info.timestamp - Date.now() / 1000) < 300, `time ${info.timestamp}`);
  step('file information');
}

async function metadata(hello) {
  await refused('metadata before any was set', 2, client.getMetaData(hello));
  await client.setMetaData(hello, { width: '160', author: 'me' });
  assert.deepStrictEqual(await client.getMetaData(hello), { author: 'me', width: '160' });
  await client.setMetaData(hello, { zed: '1', author: 'you' }, 'M');
  const merged = await client.getMetaData(hello);
  assert.deepStrictEqual(merged, { author: 'you', width: '160', zed: '1' });
  assert.deepStrictEqual(Object.keys(merged), ['author', 'width', 'zed'], 'sorted by name');
  await client.setMetaData(hello, { only: 'ünï' }, 'O');
  assert.deepStrictEqual(await client.getMetaData(hello), { only: 'ünï' });
  step('metadata: set, merge, overwrite');
}

async function appender() {
  const log = await client.upload(Buffer.from('hello'), { method: 'uploadAppender', ext: 'log' });
  await client.upload(Buffer.from(' world'), { method: 'append', fileId: log });
  same('after append', await content(log), 'hello world');
  await client.upload(Buffer.from('WORLD'), { method: 'modify', fileId: log, offset: 6 });
  same('after modify', await content(log), 'hello WORLD');
  assert.strictEqual((await client.getFileInfo(log)).size, 11);
  step('appender: append, modify');
  return log;
}

async function refusals(hello) {
  const missing = `${hello.slice(0, -3)}tzt`;
  await refused('information of a missing file', 2, client.getFileInfo(missing));
  await refused('delete of a missing file', 2, client.del(missing));
  await refused('metadata of a missing file', 2, client.getMetaData(missing));
  await refused('append to a missing appender', 2,
    client.upload(Buffer.from('x'), { method: 'append', fileId: missing }));
  await refused('append to a normal file', 22,
    client.upload(Buffer.from('x'), { method: 'append', fileId: hello }));
  const target = path.join(folder, 'missing');
  await refused('download of a missing file', 2, client.download(missing, { target }));
  await refused('upload to an unknown group', 2,
    client.upload(Buffer.from('x'), { group: 'nogroup', ext: 'txt' }));
  same('after the refusals', await content(hello), 'hello');
  step('refusals: missing, unknown group, not an appender');
}

async function deletes(...fileIds) {
  for (const fileId of fileIds) {
    await client.del(fileId);
    await refused('information after delete', 2, client.getFileInfo(fileId));
    await refused('second delete', 2, client.del(fileId));
  }
  step('delete');
}

async function main() {
  const { hello, photo, big } = await uploads();
  await ranges(photo, big);
  await information(hello);
  await metadata(hello);
  const log = await appender();
  await refusals(hello);
  await deletes(hello, photo, log);
  step('whole cycle passed');
}

const deadline = setTimeout(() => {
  console.error(`${packageName}: no end after ${DEADLINE_MS} ms`);
  process.exit(1);
}, DEADLINE_MS);

main()
  .catch((error) => {
    console.error(`${packageName}: ${error.stack}`);
    process.exitCode = 1;
  })
  .finally(() => {
    clearTimeout(deadline);
    fs.rmSync(folder, { recursive: true, force: true });
  });
