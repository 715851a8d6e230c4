// Light and dark: follows the system until the reader chooses.

const KEY = 'hayloft.theme';
const ORDER = ['auto', 'light', 'dark'];

/** `auto`, `light` or `dark`. */
export function theme() {
  return document.documentElement.dataset.theme ?? 'auto';
}

/** The choice after the present one, for a button that goes round. */
export function nextTheme() {
  return ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
}

export function setTheme(choice) {
  const root = document.documentElement;
  if (choice === 'auto') delete root.dataset.theme;
  else root.dataset.theme = choice;
  try {
    if (choice === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  paintBrowserFrame();
}

/** Gives the browser's own bars the colour of the page. */
export function paintBrowserFrame() {
  const meta = document.querySelector('meta[name="theme-color"]');
  if (meta) meta.content = getComputedStyle(document.body).backgroundColor;
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paintBrowserFrame);
