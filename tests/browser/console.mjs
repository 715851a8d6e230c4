// The browser test of the console: node console.mjs BASE_URL OUT_DIR
//
// Registers, uploads in every way, looks, searches, sorts, previews, makes folders, moves, deletes and
// restores, shares, opens a share as a stranger, saves as a second user; at phone and desktop width, in
// both languages, light and dark. Big files go up while the server is killed (server.mjs) and the page is
// reloaded. Screenshots of each stage go to OUT_DIR. Ends with 1 and a message at the first failure.
//
// Where HAYLOFT_ADMIN_USER and HAYLOFT_ADMIN_PASSWORD name an administrator, the administrator's page
// is visited as well; otherwise only if the first account to register is one.

import { DESKTOP, Failure, PHONE, Visitor, expect, launch, mayUseClipboard } from './browser.mjs';
import { bigFiles } from './big-files.mjs';
import { apps, closeUploads, folders, quotas, trash } from './folders.mjs';
import { serverControl } from './server.mjs';
import { note, pdf, picture, sound } from './samples.mjs';
import {
  act, cardOf, chooseFiles, drop, film, iconed, listed, names, openTable, paste, register, search, signIn, sortBy, toasted, token, uploaded,
} from './steps.mjs';

const [base, outDir] = process.argv.slice(2);
if (!base || !outDir) {
  console.error('usage: node console.mjs BASE_URL OUT_DIR');
  process.exit(2);
}
const PASSWORD = 'correct horse';
const run = Date.now() % 1_000_000;
const PNG = 'image/png';
/** What becomes of a name with characters that names cannot have. */
const ODD_NAME = '谷仓 ＜b＞&amp;＂x＂.png';

/** Every kind of upload; gives the names that are there afterwards. */
async function uploads(visitor, seed) {
  const { page } = visitor;
  await page.waitForSelector('.empty');
  await visitor.inspect('empty');

  await chooseFiles(visitor, [
    { name: 'alpha.png', mimeType: PNG, buffer: picture(seed + 1) },
    { name: '谷仓 <b>&amp;"x".png', mimeType: PNG, buffer: picture(seed + 2) },
    { name: 'note.md', mimeType: 'text/markdown', buffer: note(seed) },
    { name: 'bell.wav', mimeType: 'audio/wav', buffer: sound(seed) },
    { name: 'manual.pdf', mimeType: 'application/pdf', buffer: pdf(seed) },
    { name: 'clip.webm', mimeType: 'video/webm', buffer: await film(visitor, seed) },
  ]);
  for (const name of ['alpha.png', ODD_NAME, 'note.md', 'bell.wav', 'manual.pdf', 'clip.webm']) await uploaded(visitor, name);

  await drop(visitor, [{ name: 'dropped.png', mimeType: PNG, buffer: picture(seed + 3) }]);
  await uploaded(visitor, 'dropped.png');
  await drop(visitor, [{ name: 'alpha again.png', mimeType: PNG, buffer: picture(seed + 1) }]);
  await uploaded(visitor, 'alpha again.png', ['instant']);
  await drop(visitor, [{ name: 'alpha.png', mimeType: PNG, buffer: picture(seed + 1) }]);
  await uploaded(visitor, 'alpha.png', ['present']);

  if (mayUseClipboard(base)) {
    await paste(visitor, picture(seed + 4));
    await page.waitForFunction(() => [...document.querySelectorAll('.card-name')].some((one) => one.textContent.startsWith('paste-')));
  }

  await retries(visitor, seed);
  await visitor.settled();
  await visitor.inspect('uploaded');
  await closeUploads(visitor);
}

/** What the network cuts off is tried again by itself; what the server refuses waits for its user. */
async function retries(visitor, seed) {
  const { page } = visitor;
  await visitor.tolerating(/ERR_FAILED/, async () => {
    await page.route('**/slices/*', (route) => route.abort(), { times: 1 });
    await drop(visitor, [{ name: 'by itself.png', mimeType: PNG, buffer: picture(seed + 6) }]);
    await page.waitForSelector('.upload-row.troubled');
    await visitor.inspect('upload-troubled');
    await uploaded(visitor, 'by itself.png');
  });
  await visitor.tolerating(/400/, async () => {
    const refusal = { status: 400, contentType: 'application/json', body: '{"error":"bad_slice","message":"damaged"}' };
    await page.route('**/slices/*', (route) => route.fulfill(refusal), { times: 1 });
    await drop(visitor, [{ name: 'second try.png', mimeType: PNG, buffer: picture(seed + 5) }]);
    await uploaded(visitor, 'second try.png', ['failed']);
  });
  await visitor.inspect('upload-failed');
  await page.click(iconed('.upload-row[data-state=failed] .icon-button', 'retry'));
  await uploaded(visitor, 'second try.png');
  await page.waitForSelector(cardOf('second try.png'));
}

async function looksAround(visitor) {
  const { page } = visitor;
  await visitor.decoded('.card img.thumb', 5);
  await visitor.inspect('root');
  await page.click('.tab:not([aria-current])');
  await page.waitForSelector('.sorting select:not([hidden])');
  await visitor.settled();
  await visitor.decoded('.card img.thumb', 5);
  expect(await page.$eval(`${cardOf('alpha.png')} img`, (image) => image.src.includes('?thumb=')), 'a card shows the thumbnail, not the original');
  await visitor.inspect('grid');

  const all = await names(visitor);
  await sortBy(visitor, 'name', 'up');
  const ascending = await names(visitor);
  await page.click('.sorting button');
  await page.waitForSelector(iconed('.sorting button', 'down'));
  await listed(visitor, [...ascending].reverse(), true);
  expect([...ascending].sort().join() === [...all].sort().join(), 'sorting keeps all files');
  await sortBy(visitor, 'size', 'down');
  await sortBy(visitor, 'views', 'down');
  await sortBy(visitor, 'created', 'down');
  await listed(visitor, all, true);

  await search(visitor, 'ALPHA');
  await listed(visitor, ['alpha again.png', 'alpha.png'], true);
  await visitor.inspect('found');
  await search(visitor, 'no such name');
  await page.waitForSelector('.empty');
  await visitor.inspect('not-found');
  await search(visitor, '');
  await listed(visitor, all, true);

  await openTable(visitor);
  await visitor.decoded('table img.thumb', 5);
  await page.click('thead .sort-button');
  await page.waitForSelector('th[aria-sort=ascending]');
  await listed(visitor, ascending, true);
  await visitor.inspect('table');
  await page.click('[data-view=grid]');
  await page.waitForSelector('.grid');
  await visitor.go('/files');
}

async function previews(visitor) {
  const { page } = visitor;
  const show = async (name) => {
    await page.click(`${cardOf(name)} .card-open`);
    await page.waitForSelector('dialog.preview[open]');
  };
  const close = async () => {
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog.preview', { state: 'detached' });
  };
  await show('alpha.png');
  await visitor.decoded('.preview-picture');
  await visitor.inspect('preview-picture');
  const before = await page.textContent('.preview-title h2');
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction((old) => document.querySelector('.preview-title h2').textContent !== old, before);
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction((old) => document.querySelector('.preview-title h2').textContent === old, before);
  await close();

  await show('note.md');
  await page.waitForFunction(() => document.querySelector('.preview-text pre')?.textContent.includes('<img src=x'));
  await visitor.inspect('preview-text');
  await close();
  await show('bell.wav');
  await page.waitForFunction(() => document.querySelector('audio.preview-audio')?.duration > 0);
  await visitor.inspect('preview-audio');
  await close();
  await show('clip.webm');
  await page.waitForFunction(() => document.querySelector('video.preview-video')?.videoWidth > 0);
  await visitor.inspect('preview-video');
  await close();
  await show('manual.pdf');
  const frame = await (await page.waitForSelector('iframe.preview-pdf')).contentFrame();
  await frame.waitForLoadState();
  expect(frame.url().endsWith('.pdf'), `the PDF opens in its frame, not ${frame.url()}`);
  await close();
}

/** Copies links, shares a file and makes a picture link; gives the address of its page. */
async function shares(visitor) {
  const { page } = visitor;
  await act(visitor, 'alpha.png', 'link');
  await page.check('dialog [value=markdown]', { force: true });
  const markdown = await page.inputValue('dialog textarea');
  expect(/^!\[alpha\.png\]\(http.+\)$/.test(markdown), `a Markdown link, not ${markdown}`);
  await page.check('dialog [value=bbcode]', { force: true });
  expect(/^\[img\]http.+\[\/img\]$/.test(await page.inputValue('dialog textarea')), 'a BBCode link');
  await page.check('dialog [value=html]', { force: true });
  expect((await page.inputValue('dialog textarea')).startsWith('<img src="http'), 'an HTML link');
  await visitor.inspect('copy-link');
  await page.click('dialog .button.primary');
  await toasted(visitor);
  if (mayUseClipboard(base)) {
    expect((await page.evaluate(() => navigator.clipboard.readText())).startsWith('<img'), 'the link is in the clipboard');
  }

  await act(visitor, 'alpha.png', 'share');
  await toasted(visitor);
  await page.waitForSelector(`${cardOf('alpha.png')} .badge`);

  await act(visitor, 'dropped.png', 'picture-share');
  await page.waitForSelector('dialog [value=page]', { state: 'attached' });
  const address = await page.inputValue('dialog textarea');
  expect(/\/share\?urlmd5=[0-9a-f]{32}$/.test(address), `the address of a share page, not ${address}`);
  await page.click('dialog .button.primary');
  await toasted(visitor);
  return address;
}

async function strangerLooks(browser, address, sharer, name, options) {
  const stranger = await Visitor.arrive(browser, base, outDir, name, options);
  const { page } = stranger;
  await stranger.open(new URL(address).pathname + new URL(address).search);
  await stranger.decoded('.share-stage .preview-picture');
  expect((await page.textContent('.share-facts strong')) === sharer, 'the share page names the sharer');
  expect(/\b1\b/.test(await page.textContent('.share-facts p span')), 'the first visit shows one view');
  await stranger.inspect('share-page');
  await page.click('[data-role=language]');
  await stranger.inspect('share-page-other-language');

  await stranger.open('/share?urlmd5=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E');
  await page.waitForSelector('.empty');
  expect((await page.$('img[src=x]')) === null, 'the address is not echoed as markup');
  await stranger.inspect('share-gone');

  await stranger.open('/#/shared');
  await page.waitForSelector(cardOf('alpha.png'));
  await stranger.inspect('shared-without-account');
  await stranger.open('/#/ranking');
  await page.waitForSelector('.rank');
  await stranger.inspect('ranking-without-account');
  await stranger.leave();
}

async function secondUserSaves(browser, name, options) {
  const second = await Visitor.arrive(browser, base, outDir, name, options);
  const { page } = second;
  const user = `second-${name}-${run}`;
  await register(second, user, PASSWORD);
  await second.go('/shared');
  await act(second, 'alpha.png', 'save');
  await toasted(second);
  await second.inspect('saved');
  await act(second, 'alpha.png', 'save');
  await toasted(second, 'bad');
  await second.go('/files');
  await listed(second, ['alpha.png']);
  await second.decoded('.card img.thumb');

  // A token with less than 12 hours left is exchanged for a new one, and the old one ends.
  const old = await token(second);
  await page.evaluate(() => {
    const session = JSON.parse(localStorage.getItem('hayloft.session'));
    localStorage.setItem('hayloft.session', JSON.stringify({ ...session, expires: session.expires - 20 * 3600 }));
  });
  await page.reload();
  await page.waitForFunction((before) => JSON.parse(localStorage.getItem('hayloft.session')).token !== before, old);
  await second.settled();
  const refused = await fetch(`${base}/console/api/me`, { headers: { Authorization: `Bearer ${old}` } });
  expect(refused.status === 401, `the old token is refused, not answered with ${refused.status}`);

  // The session ends elsewhere: the next step leads to the log-in page and back.
  await second.go('/account');
  await second.inspect('account');
  await fetch(`${base}/console/api/session`, { method: 'DELETE', headers: { Authorization: `Bearer ${await token(second)}` } });
  await second.tolerating(/401/, async () => {
    await second.page.evaluate(() => { location.hash = '/pictures'; });
    await page.waitForSelector('[name=password]');
  });
  await second.settled();
  await second.inspect('session-ended');
  await second.tolerating(/401/, () => signIn(second, user, PASSWORD));
  expect((await page.evaluate(() => location.hash)) === '#/pictures', 'after signing in again one is back at the page');
  await second.go('/files');

  await deletes(second, ['alpha.png'], 'second-delete', false);
  await page.waitForSelector('.empty');
  await second.leave();
}

/** Selects files, moves them to the trash and sees them gone; `asked` if one is shared. */
async function deletes(visitor, chosen, what, asked) {
  const { page } = visitor;
  const before = await names(visitor);
  for (const name of chosen) await page.check(`${cardOf(name)} [type=checkbox]`, { force: true });
  await visitor.inspect(`${what}-selected`);
  await page.click(iconed('.selection-bar button', 'trash'));
  if (asked) {
    await page.waitForSelector('dialog .button.danger');
    await visitor.inspect(`${what}-question`);
    await page.click('dialog .button.danger');
  }
  await toasted(visitor);
  await listed(visitor, before.filter((name) => !chosen.includes(name)));
}

async function pictureLinks(visitor, address) {
  const { page } = visitor;
  await visitor.go('/pictures');
  await visitor.decoded('.share-picture img');
  expect((await page.textContent('.share-link')) === address, 'the page lists the link');
  await visitor.inspect('picture-links');
  await page.click(iconed('.share-tools .icon-button', 'trash'));
  await page.click('dialog .button.danger');
  await toasted(visitor);
  await page.waitForSelector('.empty');
}

/** Everything that one person does, in one width and language. */
async function journey(browser, name, options, zh) {
  const seed = run * 10 + (zh ? 1000 : 0);
  const user = `${zh ? '麦' : 'ada'}-${name}-${run}`;
  const visitor = await Visitor.arrive(browser, base, outDir, name, options);
  await visitor.open('/');
  await visitor.inspect('log-in');
  await register(visitor, user, PASSWORD);
  expect(/[\u4e00-\u9fff]/.test(await visitor.page.textContent('h1')) === zh, 'the language follows the browser');
  await uploads(visitor, seed);
  await looksAround(visitor);
  await previews(visitor);
  const address = await shares(visitor);
  await strangerLooks(browser, address, user, `${name}-stranger`, options);
  await secondUserSaves(browser, `${name}-second`, options);

  await visitor.go('/shared');
  await visitor.inspect('shared');
  await visitor.go('/ranking');
  await visitor.inspect('ranking');
  await visitor.go('/account');
  await visitor.inspect('account');
  await pictureLinks(visitor, address);
  await visitor.go('/files');
  await folders(visitor, seed, { narrow: Boolean(options.isMobile) });
  await trash(visitor);
  await apps(visitor);
  await administers(visitor);
  await visitor.go('/files');
  const state = await visitor.context.storageState();
  await tour(browser, `${name}-dark`, { ...options, storageState: state, colorScheme: 'dark', locale: zh ? 'en-US' : 'zh-CN' });
  await deletes(visitor, ['alpha.png', 'note.md'], 'delete', true);

  await visitor.page.click('[data-role=account]');
  await visitor.page.click(iconed('.menu .menu-item', 'sign-out'));
  await visitor.page.waitForSelector('[name=password]');
  expect((await visitor.page.evaluate(() => localStorage.getItem('hayloft.session'))) === null, 'signing out clears the token');
  await visitor.leave();
}

async function administers(visitor) {
  const administrator = await visitor.page.evaluate(async (bearer) => (
    (await (await fetch('/console/api/me', { headers: { Authorization: `Bearer ${bearer}` } })).json()).administrator), await token(visitor));
  if (!administrator) return console.log(`${visitor.name}: not an administrator, that page is not visited`);
  await visitor.go('/admin');
  await visitor.page.waitForSelector('.node .state');
  await visitor.page.waitForSelector('.accounts tbody tr');
  return visitor.inspect('administration');
}

/** The same pages in the dark and in the other language. */
async function tour(browser, name, options) {
  const visitor = await Visitor.arrive(browser, base, outDir, name, options);
  for (const path of ['files', 'files?list=all', 'trash', 'apps', 'shared', 'ranking', 'pictures', 'account']) {
    await visitor.open(`/#/${path}`);
    await visitor.inspect(path.replace('?list=', '-'));
  }
  await visitor.open('/#/files');
  await visitor.page.click('button.card-open');
  await visitor.page.waitForSelector('dialog.preview[open]');
  await visitor.inspect('preview');
  await visitor.leave();
}

/** Both languages know the same texts. */
async function dictionaries(browser) {
  const visitor = await Visitor.arrive(browser, base, outDir, 'texts', DESKTOP);
  await visitor.open('/');
  const [en, zh] = await visitor.page.evaluate(async () => [
    Object.keys((await import('/console/text-en.js')).EN), Object.keys((await import('/console/text-zh.js')).ZH),
  ]);
  expect([...en].sort().join() === [...zh].sort().join(), 'the dictionaries have the same keys');
  await visitor.leave();
}

async function namedAdministrator(browser) {
  const { HAYLOFT_ADMIN_USER: user, HAYLOFT_ADMIN_PASSWORD: password } = process.env;
  if (!user || !password) return;
  for (const [name, options] of [['admin-desktop', DESKTOP], ['admin-phone', PHONE]]) {
    const visitor = await Visitor.arrive(browser, base, outDir, name, { ...options, locale: 'en-US', colorScheme: 'light' });
    await visitor.open('/#/login');
    await signIn(visitor, user, password);
    await administers(visitor);
    const guest = await Visitor.arrive(browser, base, outDir, `${name}-guest`, { ...options, locale: 'zh-CN', colorScheme: 'dark' });
    const guestName = `guest-${name}-${run}`;
    await guest.open('/');
    await register(guest, guestName, PASSWORD);
    await quotas(visitor, guest, guestName);
    await guest.leave();
    await visitor.leave();
  }
}

/** Big files, by somebody who has nothing else to do. */
async function patientUser(browser, server) {
  const visitor = await Visitor.arrive(browser, base, outDir, 'big', { ...DESKTOP, locale: 'en-US', colorScheme: 'light' });
  await visitor.open('/');
  await register(visitor, `patient-${run}`, PASSWORD);
  await bigFiles(visitor, server);
  await visitor.leave();
}

const server = serverControl();
const browser = await launch();
try {
  await dictionaries(browser);
  await journey(browser, 'desktop', { ...DESKTOP, locale: 'en-US', colorScheme: 'light' }, false);
  await journey(browser, 'phone', { ...PHONE, locale: 'zh-CN', colorScheme: 'light' }, true);
  await namedAdministrator(browser);
  await patientUser(browser, server);
  console.log(`passed; screenshots are in ${outDir}`);
} catch (error) {
  console.error(error instanceof Failure ? `FAILED: ${error.message}` : `FAILED: ${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  server?.close();
}
