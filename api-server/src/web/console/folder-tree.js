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
    const label = h('div', { class: 'tree-label' }, h('span', { class: 'tree-turn' }, icon('right')), icon('folder'), h('span', {}, folder.name));
    const element = h('li', {
      role: 'treeitem', tabindex: '-1', 'aria-selected': 'false', 'aria-expanded': 'false', 'aria-label': folder.name, dataset: { folder: folder.id },
    }, label, group);
    const self = { folder, parent, element, group, children: null, expanded: false };
    label.addEventListener('click', (event) => {
      // A click on the arrow opens and closes; anywhere else it chooses.
      if (event.target.closest('.tree-turn')) void turn(self);
      else choose(self);
    });
    label.addEventListener('dblclick', () => void turn(self));
    element.addEventListener('keydown', (event) => {
      if (event.target === element && keys(event, self)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
    return self;
  }

  /** Opens or closes a folder, and asks for its folders the first time. */
  async function turn(self, expanded = !self.expanded) {
    if (expanded && self.children === null) await load(self);
    self.expanded = expanded && self.children !== null && self.children.length > 0;
    self.group.hidden = !self.expanded;
    if (self.children?.length === 0) self.element.removeAttribute('aria-expanded');
    else self.element.setAttribute('aria-expanded', String(self.expanded));
  }

  async function load(self) {
    self.element.setAttribute('aria-busy', 'true');
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
      self.element.removeAttribute('aria-busy');
    }
  }

  function choose(self) {
    if (chosen) {
      chosen.element.setAttribute('aria-selected', 'false');
      chosen.element.tabIndex = -1;
    }
    chosen = self;
    self.element.setAttribute('aria-selected', 'true');
    self.element.tabIndex = 0;
    self.element.focus();
    onChoose(self.folder.id);
  }

  function keys({ key }, self) {
    const visible = [...tree.querySelectorAll('[role=treeitem]')].filter((element) => !element.closest('[role=group][hidden]'));
    const at = visible.indexOf(self.element);
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
