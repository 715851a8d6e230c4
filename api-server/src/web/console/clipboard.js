// Copying text. The modern interface exists only on secure origins; a server in a home network is
// often reached over plain HTTP, so the old way stays as the fallback.

/** Copies `text`; `false` when the browser did not let us. */
export async function copyText(text) {
  try {
    if (navigator.clipboard && isSecureContext) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Permission refused: the fallback may still work.
  }
  return copyBySelection(text);
}

function copyBySelection(text) {
  const before = document.activeElement;
  const area = document.createElement('textarea');
  area.value = text;
  area.readOnly = true;
  area.className = 'off-screen';
  // A modal dialog makes the rest of the page inert, so the area has to live inside of it.
  (document.querySelector('dialog[open]:last-of-type') ?? document.body).append(area);
  area.select();
  let copied = false;
  try {
    copied = document.execCommand('copy');
  } catch {
    copied = false;
  }
  area.remove();
  before?.focus?.();
  return copied;
}
