// A tree of folders to choose one from. Folders are asked for when they are opened. The keys are those
// of the tree pattern: arrows move, open and close, Home and End go to the ends.

import { append, h, icon } from './dom.js';
import { describe, isAbort } from './errors.js';
import { foldersIn } from './folders.js';
import { t } from './i18n.js';
import { toast } from './toast.js';
import { ROOT } from './upload-folders.js';

/**
 * Builds the tree. `excluded` are ids of folders that cannot be chosen, nor anything in them; `open` is
 * the path of `{id}` that is open at first; `onChoose(id)` hears of every choice.
 */
export function folderTree({ excluded, open, onChoose, signal }) {
  const root = node({ id: ROOT, name: t('files.title') });
  const tree = h('ul', { class: 'tree', role: 'tree', 'aria-label': t('folder.tree') }, root.element);
  let chosen = null;

  function node(folder, parent = null) {
    const group = h('ul', { role: 'group', hidden: true });
    // The group stands beside the item and not in it, or its folders would be part of the item's name.
    const item = h('div', {
      role: 'treeitem', class: 'tree-item', tabindex: '-1', 'aria-selected': 'false', 'aria-expanded': 'false',
      'aria-level': String(parent === null ? 1 : parent.level + 1), dataset: { folder: folder.id },
    }, h('span', { class: 'tree-turn' }, icon('right')), icon('folder'), h('span', { class: 'tree-name' }, folder.name));
    const element = h('li', { role: 'none' }, item, group);
    const self = { folder, parent, level: parent === null ? 1 : parent.level + 1, element, item, group, children: null, expanded: false };
    item.addEventListener('click', (event) => {
      // A click on the arrow opens and closes; anywhere else it chooses.
      if (event.target.closest('.tree-turn')) void turn(self);
      else choose(self);
    });
    item.addEventListener('dblclick', () => void turn(self));
    item.addEventListener('keydown', (event) => {
      if (keys(event, self)) event.preventDefault();
    });
    return self;
  }

  /** Opens or closes a folder, and asks for its folders the first time. */
  async function turn(self, expanded = !self.expanded) {
    if (expanded && self.children === null) await load(self);
    self.expanded = expanded && self.children !== null && self.children.length > 0;
    self.group.hidden = !self.expanded;
    if (self.children?.length === 0) self.item.removeAttribute('aria-expanded');
    else self.item.setAttribute('aria-expanded', String(self.expanded));
  }

  async function load(self) {
    self.item.setAttribute('aria-busy', 'true');
    self.group.replaceChildren();
    const children = [];
    try {
      for (let start = 0, more = true; more;) {
        const part = await foldersIn(self.folder.id, start, signal);
        const added = part.folders.filter(({ id }) => !excluded.has(id)).map((folder) => node(folder, self));
        append(self.group, added.map(({ element }) => element));
        children.push(...added);
        start += part.folders.length;
        more = part.more;
      }
      self.children = children;
    } catch (error) {
      if (!isAbort(error)) toast(describe(error), 'bad');
    } finally {
      self.item.removeAttribute('aria-busy');
    }
  }

  function choose(self) {
    if (chosen) {
      chosen.item.setAttribute('aria-selected', 'false');
      chosen.item.tabIndex = -1;
    }
    chosen = self;
    self.item.setAttribute('aria-selected', 'true');
    self.item.tabIndex = 0;
    self.item.focus();
    onChoose(self.folder.id);
  }

  function keys({ key }, self) {
    const visible = [...tree.querySelectorAll('[role=treeitem]')].filter((element) => !element.closest('[role=group][hidden]'));
    const at = visible.indexOf(self.item);
    const go = (index) => choose(find(root, visible[Math.max(0, Math.min(visible.length - 1, index))].dataset.folder));
    switch (key) {
      case 'ArrowDown': go(at + 1); break;
      case 'ArrowUp': go(at - 1); break;
      case 'Home': go(0); break;
      case 'End': go(visible.length - 1); break;
      case 'ArrowRight':
        if (self.expanded) go(at + 1);
        else void turn(self, true);
        break;
      case 'ArrowLeft':
        if (self.expanded) void turn(self, false);
        else if (self.parent) choose(self.parent);
        break;
      default: return false;
    }
    return true;
  }

  /** Opens the path, and chooses its last folder. */
  async function start() {
    let at = root;
    await turn(root, true);
    for (const { id } of open) {
      const next = at.children?.find(({ folder }) => folder.id === id);
      if (!next) break;
      at = next;
      await turn(at, true);
    }
    if (!signal.aborted) choose(at);
  }

  /** Shows a folder that was just made within the chosen one, and chooses it. */
  async function add(folder) {
    const parent = chosen ?? root;
    parent.children = null;
    await turn(parent, true);
    const made = parent.children?.find((child) => child.folder.id === folder.id);
    if (made) choose(made);
  }

  void start();
  return { element: tree, add };
}

function find(node, id) {
  if (node.folder.id === id) return node;
  for (const child of node.children ?? []) {
    const found = find(child, id);
    if (found) return found;
  }
  return null;
}
