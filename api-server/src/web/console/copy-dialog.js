// The dialog that shows links of one or many files in four forms, ready to copy.

import { copyText } from './clipboard.js';
import { openDialog } from './dialog.js';
import { button, h, uniqueId } from './dom.js';
import { FORMS, link } from './file-links.js';
import { t } from './i18n.js';
import { toast } from './toast.js';

const KEY = 'hayloft.link_form';

/** Offers the links of `files`; `extra` is a link of another kind (the page of a share) shown first. */
export function copyLinks(files, { title = t('copy.title'), extra = null } = {}) {
  return openDialog(title, (close) => {
    const area = h('textarea', {
      readOnly: true, rows: Math.min(8, Math.max(2, files.length + 1)), 'aria-label': t('copy.links'), spellcheck: 'false',
    });
    let form = remembered(extra !== null);
    const show = () => {
      area.value = form === 'page' ? extra : files.map((file) => link(file, form)).join('\n');
    };
    const group = uniqueId('form');
    const choices = [...(extra === null ? [] : ['page']), ...FORMS].map((value) => h('label', { class: 'segment' },
      h('input', {
        type: 'radio', name: group, value, checked: value === form, autofocus: value === form,
        on: { change: () => { form = value; remember(value); show(); } },
      }), h('span', {}, t(`copy.form.${value}`))));
    area.addEventListener('focus', () => area.select());
    show();
    return {
      body: [h('fieldset', { class: 'segments' }, h('legend', { class: 'visually-hidden' }, t('copy.form')), choices), area],
      actions: [
        button(t('copy.copy'), async () => {
          if (await copyText(area.value)) {
            close(null);
            toast(t('copy.done', { count: form === 'page' ? 1 : files.length }), 'good');
          } else {
            area.focus();
            area.select();
            toast(t('copy.by_hand'), 'bad');
          }
        }, { kind: 'primary', iconName: 'copy' }),
      ],
    };
  }, { wide: true });
}

function remembered(withPage) {
  if (withPage) return 'page';
  const form = localStorage.getItem(KEY);
  return FORMS.includes(form) ? form : 'url';
}

function remember(form) {
  if (form !== 'page') localStorage.setItem(KEY, form);
}
