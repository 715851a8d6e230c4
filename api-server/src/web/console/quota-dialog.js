// The administrator's dialog for an account's quota.

import { openDialog } from './dialog.js';
import { button, h } from './dom.js';
import { field, form } from './form.js';
import * as format from './format.js';
import { t } from './i18n.js';

const GIB = 1024 ** 3;
const GIB_MAX = 1024 ** 2;

/** Asks for the quota of an account; resolves with `{quota}`, bytes or `null` for none, or with `null`. */
export function askQuota({ user, quota, used }) {
  return openDialog(t('admin.quota.title', { name: user }), (close) => {
    const limited = h('input', { type: 'checkbox', checked: quota !== null, on: { change: () => { size.input.disabled = !limited.checked; } } });
    const size = field(t('admin.quota.size'), {
      name: 'quota', type: 'text', inputmode: 'decimal', autocomplete: 'off', hint: t('admin.quota.used', { used: format.size(used) }),
      value: quota === null ? '' : String(Number((quota / GIB).toFixed(3))), disabled: quota === null,
    });
    const submit = () => {
      if (!limited.checked) return close({ quota: null });
      const wanted = Number(size.value().trim().replace(',', '.'));
      if (size.value().trim() !== '' && wanted >= 0 && wanted <= GIB_MAX) return close({ quota: Math.round(wanted * GIB) });
      size.fail(t('rule.quota'));
      return size.input.focus();
    };
    return {
      body: [form({ class: 'form wide', id: 'quota-form' }, async () => submit(),
        h('label', { class: 'check-line' }, limited, h('span', {}, t('admin.quota.limited'))), size.element)],
      actions: [
        button(t('cancel'), () => close(null)),
        button(t('save'), null, { kind: 'primary', type: 'submit', form: 'quota-form' }),
      ],
    };
  });
}
