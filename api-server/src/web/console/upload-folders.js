// Where uploads go: the folder that is open, and the folders that a folder upload brings along.

import { call } from './api.js';
import { entryName } from './names.js';
import { persist } from './retry.js';

export const ROOT = '0';

let open = ROOT;

/** Tells which folder new uploads go to. */
export function setUploadFolder(id) {
  open = id;
}

/** The id of the folder that new uploads go to. */
export function uploadFolder() {
  return open;
}

/**
 * Makes the folders of one batch of files: each once, however many files lie in it.
 *
 * A folder that is there already is taken as it is, so that a batch can be sent again.
 */
export class FolderMaker {
  #ids = new Map();

  /** `parent` is the id of the folder below which the batch goes. */
  constructor(parent) {
    this.parent = parent;
  }

  /** The id of the folder with this path of names below the parent; it is made if need be. */
  idOf(path, options) {
    if (path.length === 0) return Promise.resolve(this.parent);
    const key = path.join('/');
    if (!this.#ids.has(key)) {
      const made = this.#make(path, options);
      this.#ids.set(key, made);
      // A failure is not remembered: the next file, or the next try, may have more luck.
      made.catch(() => this.#ids.delete(key));
    }
    return this.#ids.get(key);
  }

  /** Asks for every folder anew from now on, since one of them is no longer where it was. */
  forget() {
    this.#ids.clear();
  }

  async #make(path, options) {
    const parent = await this.idOf(path.slice(0, -1), options);
    const body = { parent, name: entryName(path.at(-1)), existing: true };
    const folder = await persist(() => call('POST', 'folders', { body }), options);
    return folder.id;
  }
}
