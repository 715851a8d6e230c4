// What a visitor does with the console, by selectors that are the same in both languages.

import { expect } from './browser.mjs';

/** Matches the control that shows an icon of the sprite. */
export const iconed = (selector, name) => `${selector}:has(use[href$="#${name}"])`;

/** The card or row of a file. */
export const cardOf = (name) => `.card[data-name=${JSON.stringify(name)}]`;

export async function register(visitor, user, password, nick = user) {
  const { page } = visitor;
  await visitor.open('/#/register');
  await page.fill('[name=user]', user);
  await page.fill('[name=nick]', nick);
  await page.fill('[name=password]', password);
  await page.fill('[name=again]', `${password}x`);
  await page.click('[type=submit]');
  await page.waitForSelector('[name=again][aria-invalid=true]');
  await page.fill('[name=again]', password);
  await visitor.inspect('register');
  await page.click('[type=submit]');
  await page.waitForSelector('.files-page');
  await visitor.settled();
}

export async function signIn(visitor, user, password) {
  const { page } = visitor;
  await page.fill('[name=user]', user);
  await page.fill('[name=password]', password);
  await page.click('[type=submit]');
  await page.waitForSelector('[data-role=account]');
  await visitor.settled();
}

/** Opens a folder of the list and waits until it is open. */
export async function openFolder(visitor, name) {
  const { page } = visitor;
  await page.click(`${cardOf(name)} .card-open`);
  await page.waitForFunction((wanted) => document.querySelector('.crumb[aria-current]')?.textContent === wanted, name);
  await visitor.settled();
}

export async function openTable({ page }) {
  await page.click('[data-view=table]');
  await page.waitForSelector('table');
}

/** Waits until the upload of `name` is in one of `states`. */
export async function uploaded({ page }, name, states = ['stored']) {
  await page.waitForFunction(([wanted, accepted]) => [...document.querySelectorAll('.upload-row')].some((row) => (
    row.querySelector('.upload-name').textContent === wanted && accepted.includes(row.dataset.state))), [name, states]);
}

export async function chooseFiles(visitor, files, button = '[data-role=upload]') {
  const chooser = visitor.page.waitForEvent('filechooser');
  await visitor.page.click(button);
  await (await chooser).setFiles(files);
}

/** Drags files over the window and drops them, as a file manager would. */
export async function drop({ page }, files) {
  const transfer = await page.evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const { name, mimeType, base64 } of list) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes], name, { type: mimeType }));
    }
    return data;
  }, files.map(({ buffer, ...rest }) => ({ ...rest, base64: buffer.toString('base64') })));
  await page.dispatchEvent('main', 'dragenter', { dataTransfer: transfer });
  await page.waitForSelector('.drop-overlay', { state: 'visible' });
  await page.dispatchEvent('main', 'dragover', { dataTransfer: transfer });
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
  await page.waitForSelector('.drop-overlay', { state: 'hidden' });
}

/** Puts a picture into the clipboard and presses Ctrl+V. */
export async function paste({ page }, picture) {
  await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': new Blob([bytes], { type: 'image/png' }) })]);
  }, picture.toString('base64'));
  await page.focus('main');
  await page.keyboard.press('Control+V');
}

/** Has the browser itself film a few frames, since no encoder is at hand elsewhere; gives a WebM file. */
export async function film({ page }, seed) {
  const base64 = await page.evaluate(async (number) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
    const context = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: 'video/webm' });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((done) => { recorder.onstop = done; });
    recorder.start();
    for (let frame = 0; frame < 30; frame += 1) {
      context.fillStyle = `hsl(${(number + frame * 12) % 360} 60% 50%)`;
      context.fillRect(0, 0, 160, 120);
      context.fillStyle = 'black';
      context.fillText(String(number + frame), 10, 60);
      await new Promise((done) => { requestAnimationFrame(done); });
    }
    recorder.stop();
    await stopped;
    const reader = new FileReader();
    reader.readAsDataURL(new Blob(parts));
    await new Promise((done) => { reader.onload = done; });
    return reader.result.split(',')[1];
  }, seed);
  return Buffer.from(base64, 'base64');
}

/** Chooses an entry of a file's menu by its icon. */
export async function act({ page }, name, iconName) {
  await page.click(`${cardOf(name)} .more`);
  await page.click(iconed('.menu .menu-item', iconName));
}

export async function toasted({ page }, tone = 'good') {
  await page.waitForSelector(`.toast.${tone}`);
  await page.click(`.toast.${tone} .icon-button`);
  await page.waitForSelector(`.toast.${tone}`, { state: 'detached' });
}

/** The names that the list shows, in order. */
export function names({ page }) {
  return page.$$eval('.card-name, tbody .row-name', (list) => list.map((one) => one.textContent));
}

/** Waits until the list shows exactly these names, in this order if `ordered`. */
export async function listed(visitor, wanted, ordered = false) {
  try {
    await visitor.page.waitForFunction(([expected, inOrder]) => {
      const shown = [...document.querySelectorAll('.card-name, tbody .row-name')].map((one) => one.textContent);
      const sorted = (list) => (inOrder ? list : [...list].sort());
      return JSON.stringify(sorted(shown)) === JSON.stringify(sorted(expected));
    }, [wanted, ordered]);
  } catch (error) {
    expect(false, `the list should show ${wanted.join(', ')} and shows ${(await names(visitor)).join(', ')} (${error.message})`);
  }
  await visitor.settled();
}

/** Types into the search field and waits until the address says so, which it does once one pauses. */
export async function search(visitor, text) {
  await visitor.page.fill('[type=search]', text);
  await visitor.page.waitForFunction((wanted) => (
    (new URLSearchParams(location.hash.split('?')[1] ?? '').get('q') ?? '') === wanted), text);
  await visitor.settled();
}

export async function sortBy(visitor, order, iconAfter) {
  await visitor.page.selectOption('.sorting select', order);
  await visitor.page.waitForSelector(iconed('.sorting button', iconAfter));
  await visitor.settled();
}

/** The visitor's token, for doing to their session what time or an operator would do. */
export function token({ page }) {
  return page.evaluate(() => JSON.parse(localStorage.getItem('hayloft.session')).token);
}
