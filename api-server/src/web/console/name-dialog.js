// A dialog that asks for a name, and stays open while the server refuses it.

import { openDialog } from './dialog.js';
import { button } from './dom.js';
import { describe } from './errors.js';
import { field, form } from './form.js';
import { t } from './i18n.js';
import { nameRule } from './names.js';

/**
 * Asks for a name, `name` at first, and does `act(name)`; resolves with what that gives, or with `null`.
 * Of a file's name the part before the extension is selected.
 */
export function askName(title, { name = '', label, confirm, isFile = false, act }) {
  return openDialog(title, (close) => {
    const input = field(label, { name: 'name', value: name, autocomplete: 'off', spellcheck: 'false', autofocus: true });
    const submit = async () => {
      const wanted = input.value();
      const broken = nameRule(wanted);
      if (broken) return refuse(broken);
      if (wanted === name) return close(null);
      try {
        return close(await act(wanted));
      } catch (error) {
        return refuse(describe(error));
      }
    };
    const refuse = (text) => {
      input.fail(text);
      input.input.focus();
    };
    const element = form({ class: 'form wide', id: 'name-form' }, submit, input.element);
    // The dialog is drawn after this function, so the text is selected when it gets the focus.
    input.input.addEventListener('focus', () => {
      const dot = isFile ? name.lastIndexOf('.') : -1;
      input.input.setSelectionRange(0, dot > 0 ? dot : name.length);
    }, { once: true });
    return {
      body: [element],
      actions: [
        button(t('cancel'), () => close(null)),
        button(confirm, null, { kind: 'primary', type: 'submit', form: 'name-form' }),
      ],
    };
  });
}
