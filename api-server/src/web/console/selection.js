// Which rows of a list are selected, by key; survives turning the page.

export class Selection extends EventTarget {
  #chosen = new Map();
  #keyOf;
  #lastIndex = null;
  #view = null;

  /** `keyOf` gives the key of a row. */
  constructor(keyOf) {
    super();
    this.#keyOf = keyOf;
  }

  get size() {
    return this.#chosen.size;
  }

  /** The selected rows, in the order of selection. */
  values() {
    return [...this.#chosen.values()];
  }

  has(row) {
    return this.#chosen.has(this.#keyOf(row));
  }

  set(row, selected) {
    if (selected) this.#chosen.set(this.#keyOf(row), row);
    else this.#chosen.delete(this.#keyOf(row));
  }

  /** Selects or unselects a row of `rows`; with `range` also all rows since the last one touched. */
  pick(rows, index, selected, range) {
    const from = range && this.#lastIndex !== null ? Math.min(this.#lastIndex, index) : index;
    const to = range && this.#lastIndex !== null ? Math.max(this.#lastIndex, index) : index;
    for (const row of rows.slice(from, to + 1)) this.set(row, selected);
    this.#lastIndex = index;
    this.#changed();
  }

  pickAll(rows, selected) {
    for (const row of rows) this.set(row, selected);
    this.#changed();
  }

  clear() {
    this.#chosen.clear();
    this.#lastIndex = null;
    this.#changed();
  }

  /** Takes newer versions of rows that are selected. */
  refresh(rows) {
    this.#lastIndex = null;
    for (const row of rows) {
      if (this.has(row)) this.set(row, true);
    }
  }

  /** Has `update` called after each change, in place of the list that was drawn before. */
  drawnBy(update) {
    this.#view = update;
  }

  #changed() {
    this.#view?.();
    this.dispatchEvent(new Event('change'));
  }
}
