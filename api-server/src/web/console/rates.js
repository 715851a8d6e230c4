// Rates from counters that only grow: per second, between two answers that differ in time.

/**
 * Remembers the newest two reports of each source.
 *
 * A node's counters stand still between its reports, so a rate is taken between the last two *reports*
 * and kept until the next one; sampling at a fixed beat would show zeros and bursts.
 */
export class Rates {
  #samples = new Map();

  /**
   * Takes counters of a source. `report` changes with each report; `atMs` is when it arrived.
   * Gives `{counter: per second}`, or `null` as long as one report is known.
   */
  update(source, counters, report, atMs) {
    const last = this.#samples.get(source);
    if (!last) {
      this.#samples.set(source, { counters, report, atMs, rates: null });
      return null;
    }
    if (last.report === report) return last.rates;
    const seconds = (atMs - last.atMs) / 1000;
    // A counter that fell belongs to a process that was started anew.
    const rates = Object.fromEntries(Object.entries(counters).map(([name, value]) => [
      name, Math.max(0, value - last.counters[name]) / seconds,
    ]));
    this.#samples.set(source, { counters, report, atMs, rates });
    return rates;
  }
}
