// @ts-check
// Lines that were picked by their numbers: shown, linked to, and copied from the data, not from
// the rows, of which most are gone.

import { api } from "../api.js";
import { copy } from "../copy.js";
import { announce } from "../status.js";
import { hashOf, queryOf, rangeOf } from "./address.js";
import { plain } from "./text.js";

const MOST_COPIED = 10000;

export class Picked {
  /**
   * @param {HTMLElement} bar what tells of them
   * @param {string} path of the log
   * @param {() => import("./address.js").Filter} filter
   * @param {() => void} onChange
   */
  constructor(bar, path, filter, onChange) {
    this._bar = bar;
    this._path = path;
    this._filter = filter;
    this._onChange = onChange;
    /** @type {import("./address.js").Range | null} */
    this.range = null;
    this._anchor = 0;
    bar.querySelector("[data-do=copy]")?.addEventListener("click", () => void this.copy());
    bar.querySelector("[data-do=link]")?.addEventListener("click", () => void this._link());
    bar.querySelector("[data-do=clear]")?.addEventListener("click", () => this.set(null));
  }

  /** Take those of the address. */
  read() {
    this.range = rangeOf(location.hash);
    this._anchor = this.range?.[0] ?? 0;
    this._show();
  }

  /** @param {number} index */
  has(index) {
    return this.range !== null && index >= this.range[0] && index <= this.range[1];
  }

  /**
   * @param {number} index of a line whose number was clicked
   * @param {boolean} extend from the one before up to it
   */
  pick(index, extend) {
    if (!extend || this.range === null) {
      this._anchor = index;
      this.set([index, index]);
    } else {
      this.set([Math.min(this._anchor, index), Math.max(this._anchor, index)]);
    }
  }

  /** @param {import("./address.js").Range | null} range */
  set(range) {
    this.range = range;
    const hash = range === null ? "" : hashOf(range);
    history.replaceState(history.state, "", location.pathname + location.search + hash);
    this._show();
    this._onChange();
  }

  /**
   * @param {(index: number) => import("./entries.js").Entry | undefined} at
   * @returns {string | null} their text, if all of them are at hand
   */
  textAtHand(at) {
    if (this.range === null || this.range[1] - this.range[0] >= MOST_COPIED) return null;
    const lines = [];
    for (let index = this.range[0]; index <= this.range[1]; index += 1) {
      const entry = at(index);
      if (entry === undefined) return null;
      lines.push(plain(entry.content));
    }
    return lines.join("\n");
  }

  /** Copy them, however many of them are shown. */
  async copy() {
    if (this.range === null) return;
    const text = await this._read(this.range);
    if (text === null) return;
    const done = await copy(text);
    this._say(done ? "Copied" : "The browser does not let pages copy: use “as text”");
  }

  /** @param {import("./address.js").Range} range */
  async _read([first, last]) {
    const filter = queryOf(this._filter());
    const lines = [];
    let after = first - 1;
    while (after < last && lines.length < MOST_COPIED) {
      const query = new URLSearchParams({
        ...filter, after: String(after), timeout: "0", size: String(Math.min(1000, last - after)),
      });
      let page;
      try {
        page = await api(`${this._path}?${query}`);
      } catch (error) {
        this._say(error instanceof Error ? error.message : String(error));
        return null;
      }
      const entries = page.logs.filter((/** @type {any} */ each) => each.index <= last);
      for (const entry of entries) lines.push(plain(entry.content));
      if (entries.length < page.logs.length || page.logs.length === 0) break;
      after = page.logs.at(-1).index;
    }
    return lines.join("\n");
  }

  async _link() {
    const done = await copy(location.href);
    this._say(done ? "Link copied" : "The link is the address of this page");
  }

  /** @param {string} text */
  _say(text) {
    const said = this._bar.querySelector("[data-said]");
    if (said) said.textContent = text;
    announce(text);
  }

  _show() {
    this._bar.hidden = this.range === null;
    if (this.range === null) return;
    const [first, last] = this.range;
    const lines = this._bar.querySelector("[data-lines]");
    if (lines) lines.textContent = first === last ? `Line ${first}` : `Lines ${first} to ${last}`;
    const said = this._bar.querySelector("[data-said]");
    if (said) said.textContent = last - first < MOST_COPIED ? "" : "The first 10,000 are copied";
  }
}
