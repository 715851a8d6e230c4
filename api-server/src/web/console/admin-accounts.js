// The list of accounts for the administrator: quota, promote, demote, disable, enable.

import { call } from './api.js';
import { confirmDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { describe } from './errors.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { menuButton } from './file-grid.js';
import { Loading } from './list-state.js';
import { openMenu } from './menu.js';
import { pager } from './pager.js';
import { quotaChanged } from './quota.js';
import { askQuota } from './quota-dialog.js';
import { session } from './session.js';
import { toast } from './toast.js';

const PAGE_SIZE = 50;

/** Builds the list; `update(params)` turns its page. */
export function accountsPanel({ path, params: firstParams, signal }) {
  let params = firstParams;
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);

  function show() {
    const page = Math.max(1, Math.trunc(Number(params.page)) || 1);
    const query = { start: (page - 1) * PAGE_SIZE, count: PAGE_SIZE };
    return loading.show((inner) => call('GET', 'admin/accounts', { query, signal: inner }), ({ total, accounts }) => {
      fill(place, table(accounts), pager({ path, params: {}, page, total, pageSize: PAGE_SIZE }));
    });
  }

  function table(accounts) {
    return h('div', { class: 'table-frame' }, h('table', { class: 'table accounts' },
      h('caption', { class: 'visually-hidden' }, t('admin.accounts')),
      h('thead', {}, h('tr', {},
        h('th', { scope: 'col' }, t('field.user')),
        h('th', { scope: 'col', class: 'minor' }, t('field.nick')),
        h('th', { scope: 'col', class: 'number' }, t('account.files')),
        h('th', { scope: 'col', class: 'space-cell' }, t('account.bytes')),
        h('th', { scope: 'col', class: 'time minor' }, t('account.since')),
        h('th', { scope: 'col', class: 'menu-cell' }, h('span', { class: 'visually-hidden' }, t('files.actions'))))),
      h('tbody', {}, accounts.map(row))));
  }

  function row(account) {
    const own = account.user === session()?.user;
    return h('tr', { class: account.disabled ? 'disabled-row' : null },
      h('td', {}, h('span', { class: 'row-name' }, account.user), ' ',
        account.administrator && h('span', { class: 'tag' }, t('admin.administrator')),
        account.disabled && h('span', { class: 'tag bad' }, t('admin.disabled'))),
      h('td', { class: 'minor' }, account.nick),
      h('td', { class: 'number' }, format.number(account.files)),
      h('td', { class: 'space-cell' }, account.quota === null
        ? format.size(account.used) : t('quota.part', { used: format.size(account.used), quota: format.size(account.quota) })),
      h('td', { class: 'time minor' }, format.date(account.created)),
      h('td', { class: 'menu-cell' }, menuButton({ name: account.user }, (_, anchor) => openMenu(anchor, account.user, [
        { text: t('admin.quota'), iconName: 'quota', run: () => setQuota(account) },
        !own && !account.disabled && (account.administrator
          ? { text: t('admin.demote'), iconName: 'user', run: () => change(account, { administrator: false }, 'demote') }
          : { text: t('admin.promote'), iconName: 'admin', run: () => change(account, { administrator: true }, 'promote') }),
        // The server refuses to disable an administrator: that takes two steps.
        !own && (account.disabled
          ? { text: t('admin.enable'), iconName: 'check', run: () => change(account, { disabled: false }, null) }
          : !account.administrator && { text: t('admin.disable'), iconName: 'block', danger: true, run: () => change(account, { disabled: true }, 'disable') }),
      ]))));
  }

  async function setQuota(account) {
    const wanted = await askQuota(account);
    if (wanted) await change(account, wanted, null);
  }

  /** `question` names the texts that ask first, or is `null`. */
  async function change(account, body, question) {
    const name = account.user;
    if (question !== null) {
      const sure = await confirmDialog(t(`admin.${question}`), t(`admin.${question}.text`, { name }), {
        confirm: t(`admin.${question}`), danger: question === 'disable',
      });
      if (!sure) return;
    }
    try {
      await call('POST', `admin/accounts/${encodeURIComponent(name)}`, { body });
      toast(t('admin.changed', { name }), 'good');
      if (name === session()?.user) quotaChanged();
    } catch (error) {
      toast(describe(error), 'bad');
    }
    await show();
  }

  void show();
  return {
    element: place,
    update(next) {
      params = next;
      void show();
    },
  };
}
