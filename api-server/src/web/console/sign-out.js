// Signing out: the token ends at the server and leaves this browser, whether or not the server answers.

import { call } from './api.js';
import { confirmDialog } from './dialog.js';
import { t } from './i18n.js';
import { go } from './router.js';
import { forgetSession } from './session.js';
import { allUploads, isActive, stopAll } from './upload-queue.js';

export async function signOut() {
  const active = allUploads().filter(isActive).length;
  if (active > 0) {
    const sure = await confirmDialog(t('sign_out'), t('sign_out.uploads', { count: active }), { confirm: t('sign_out') });
    if (!sure) return;
  }
  stopAll();
  await call('DELETE', 'session').catch(() => {});
  forgetSession();
  go('/login', {}, { replace: true });
}
