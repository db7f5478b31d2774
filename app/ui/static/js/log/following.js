// @ts-check
// A log that grows: how many entries its list has by now, and the new ones as they come.

import { api } from "../api.js";
import { hub } from "../hub.js";
import { queryOf } from "./address.js";

/**
 * @typedef {import("./entries.js").Entry} Entry
 *
 * @typedef {object} Told
 * @property {(place: number, entries: Entry[]) => void} onEntries what came, from a place on
 * @property {(total: number) => void} onTotal how many there are, where some are not at hand
 * @property {(status: any) => void} onStatus
 * @property {(text: string) => void} onEnd nothing comes any more: why, where that is no end
 */

const LAST = 1e15;
const AGAIN_MS = 2000;

export class Following {
  /**
   * @param {string} id of the execution
   * @param {string} path of its log
   * @param {Told} told
   */
  constructor(id, path, told) {
    this._id = id;
    this._path = path;
    this._told = told;
    /** @type {() => void} */
    this._stop = () => {};
    this._run = 0;
    /** How often it was found out how many there are: only the last answer holds. */
    this._count = 0;
    this._total = 0;
    /** @type {Entry[] | null} what came while it is found out how many there are */
    this._held = null;
  }

  /** End it. */
  stop() {
    this._run += 1;
    this._count += 1;
    this._stop();
    this._stop = () => {};
  }

  /**
   * Follow behind a place in the whole log.
   *
   * @param {{levels: number, task?: string}} filter
   * @param {number} total how many entries of the filter stand before that place
   * @param {number} after index of the last entry before it; -1 for none
   */
  start(filter, total, after) {
    this.stop();
    const run = this._run;
    this._total = total;
    this._held = null;
    this._stop = hub.follow(`log/${this._id}`, { ...filter, after }, (events) => {
      if (run === this._run) this._take(events, filter);
    });
  }

  /**
   * @param {import("../hub.js").HubEvent[]} events
   * @param {{levels: number, task?: string}} filter
   */
  _take(events, filter) {
    /** @type {Entry[]} */
    let fresh = [];
    for (const event of events) {
      if (event.type === "log") {
        fresh = fresh.concat(event.entries);
      } else if (event.type === "dropped") {
        this._pass(fresh);
        fresh = [];
        void this._countTo(event.next, filter);
      } else if (event.type === "status") {
        this._told.onStatus(event);
      } else if (["end", "expired", "refused", "purged"].includes(event.type) && !event.retry) {
        this._pass(fresh);
        fresh = [];
        this._told.onEnd(event.reason ?? event.detail ?? "");
      }
    }
    this._pass(fresh);
  }

  /** @param {Entry[]} entries */
  _pass(entries) {
    if (entries.length === 0) return;
    if (this._held !== null) {
      this._held.push(...entries);
      return;
    }
    const place = this._total;
    this._total += entries.length;
    this._told.onEntries(place, entries);
  }

  /**
   * Find out how many entries stand before one, where some were left out.
   *
   * @param {number} index
   * @param {{levels: number, task?: string}} filter
   */
  async _countTo(index, filter) {
    const count = (this._count += 1);
    this._held ??= [];
    while (count === this._count) {
      const place = await placeOf(this._path, index, filter).catch(() => null);
      if (count !== this._count) return;
      if (place !== null) {
        this._reached(index, place.from);
        return;
      }
      await new Promise((done) => { setTimeout(done, AGAIN_MS); });
    }
  }

  /**
   * @param {number} index of the entry before which some were left out
   * @param {number} total how many stand before it
   */
  _reached(index, total) {
    const held = (this._held ?? []).filter((each) => each.index >= index);
    this._held = null;
    this._total = total;
    this._told.onTotal(total);
    this._pass(held);
  }
}

/**
 * @typedef {object} Place
 * @property {number} from how many of the list stand before it
 * @property {number} total_results
 * @property {number} log_total
 * @property {boolean} listed
 */

/**
 * Ask where a line is in a list.
 *
 * @param {string} path of the log
 * @param {number} index of the line; a large one is behind all
 * @param {{levels: number, task?: string}} filter
 * @returns {Promise<Place>}
 */
export function placeOf(path, index, filter) {
  const at = String(Math.min(index, LAST));
  const query = new URLSearchParams({ index: at, ...queryOf(filter) });
  return api(`${path}/place?${query}`);
}
