// @ts-check
// What charts show that is read from an address: once for all charts of the same one.

import { api } from "./api.js";

/**
 * @typedef {object} Reader
 * @property {(data: import("./chart-words.js").ChartData) => void} show
 * @property {(since: number) => void} fail told of each failure, and since when it lasts
 */

/** Reads one address again and again while anybody is shown it, and not while the page is hidden. */
class Source {
  /** @param {string} path below the root of the API */
  constructor(path) {
    this._path = path;
    /** @type {Set<Reader>} */
    this._readers = new Set();
    /** @type {import("./chart-words.js").ChartData | null} */
    this._data = null;
    this._seconds = 0;
    this._timer = 0;
    this._reading = false;
    this._failedAt = 0;
  }

  /**
   * @param {Reader} reader
   * @param {number} seconds how often it is read; 0 for once
   * @returns {() => void} ends it
   */
  add(reader, seconds) {
    this._readers.add(reader);
    this._seconds = seconds;
    if (this._data) {
      reader.show(this._data);
    } else {
      void this._read();
    }
    this._plan();
    return () => {
      this._readers.delete(reader);
      if (!this._readers.size) {
        clearTimeout(this._timer);
        sources.delete(this._path);
      }
    };
  }

  _plan() {
    clearTimeout(this._timer);
    if (this._seconds && this._readers.size) {
      this._timer = setTimeout(() => void this._read(), this._seconds * 1000);
    }
  }

  async _read() {
    if (this._reading || document.hidden) {
      this._plan();
      return;
    }
    this._reading = true;
    try {
      const data = (this._data = await api(this._path));
      this._failedAt = 0;
      for (const reader of this._readers) reader.show(data);
    } catch {
      this._failedAt ||= Date.now();
      for (const reader of this._readers) reader.fail(this._failedAt);
    } finally {
      this._reading = false;
      this._plan();
    }
  }
}

/** @type {Map<string, Source>} */
const sources = new Map();

/**
 * Show what an address has.
 * @param {string} path below the root of the API, such as "/system/figures"
 * @param {Reader} reader
 * @param {number} seconds how often it is read; 0 for once
 * @returns {() => void} ends it
 */
export function read(path, reader, seconds) {
  let source = sources.get(path);
  if (!source) {
    source = new Source(path);
    sources.set(path, source);
  }
  return source.add(reader, seconds);
}
