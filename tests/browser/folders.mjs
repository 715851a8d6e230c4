// Folders, trash, space and apps, as people use them: part of the test in console.mjs.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, mayUseClipboard } from './browser.mjs';
import { note, picture } from './samples.mjs';
import {
  act, cardOf, chooseFiles, iconed, listed, names, openFolder, openTable, search, toasted, token, uploaded,
} from './steps.mjs';

const PNG = 'image/png';

async function makeFolder({ page }, name) {
  await page.click('[data-role=new-folder]');
  await page.fill('dialog [name=name]', name);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.waitForSelector(cardOf(name));
}

/** Makes folders, fills them in every way, moves and renames, and comes back to an empty root but for what was there. */
export async function folders(visitor, seed, { narrow }) {
  const { page } = visitor;
  const before = await names(visitor);
  await makeFolder(visitor, 'Harvest 收获');
  await page.click('[data-role=new-folder]');
  await page.fill('dialog [name=name]', 'bad/name');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog [aria-invalid=true]');
  await visitor.inspect('folder-bad-name');
  await visitor.tolerating(/409/, async () => {
    await page.fill('dialog [name=name]', 'Harvest 收获');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog [aria-invalid=true]');
  });
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });

  await openFolder(visitor, 'Harvest 收获');
  await page.waitForSelector('.empty');
  await visitor.inspect('folder-empty');
  const deep = ['one', 'two', 'three', 'four', 'five'];
  for (const name of deep) {
    await makeFolder(visitor, name);
    await openFolder(visitor, name);
  }
  await chooseFiles(visitor, [
    { name: 'deep.png', mimeType: PNG, buffer: picture(seed + 10) }, { name: 'note.md', mimeType: 'text/markdown', buffer: note(seed + 11) },
  ]);
  await uploaded(visitor, 'deep.png');
  await listed(visitor, ['deep.png', 'note.md']);
  await visitor.inspect('folder-deep');

  await conflicts(visitor, seed);
  await closeUploads(visitor);

  // Folders that there is no room for are in a menu.
  await page.click('.crumbs button');
  await page.waitForSelector('.menu');
  await visitor.inspect('folder-path-menu');
  await page.click('.menu .menu-item >> nth=0');
  await page.waitForFunction(() => document.querySelector('.crumb[aria-current]')?.textContent.startsWith('Harvest'));
  await visitor.settled();
  await listed(visitor, ['one']);

  await search(visitor, 'deep');
  await listed(visitor, ['deep(1).png', 'deep.png']);
  expect((await page.textContent('.card-note')).endsWith('one › two › three › four › five'), 'a search says where a file is');
  await visitor.inspect('found-in-folder');
  await openTable(visitor);
  await visitor.inspect('found-in-folder-table');
  await page.click('.where-cell a');
  await page.waitForFunction(() => document.querySelector('.crumb[aria-current]')?.textContent === 'five');
  await visitor.settled();
  await visitor.inspect('folder-table');
  await page.click('[data-view=grid]');
  await page.waitForSelector('.grid');

  await renames(visitor);
  await moves(visitor, narrow);
  if (!narrow) await folderUpload(visitor, seed);
  await visitor.go('/files');
  await listed(visitor, [...before, 'Harvest 收获', ...(narrow ? [] : ['orchard'])]);
}

/** A name that is taken is asked about; the same file again is not. */
async function conflicts(visitor, seed) {
  const { page } = visitor;
  await chooseFiles(visitor, [{ name: 'deep.png', mimeType: PNG, buffer: picture(seed + 10) }]);
  await uploaded(visitor, 'deep.png', ['present']);
  await visitor.tolerating(/409/, async () => {
    await chooseFiles(visitor, [{ name: 'deep.png', mimeType: PNG, buffer: picture(seed + 12) }]);
    await uploaded(visitor, 'deep.png', ['failed']);
  });
  await visitor.inspect('upload-name-taken');
  await page.click('.upload-decision button >> nth=0');
  await listed(visitor, ['deep(1).png', 'deep.png', 'note.md']);
  await visitor.tolerating(/409/, async () => {
    await chooseFiles(visitor, [{ name: 'note.md', mimeType: 'text/markdown', buffer: note(seed + 13) }]);
    await uploaded(visitor, 'note.md', ['failed']);
  });
  await page.click('.upload-row[data-state=failed] .upload-decision button >> nth=1');
  await uploaded(visitor, 'note.md');
  await listed(visitor, ['deep(1).png', 'deep.png', 'note.md']);
}

export async function closeUploads({ page }) {
  await page.click('.upload-panel [data-role=close]');
  await page.waitForSelector('.upload-panel', { state: 'hidden' });
}

async function renames(visitor) {
  const { page } = visitor;
  await act(visitor, 'note.md', 'edit');
  await page.waitForSelector('dialog [name=name]');
  const chosen = await page.$eval('dialog [name=name]', (input) => input.value.slice(input.selectionStart, input.selectionEnd));
  expect(chosen === 'note', `the part before the extension is selected, not ${chosen}`);
  await page.fill('dialog [name=name]', 'diary.md');
  await visitor.inspect('rename');
  await page.keyboard.press('Enter');
  await listed(visitor, ['deep(1).png', 'deep.png', 'diary.md']);
}

/** Moves by the dialog, by dragging, and by keys. */
async function moves(visitor, narrow) {
  const { page } = visitor;
  await page.focus(`${cardOf('deep.png')} .card-open`);
  await page.keyboard.press('Shift+ArrowLeft');
  await page.waitForSelector('.selection-bar:not([hidden])');
  expect((await page.$$('.card.selected')).length === 2, 'an arrow with Shift selects both');
  await visitor.inspect('selected-by-keys');
  await page.click(iconed('.selection-bar button', 'move'));
  // The tree is open down to this folder.
  await page.waitForFunction(() => document.querySelector('[role=treeitem][aria-selected=true]')?.textContent === 'five');
  await visitor.inspect('move');
  expect(await page.isDisabled('dialog footer .primary'), 'moving to where it is means nothing');
  for (let level = 0; level < 4; level += 1) await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.querySelector('[role=treeitem][aria-selected=true]').textContent !== 'five');
  const target = await page.$eval('[role=treeitem][aria-selected=true]', (item) => item.textContent);
  expect(['one', 'two', 'three'].includes(target), `arrows lead upwards, not to ${target}`);
  await page.click('dialog footer .primary');
  await toasted(visitor);
  await listed(visitor, ['diary.md']);
  await page.click('.crumbs li:nth-last-child(2) a');
  await page.waitForFunction(() => document.querySelector('.crumb[aria-current]')?.textContent === 'four');
  await visitor.settled();
  if (narrow) return;

  await openFolder(visitor, 'five');
  await page.dragAndDrop(cardOf('diary.md'), '.crumbs li:nth-last-child(2) a');
  await toasted(visitor);
  await page.waitForSelector('.empty');
  await page.click('.crumbs li:nth-last-child(2) a');
  await listed(visitor, ['five', 'diary.md']);
  await page.dragAndDrop(cardOf('diary.md'), cardOf('five'));
  await toasted(visitor);
  await listed(visitor, ['five']);
}

/** A folder comes in with its folders, which are asked for once and not for each file. */
async function folderUpload(visitor, seed) {
  const { page } = visitor;
  const directory = mkdtempSync(join(tmpdir(), 'hayloft-folder-'));
  try {
    const orchard = join(directory, 'orchard');
    mkdirSync(join(orchard, 'apples', 'red'), { recursive: true });
    for (let index = 0; index < 6; index += 1) {
      writeFileSync(join(orchard, 'apples', 'red', `apple ${index}.png`), picture(seed + 20 + index, 40, 30));
    }
    writeFileSync(join(orchard, 'trees.md'), note(seed + 30));
    await visitor.go('/files');
    let requests = 0;
    const count = (request) => { if (request.method() === 'POST' && request.url().endsWith('/folders')) requests += 1; };
    page.on('request', count);
    await chooseFiles(visitor, orchard, '[data-role=upload-folder]');
    await uploaded(visitor, 'trees.md');
    await page.waitForFunction(() => document.querySelectorAll('.upload-row[data-state=stored]').length === 7);
    page.off('request', count);
    expect(requests === 3, `three folders take three requests, not ${requests}`);
    await closeUploads(visitor);
    await openFolder(visitor, 'orchard');
    await listed(visitor, ['apples', 'trees.md'], true);
    await openFolder(visitor, 'apples');
    await openFolder(visitor, 'red');
    await listed(visitor, Array.from({ length: 6 }, (_, index) => `apple ${index}.png`), true);
    await visitor.decoded('.card img.thumb', 6);
    await visitor.inspect('folder-uploaded');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Moves to the trash, takes back, deletes for good; leaves the trash empty. */
export async function trash(visitor) {
  const { page } = visitor;
  await visitor.go('/files');
  const before = await names(visitor);
  const rest = before.filter((name) => name !== 'Harvest 收获');
  await page.focus(`${cardOf('Harvest 收获')} .card-open`);
  await page.keyboard.press('Delete');
  await page.waitForSelector('.toast.good .button');
  await visitor.inspect('trash-undo');
  await listed(visitor, rest);
  await page.click('.toast.good .button');
  await toasted(visitor);
  await listed(visitor, before);

  await act(visitor, 'Harvest 收获', 'trash');
  await toasted(visitor);
  await act(visitor, 'bell.wav', 'trash');
  await toasted(visitor);
  await visitor.go('/trash');
  await listed(visitor, ['bell.wav', 'Harvest 收获'], true);
  await visitor.inspect('trash');
  await page.click(iconed('tr[data-name="bell.wav"] .icon-button', 'restore'));
  await toasted(visitor);
  await listed(visitor, ['Harvest 收获']);
  await page.click(iconed('tr .icon-button', 'trash'));
  await page.waitForSelector('dialog .button.danger');
  await visitor.inspect('purge-question');
  await page.click('dialog .button.danger');
  await toasted(visitor);
  await page.waitForSelector('.empty');
  await visitor.inspect('trash-empty');

  await visitor.go('/files');
  await listed(visitor, rest);
  await act(visitor, 'manual.pdf', 'trash');
  await toasted(visitor);
  await visitor.go('/trash');
  await page.check('tr[data-name="manual.pdf"] [type=checkbox]', { force: true });
  await visitor.inspect('trash-selected');
  await page.click('[data-role=empty-trash]');
  await page.click('dialog .button.danger');
  await toasted(visitor);
  await page.waitForSelector('.empty');
}

/** Makes an app, sees its secret once, uses it if the calls are there, and revokes it. */
export async function apps(visitor) {
  const { page } = visitor;
  await visitor.go('/apps');
  await page.waitForSelector('.empty');
  await visitor.inspect('apps-none');
  await page.click('[data-role=new-app]');
  await page.waitForSelector('dialog [name=name]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog [aria-invalid=true]');
  await page.fill('dialog [name=name]', 'OpenList 开放');
  await visitor.inspect('app-new');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.credential');
  const [id, secret, address] = await page.$$eval('.credential input', (inputs) => inputs.map((input) => input.value));
  expect(/^\d+$/.test(id) && secret.length >= 32 && address === new URL(visitor.base).origin, `credentials, not ${id} ${secret} ${address}`);
  await visitor.inspect('app-secret');
  await page.click(iconed('.credential:nth-of-type(2) .icon-button', 'copy'));
  await page.waitForFunction(() => document.querySelector('dialog [role=status]').textContent.includes('clientSecret'));
  if (mayUseClipboard(visitor.base)) expect((await page.evaluate(() => navigator.clipboard.readText())) === secret, 'the secret is copied');
  await page.click('dialog footer .primary');
  await page.waitForSelector('.share-row');
  expect(!(await page.content()).includes(secret), 'the secret is shown once');
  await visitor.inspect('apps');
  await page.click(iconed('.share-tools .button', 'trash'));
  await page.click('dialog .button.danger');
  await toasted(visitor);
  await page.waitForSelector('.empty');
}

/** An administrator gives the account `user` of `guest` hardly any space; the guest sees the bar, is refused, and makes room. */
export async function quotas(administrator, guest, user) {
  const { page } = administrator;
  await administrator.go('/admin');
  // The list was drawn before the guest came.
  await page.reload();
  await administrator.settled();
  const row = page.locator('.accounts tbody tr', { hasText: user });
  await row.locator('.more').click();
  await page.click(iconed('.menu .menu-item', 'quota'));
  await page.check('dialog [type=checkbox]');
  await page.fill('dialog [name=quota]', 'much');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog [aria-invalid=true]');
  await page.fill('dialog [name=quota]', '0.001');
  await administrator.inspect('quota-dialog');
  await page.keyboard.press('Enter');
  await toasted(administrator);
  await row.locator('.space-cell', { hasText: '/' }).or(row.locator('.space-cell', { hasText: 'of' })).waitFor();
  await administrator.inspect('quota-set');

  const other = guest.page;
  await other.reload();
  await guest.settled();
  const megabyte = (name, bytes, fill) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(bytes, fill) });
  await chooseFiles(guest, [megabyte('most.bin', 1_000_000, `most ${user}`)]);
  await uploaded(guest, 'most.bin');
  await guest.tolerating(/409/, async () => {
    await chooseFiles(guest, [megabyte('too much.bin', 200_000, `much ${user}`)]);
    await uploaded(guest, 'too much.bin', ['failed']);
  });
  await guest.inspect('quota-refused');
  await chooseFiles(guest, [megabyte('rest.bin', 73_742, `rest ${user}`)]);
  await uploaded(guest, 'rest.bin');
  await other.waitForSelector('.notice');
  await guest.inspect('quota-full');
  await guest.go('/account');
  await other.waitForSelector('.quota-legend');
  await guest.inspect('quota-account');

  // In the trash it still counts.
  await guest.go('/files');
  // On a phone the list of uploads would lie over the files.
  await other.click('.upload-fold');
  await act(guest, 'most.bin', 'trash');
  await toasted(guest);
  await other.waitForSelector('.notice a');
  await guest.inspect('quota-full-trash');
  await other.click('.notice a');
  await other.click(iconed('tr .icon-button', 'trash'));
  await other.click('dialog .button.danger');
  await toasted(guest);
  await guest.go('/files');
  await other.waitForSelector('.notice', { state: 'detached' });
  await other.click('.upload-fold');
  await other.click(iconed('.upload-row[data-state=failed] .icon-button', 'retry'));
  await uploaded(guest, 'too much.bin');
}

/** The files of a folder, as the server lists them: `{name, url, size, …}`. */
export async function filesOf(visitor, folder = '0') {
  const answer = await fetch(`${visitor.base}/console/api/folders/${folder}?count=200`, {
    headers: { Authorization: `Bearer ${await token(visitor)}` },
  });
  return (await answer.json()).entries.map(({ file }) => file).filter(Boolean);
}
