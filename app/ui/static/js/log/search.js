// @ts-check
// Looking for a text, or for errors, in the whole log: the server looks, and this goes on asking.

import { ApiError, api } from "../api.js";

const MOST_ROUNDS = 60; // two seconds each
const COUNT_ROUNDS = 20;
const PAUSE_MS = 300;
const TRIES = 5; // while the service has no time for it

/**
 * @typedef {object} Found
 * @property {{entry: import("./entries.js").Entry, from: number, number: number | null} | null} match
 * @property {number | null} go_on_from
 * @property {number} total_results
 * @property {number} counted
 * @property {boolean} total_is_exact
 */

export class Search {
  /**
   * @param {string} path of an execution's log
   * @param {() => Record<string, string>} filter of the list in which one looks
   */
  constructor(path, filter) {
    this._path = path;
    this._filter = filter;
    this._abort = new AbortController();
  }

  /** Stop looking. */
  stop() {
    this._abort.abort();
    this._abort = new AbortController();
  }

  /**
   * Find the next one, or the one before.
   *
   * @param {Record<string, string>} wanted such as `text`, `grep` or `of_levels`
   * @param {"next" | "previous"} direction
   * @param {number} index of the line beside which to look
   * @param {(found: Found) => void} onProgress while nothing is found yet
   * @returns {Promise<Found>}
   */
  async find(wanted, direction, index, onProgress) {
    this.stop();
    const { signal } = this._abort;
    let found = await this._ask(wanted, direction, index, signal);
    for (let round = 0; found.go_on_from !== null && round < MOST_ROUNDS; round += 1) {
      onProgress(found);
      await pause(signal);
      found = await this._ask(wanted, direction, found.go_on_from, signal);
    }
    return found;
  }

  /**
   * Go on counting, where it is not known yet how many there are, or which was found.
   *
   * @param {Record<string, string>} wanted
   * @param {number} index of what was found
   * @param {(found: Found) => void} onCount
   */
  async count(wanted, index, onCount) {
    const { signal } = this._abort;
    for (let round = 0; round < COUNT_ROUNDS; round += 1) {
      await pause(signal);
      const found = await this._ask({ ...wanted, thorough: "true" }, "next", index - 1, signal);
      onCount(found);
      if (isCounted(found)) return;
    }
  }

  /**
   * @param {Record<string, string>} wanted
   * @param {string} direction
   * @param {number} index
   * @param {AbortSignal} signal
   * @returns {Promise<Found>}
   */
  async _ask(wanted, direction, index, signal) {
    const all = { ...this._filter(), ...wanted, direction, index: String(Math.max(-1, index)) };
    const path = `${this._path}/matches?${new URLSearchParams(all)}`;
    for (let tried = 1; ; tried += 1) {
      try {
        return await api(path, { signal });
      } catch (error) {
        if (!isBusy(error) || tried === TRIES) throw error;
        await pause(signal, (error.retryAfter ?? 1) * 1000);
      }
    }
  }
}

/**
 * @param {unknown} error
 * @returns {error is ApiError} whether the same may succeed later
 */
function isBusy(error) {
  return error instanceof ApiError && (error.status === 429 || error.status === 503);
}

/**
 * @param {AbortSignal} signal
 * @param {number} [ms]
 */
function pause(signal, ms = PAUSE_MS) {
  return new Promise((resolve, reject) => {
    setTimeout(() => (signal.aborted ? reject(signal.reason) : resolve(null)), ms);
  });
}

/**
 * @param {Found} found
 * @returns {boolean} whether it says how many there are, and which of them was found
 */
export function isCounted(found) {
  return found.total_is_exact && typeof found.match?.number === "number";
}

/** @param {Found} found */
export function countOf(found) {
  const total = found.total_results.toLocaleString("en");
  const of = found.total_is_exact ? total : `${total}+`;
  const number = found.match?.number;
  return number ? `${number.toLocaleString("en")} of ${of}` : `${of} found`;
}
