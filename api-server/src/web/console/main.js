// Starts the console: chooses the page for the address, and draws anew when the session or the
// language changes.

import { call } from './api.js';
import { language, setLanguage, t } from './i18n.js';
import { accountPage } from './page-account.js';
import { adminPage } from './page-admin.js';
import { appsPage } from './page-apps.js';
import { filesPage } from './page-files.js';
import { picturesPage } from './page-pictures.js';
import { sharedPage } from './page-shared.js';
import { signInPage } from './page-sign-in.js';
import { trashPage } from './page-trash.js';
import { fill } from './dom.js';
import { forgetProfile, loadProfile, profileEvents } from './profile.js';
import { quotaChanged } from './quota.js';
import { startRenewal } from './renewal.js';
import { go, route } from './router.js';
import { session, sessionEvents, signedIn } from './session.js';
import { shell } from './shell.js';
import { paintBrowserFrame } from './theme.js';
import { announce, mountToasts, toast } from './toast.js';
import { listenForFiles } from './upload-sources.js';
import { limitUploads, stopAll, uploadEvents } from './upload-queue.js';
import { loadUnfinished } from './upload-unfinished.js';

/** `open`: also without a session. `build(context)` gives `{element, title, update(params)?}`. */
const PAGES = {
  '/files': { build: filesPage },
  '/shared': { build: sharedPage, open: true },
  '/ranking': { build: sharedPage, open: true },
  '/trash': { build: trashPage },
  '/pictures': { build: picturesPage },
  '/account': { build: accountPage },
  '/apps': { build: appsPage },
  '/admin': { build: adminPage },
  '/login': { build: signInPage, open: true, guest: true },
  '/register': { build: signInPage, open: true, guest: true },
};

const app = document.getElementById('app');
const overlays = document.getElementById('overlays');
let server = { registration: true, upload_size_max: Infinity, version: '' };
let frame = null;
let shown = null;
let user = session()?.user ?? null;
let uploader = user;

function show() {
  const { path, params } = route();
  const page = PAGES[path];
  if (!page) return go(signedIn() ? '/files' : '/login', {}, { replace: true });
  if (!page.open && !signedIn()) {
    return go('/login', { back: path === '/files' ? '' : location.hash.slice(1) }, { replace: true });
  }
  if (page.guest && signedIn()) return goBack(params.back);

  if (shown?.path === path && shown.page.update) {
    shown.page.update(params);
    return undefined;
  }
  shown?.abort.abort();
  const abort = new AbortController();
  const built = page.build({ path, params, server, signal: abort.signal });
  const first = shown === null;
  shown = { path, page: built, abort };
  frame ??= shell({ server, onLanguage: changeLanguage });
  frame.show(path, built.element, Boolean(page.guest));
  document.title = `${built.title} · Hayloft`;
  if (!first) {
    announce(built.title);
    scrollTo(0, 0);
    built.element.querySelector('h1')?.focus({ preventScroll: true });
  }
  return undefined;
}

/** Where the visitor wanted to go before signing in; only addresses of this page are followed. */
function goBack(back) {
  if (back?.startsWith('/') && PAGES[back.split('?')[0]]) location.replace(`#${back}`);
  else go('/files', {}, { replace: true });
}

/** Draws everything anew, for texts are part of every element. */
function redraw() {
  shown?.abort.abort();
  shown = null;
  frame?.end();
  frame = null;
  fill(app);
  show();
}

function changeLanguage() {
  setLanguage(language() === 'zh' ? 'en' : 'zh');
  redraw();
  document.querySelector('[data-role=language]')?.focus();
}

async function sessionChanged() {
  const now = session()?.user ?? null;
  if (now === user) return;
  user = now;
  // Uploads outlive a session that expired, so that its user can go on; nobody else may find them.
  if (now !== null && now !== uploader) stopAll();
  uploader = now ?? uploader;
  overlays.querySelectorAll('dialog').forEach((dialog) => dialog.close());
  forgetProfile();
  if (now) welcome();
  redraw();
}

/** What is asked once somebody is signed in. */
function welcome() {
  void loadProfile();
  void loadUnfinished();
}

sessionEvents.addEventListener('change', sessionChanged);
uploadEvents.addEventListener('stored', quotaChanged);
let closeExpired = null;
sessionEvents.addEventListener('expired', () => { closeExpired = toast(t('session.expired'), 'info'); });
sessionEvents.addEventListener('change', () => { if (signedIn()) closeExpired?.(); });
profileEvents.addEventListener('change', () => frame?.refresh());
addEventListener('hashchange', show);

mountToasts(overlays);
listenForFiles(overlays);
paintBrowserFrame();
try {
  server = await call('GET', 'server');
  limitUploads(server.upload_size_max);
} catch {
  // The pages say so themselves when the server cannot be reached.
}
// Before the first page asks anything, so that no request carries a token that is being replaced.
await startRenewal();
show();
if (signedIn()) welcome();
