// Keys in a list of cards or rows: arrows move between them, with Shift they select, and letters that
// people know from file managers act.

const OPENERS = '.card-open, .row-open';

/**
 * Listens on `place`. `rows()` are the rows of the list in order, `selection` what is selected; `remove`
 * and `rename` get rows, and may be absent.
 */
export function listenForListKeys(place, { rows, selection, remove, rename, signal }) {
  place.addEventListener('keydown', (event) => {
    const openers = [...place.querySelectorAll(OPENERS)];
    const at = openers.indexOf(event.target.closest('.card, tbody tr')?.querySelector(OPENERS));
    const list = rows();
    // The place itself has the focus after the list was exchanged under it.
    if (event.target === place && openers.length > 0 && ['ArrowDown', 'ArrowRight'].includes(event.key)) {
      event.preventDefault();
      openers[0].focus();
      return;
    }
    if (at < 0 || at >= list.length || event.altKey || event.target.closest('[role=menu], dialog')) return;
    if (act(event, at, openers, list)) event.preventDefault();
  }, { signal });

  function act({ key, shiftKey, ctrlKey, metaKey, target }, at, openers, list) {
    const command = ctrlKey || metaKey;
    const onOpener = target === openers[at];
    if (command && key.toLowerCase() === 'a') {
      selection.pickAll(list, true);
      return true;
    }
    if (key === 'Escape' && selection.size > 0) {
      selection.clear();
      return true;
    }
    if (key === 'Delete' && remove) {
      remove(selection.size > 0 ? selection.values() : [list[at]]);
      return true;
    }
    if (key === 'F2' && rename) {
      rename(list[at]);
      return true;
    }
    if (!onOpener || (command && key !== ' ')) return false;
    if (key === ' ' && (shiftKey || command)) {
      selection.pick(list, at, !selection.has(list[at]), false);
      return true;
    }
    const next = step(key, at, openers);
    if (next === null) return false;
    openers[next].focus();
    if (shiftKey) {
      selection.pickAll([list[at]], true);
      selection.pick(list, next, true, false);
    }
    return true;
  }
}

/** Where a key leads to from the opener `at`, or `null`. */
function step(key, at, openers) {
  const last = openers.length - 1;
  const columns = columnsOf(openers);
  const target = {
    ArrowLeft: columns > 1 ? at - 1 : at, ArrowRight: columns > 1 ? at + 1 : at, ArrowUp: at - columns, ArrowDown: at + columns,
    Home: 0, End: last,
  }[key];
  if (target === undefined) return null;
  // From above a short last line one still comes to it.
  if (key === 'ArrowDown' && target > last && Math.floor(at / columns) < Math.floor(last / columns)) return last;
  return target < 0 || target > last ? at : target;
}

/** How many cards stand beside each other. */
function columnsOf(openers) {
  const top = openers[0].getBoundingClientRect().top;
  const next = openers.findIndex((opener) => Math.abs(opener.getBoundingClientRect().top - top) > 1);
  return next < 0 ? openers.length : next;
}
