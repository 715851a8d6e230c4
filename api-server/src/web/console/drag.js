// Dragging entries onto folders. Files from outside of the browser are upload-sources.js.

import { ROOT } from './upload-folders.js';

const TYPE = 'application/x-hayloft-entries';

let dragged = [];

/** Makes `element` carry rows; `rowsOf()` says which, once the drag begins. */
export function dragSource(element, rowsOf) {
  element.draggable = true;
  element.addEventListener('dragstart', (event) => {
    dragged = rowsOf();
    event.dataTransfer.setData(TYPE, '');
    event.dataTransfer.effectAllowed = 'move';
    element.classList.add('dragged');
  });
  element.addEventListener('dragend', () => {
    dragged = [];
    element.classList.remove('dragged');
  });
  return element;
}

/** Makes `element` stand for the folder `id`: what is dropped on it goes to `move(rows, id)`. */
export function dropTarget(element, id, move) {
  // Entering a child fires before leaving the parent, so the depth is counted.
  let depth = 0;
  const takes = (event) => event.dataTransfer.types.includes(TYPE) && canMove(dragged, id);
  const mark = () => element.classList.toggle('drop-target', depth > 0);
  element.addEventListener('dragenter', (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    depth += 1;
    mark();
  });
  element.addEventListener('dragleave', (event) => {
    if (!takes(event)) return;
    depth = Math.max(0, depth - 1);
    mark();
  });
  element.addEventListener('dragover', (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'move';
  });
  element.addEventListener('drop', (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    depth = 0;
    mark();
    void move(dragged, id);
  });
  return element;
}

/** Whether rows may go to a folder: not into themselves, and not to where all of them are. */
export function canMove(rows, id) {
  return rows.length > 0 && rows.every((row) => row.id !== id) && rows.some((row) => (row.parent ?? ROOT) !== id);
}
