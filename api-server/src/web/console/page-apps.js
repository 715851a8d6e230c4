// Apps: credentials with which programs act for the account, without its password.

import { call } from './api.js';
import { confirmDialog } from './dialog.js';
import { button, fill, h, icon } from './dom.js';
import { describe } from './errors.js';
import { askForApp, showSecret } from './app-dialogs.js';
import * as format from './format.js';
import { t } from './i18n.js';
import { Loading, emptyState } from './list-state.js';
import { toast } from './toast.js';

/** The page of `/apps`. */
export function appsPage({ signal }) {
  const place = h('div', { class: 'list-place' });
  const loading = new Loading(place, signal);
  const element = h('div', { class: 'page apps-page' },
    h('header', { class: 'page-head' },
      h('div', {}, h('h1', { tabindex: '-1' }, t('apps.title')), h('p', { class: 'lead' }, t('apps.lead'))),
      h('div', { class: 'page-actions' }, button(t('apps.new'), make, { iconName: 'plus', kind: 'primary', dataset: { role: 'new-app' } }))),
    place);

  function show() {
    return loading.show((inner) => call('GET', 'apps', { signal: inner }), ({ apps }) => {
      if (apps.length === 0) return fill(place, emptyState('key', t('apps.none'), t('apps.none.text')));
      return fill(place, h('ul', { class: 'share-list' }, apps.map(row)));
    });
  }

  function row(app) {
    const used = app.used === null ? t('apps.unused') : t('apps.used', { time: format.ago(app.used) });
    return h('li', { class: 'share-row', dataset: { name: app.name } },
      h('span', { class: 'app-mark' }, icon('key')),
      h('div', { class: 'share-text' },
        h('span', { class: 'row-name', title: app.name }, app.name, ' ', h('span', { class: 'tag' }, scopeText(app.scopes))),
        h('span', { class: 'share-link' }, app.id),
        h('span', { class: 'share-note' }, t('apps.created', { date: format.date(app.created) }), ' · ', used)),
      h('div', { class: 'share-tools' },
        button(t('apps.revoke'), () => revoke(app), { iconName: 'trash', 'aria-label': t('apps.revoke_of', { name: app.name }) })));
  }

  async function make() {
    const made = await askForApp();
    if (!made) return;
    await showSecret(made);
    await show();
  }

  async function revoke(app) {
    const sure = await confirmDialog(t('apps.revoke.title'), t('apps.revoke.text', { name: app.name }), { confirm: t('apps.revoke') });
    if (!sure) return;
    try {
      await call('DELETE', `apps/${encodeURIComponent(app.id)}`);
      toast(t('apps.revoked', { name: app.name }), 'good');
    } catch (error) {
      toast(describe(error), 'bad');
    }
    await show();
  }

  void show();
  return { element, title: t('apps.title'), update: () => void show() };
}

/** What an app may do, in words. */
export function scopeText(scopes) {
  return t(scopes.includes('write') ? 'apps.scope.write' : 'apps.scope.read');
}
