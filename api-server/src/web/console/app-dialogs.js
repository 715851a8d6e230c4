// The dialogs of a new app: what it is to be, and its secret, which is shown this once.

import { call } from './api.js';
import { copyText } from './clipboard.js';
import { openDialog } from './dialog.js';
import { button, h, iconButton, uniqueId } from './dom.js';
import { describe } from './errors.js';
import { field, form, hasLength } from './form.js';
import { t } from './i18n.js';

const NAME_MAX = 64;

/** Asks for name and scope and makes the app; gives `{id, secret, name, scopes}` or `null`. */
export function askForApp() {
  return openDialog(t('apps.new'), (close) => {
    const name = field(t('apps.name'), { name: 'name', hint: t('apps.name.hint'), autocomplete: 'off', autofocus: true });
    const group = uniqueId('scope');
    let write = true;
    const choice = (value) => h('label', { class: 'segment' },
      h('input', {
        type: 'radio', name: group, value: value ? 'write' : 'read', checked: value === write,
        on: { change: () => { write = value; } },
      }), h('span', {}, t(value ? 'apps.scope.write' : 'apps.scope.read')));
    const submit = async () => {
      if (!hasLength(name.value().trim(), 1, NAME_MAX)) {
        name.fail(t('rule.app_name'));
        return name.input.focus();
      }
      try {
        return close(await call('POST', 'apps', { body: { name: name.value().trim(), scopes: write ? ['read', 'write'] : ['read'] } }));
      } catch (error) {
        name.fail(describe(error));
        return name.input.focus();
      }
    };
    return {
      body: [form({ class: 'form wide', id: 'app-form' }, submit, name.element,
        h('fieldset', { class: 'segments' }, h('legend', { class: 'visually-hidden' }, t('apps.scope')), choice(true), choice(false)))],
      actions: [
        button(t('cancel'), () => close(null)),
        button(t('apps.make'), null, { kind: 'primary', type: 'submit', form: 'app-form' }),
      ],
    };
  });
}

/** Shows a new app's credentials with the ways to use them; nobody can see the secret again. */
export function showSecret({ id, secret, name }) {
  // Within the dialog: what lies outside of it is not spoken, and cannot be closed, while it is open.
  const status = h('p', { class: 'hint', role: 'status' });
  const say = (text) => { status.textContent = text; };
  return openDialog(t('apps.made', { name }), (close) => ({
    body: [
      h('p', { class: 'notice' }, t('apps.once')),
      credential(t('apps.id'), id, say), credential(t('apps.secret'), secret, say), credential(t('apps.base'), location.origin, say), status,
      h('details', { class: 'usage', open: true }, h('summary', {}, t('apps.pan123')), h('p', {}, t('apps.pan123.text', { base: location.origin }))),
      h('details', { class: 'usage' }, h('summary', {}, t('apps.weiyun')), h('p', {}, t('apps.weiyun.text', { base: location.origin }))),
    ],
    actions: [button(t('apps.copied'), () => close(null), { kind: 'primary' })],
  }), { wide: true });
}

/** A value with a button that copies it and says so. */
function credential(label, value, say) {
  const id = uniqueId('credential');
  const input = h('input', { id, class: 'input code', readOnly: true, value, spellcheck: 'false', on: { focus: () => input.select() } });
  return h('div', { class: 'field credential' }, h('label', { for: id }, label),
    h('div', { class: 'with-copy' }, input, iconButton('copy', t('apps.copy', { what: label }), async () => {
      const copied = await copyText(value);
      say(t(copied ? 'apps.copy.done' : 'copy.by_hand', { what: label }));
      if (!copied) input.focus();
    })));
}
