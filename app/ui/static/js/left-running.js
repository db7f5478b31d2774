// @ts-check
// What somebody left running, above a list of executions: read anew, seldom, once one of theirs
// begins or ends.

import { readPage } from "./pages.js";
import { meta } from "./root.js";
import { FINAL } from "./status.js";
import { writeTimes } from "./times.js";

const SETTLE_MS = 1000;
const PAUSE_MS = 15000;
const MOST_KNOWN = 5000;

/** @typedef {import("./hub.js").HubEvent} HubEvent */

export class LeftRunning {
  /** @param {HTMLElement} list in which the line stands */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, boolean>} whether it had ended when last heard of */
    this.ended = new Map();
    this.timer = 0;
    this.readAt = -Infinity;
    this.user = meta("user");
  }

  /**
   * @param {HubEvent} event how one stands
   * @param {string} [shown] the state that the list shows of it
   */
  take(event, shown) {
    if (event.owner !== this.user) return;
    const is = FINAL.includes(event.state);
    const was = this.ended.get(event.id) ?? (shown && FINAL.includes(shown));
    this.ended.delete(event.id);
    this.ended.set(event.id, is);
    if (this.ended.size > MOST_KNOWN) this.ended.delete(this.ended.keys().next().value ?? "");
    if (was !== is && !this.timer) {
      const wait = Math.max(SETTLE_MS, this.readAt + PAUSE_MS - performance.now());
      this.timer = window.setTimeout(() => void this.read(), wait);
    }
  }

  async read() {
    this.timer = 0;
    this.readAt = performance.now();
    try {
      const { page } = await readPage(location.href);
      const fresh = page?.querySelector("p.left");
      const old = this.list.querySelector("p.left");
      if (!fresh || !old || old.contains(document.activeElement)) return;
      old.replaceWith(document.importNode(fresh, true));
      writeTimes(this.list);
    } catch {
      // The next one that begins or ends tries again.
    }
  }

  stop() {
    clearTimeout(this.timer);
  }
}
