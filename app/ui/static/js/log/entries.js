// @ts-check
// The entries that are at hand: windows of the list, read when wanted, the oldest ones forgotten.

import { ApiError, api } from "../api.js";

/**
 * @typedef {object} Entry
 * @property {string} level
 * @property {string} timestamp
 * @property {string} content
 * @property {string} task
 * @property {number} index place in the whole log
 *
 * @typedef {object} Page
 * @property {Entry[]} logs
 * @property {number} total_results
 * @property {boolean} complete
 */

const WINDOW = 500;
const MOST_ENTRIES = 20000;
const MOST_CHARACTERS = 24e6;
const SETTLE_MS = 80; // while a thumb is dragged, nothing is read
const LONGEST_WAIT = 30;

export class Entries {
  /**
   * @param {(query: Record<string, number>, signal: AbortSignal) => Promise<Page>} read a page
   * @param {{onRead: (page: Page) => void, onTrouble: (text: string) => void}} told
   */
  constructor(read, told) {
    this._read = read;
    this._told = told;
    /** @type {Map<number, {entries: Entry[], characters: number}>} */
    this._windows = new Map();
    this._characters = 0;
    this._first = 0;
    this._last = 0;
    this._total = 0;
    this._askedAt = 0;
    this._failures = 0;
    /** @type {number} */
    this._reading = -1;
    this._abort = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
  }

  /** Forget all: the list is another one. */
  clear() {
    this._abort.abort();
    this._abort = new AbortController();
    clearTimeout(this._timer);
    this._timer = undefined;
    this._windows.clear();
    this._characters = 0;
    this._reading = -1;
    this._failures = 0;
    this._first = this._last = this._total = 0;
  }

  /**
   * @param {number} place in the list
   * @returns {Entry | undefined} undefined where it is not at hand
   */
  at(place) {
    return this._windows.get(Math.floor(place / WINDOW))?.entries[place % WINDOW];
  }

  /**
   * Take entries that came by themselves, if what stands before them is at hand.
   *
   * @param {number} place of the first one
   * @param {Entry[]} entries
   */
  put(place, entries) {
    for (let i = 0; i < entries.length; i += 1) {
      const number = Math.floor((place + i) / WINDOW);
      const within = (place + i) % WINDOW;
      let kept = this._windows.get(number);
      if (kept === undefined && within === 0) {
        kept = { entries: [], characters: 0 };
        this._windows.set(number, kept);
      }
      if (kept !== undefined && kept.entries.length === within) {
        kept.entries.push(entries[i]);
        kept.characters += entries[i].content.length;
        this._characters += entries[i].content.length;
      }
    }
    this._forget();
  }

  /**
   * Say which part of the list is looked at, and have read what of it is not at hand.
   *
   * @param {number} first
   * @param {number} last behind the last one
   * @param {number} total how many there are
   */
  want(first, last, total) {
    const moved = Math.abs(first - this._first) > WINDOW;
    this._first = Math.max(0, first);
    this._last = Math.min(last, total);
    this._total = total;
    const now = performance.now();
    const settled = !moved || now - this._askedAt > 3 * SETTLE_MS;
    if (moved) this._askedAt = now;
    if (this._reading >= 0 && !this._isWanted(this._reading)) {
      this._abort.abort();
      this._abort = new AbortController();
      this._reading = -1;
    }
    if (this._reading >= 0 || this._failures > 0) return;
    if (moved && !settled) {
      clearTimeout(this._timer);
      this._timer = undefined;
    }
    this._plan(settled ? 0 : SETTLE_MS);
  }

  /** Read at once what could not be read: the reason may be gone. */
  retry() {
    if (this._failures === 0 || this._reading >= 0) return;
    clearTimeout(this._timer);
    this._timer = undefined;
    this._plan(0);
  }

  /** @param {number} delay in milliseconds */
  _plan(delay) {
    if (this._timer !== undefined) return;
    this._timer = setTimeout(() => {
      this._timer = undefined;
      void this._next();
    }, delay);
  }

  /** @param {number} number of a window */
  _isWanted(number) {
    return number * WINDOW < this._last && (number + 1) * WINDOW > this._first;
  }

  /** @returns {number} the window that is missed most; -1 for none */
  _missed() {
    for (let n = Math.floor(this._first / WINDOW); n * WINDOW < this._last; n += 1) {
      const whole = Math.min(WINDOW, this._total - n * WINDOW);
      if ((this._windows.get(n)?.entries.length ?? 0) < whole) return n;
      this._touch(n);
    }
    return -1;
  }

  /** @param {number} number of a window that is used */
  _touch(number) {
    const kept = this._windows.get(number);
    if (kept === undefined) return;
    this._windows.delete(number);
    this._windows.set(number, kept);
  }

  async _next() {
    const number = this._missed();
    if (number < 0 || this._reading >= 0) return;
    const { signal } = this._abort;
    const held = this._windows.get(number)?.entries.length ?? 0;
    this._reading = number;
    let wait = 0;
    try {
      const query = { from: number * WINDOW + held, size: WINDOW - held };
      const page = await this._read(query, signal);
      if (signal.aborted) return;
      if (this._failures > 0) this._told.onTrouble("");
      this._failures = 0;
      this.put(number * WINDOW + held, page.logs);
      this._told.onRead(page);
      if (page.logs.length === 0) wait = 1000; // there are fewer than was said
    } catch (error) {
      if (signal.aborted) return;
      wait = this._failed(error);
    }
    this._reading = -1;
    if (wait >= 0) this._plan(wait);
  }

  /**
   * @param {unknown} error
   * @returns {number} after how many milliseconds to try again; -1 for never
   */
  _failed(error) {
    this._failures += 1;
    // An answer that was cut off is no such error, and is asked for again as well.
    const { message, retryAfter } =
      error instanceof ApiError ? error : new ApiError(0, "cut", "The answer was cut off.");
    if (isRefused(error)) {
      this._told.onTrouble(message);
      return -1;
    }
    const seconds = retryAfter ?? Math.min(LONGEST_WAIT, 2 ** (this._failures - 1));
    this._told.onTrouble(`${message} Trying again in ${Math.ceil(seconds)} s.`);
    this._failures = Math.min(this._failures, 6);
    return seconds * (1000 + 200 * Math.random());
  }

  _forget() {
    for (const [number, kept] of this._windows) {
      const much = this._windows.size * WINDOW > MOST_ENTRIES || this._characters > MOST_CHARACTERS;
      if (!much) return;
      if (this._isWanted(number)) continue;
      this._characters -= kept.characters;
      this._windows.delete(number);
    }
  }
}

/**
 * @param {unknown} error
 * @returns {boolean} whether it comes to the same when it is asked for again
 */
export function isRefused(error) {
  return error instanceof ApiError && [401, 403, 404, 410].includes(error.status);
}

/**
 * @param {string} path of an execution's log
 * @param {() => Record<string, string>} filter
 * @returns {(query: Record<string, number>, signal: AbortSignal) => Promise<Page>}
 */
export function reader(path, filter) {
  return (query, signal) => {
    const all = { ...filter(), timeout: "0", ...query };
    const text = new URLSearchParams(Object.entries(all).map(([k, v]) => [k, String(v)]));
    return api(`${path}?${text}`, { signal });
  };
}
