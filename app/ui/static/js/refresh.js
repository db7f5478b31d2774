// @ts-check
// <slip-refresh seconds="10">: brings the parts of a page up to date that stay the same otherwise.
//
// Every so many seconds, while the page is seen, it asks for the page itself. What stands in an
// element with an id and the attribute data-fresh is put in the place of what stood there, where
// that is something else, and nobody is in it: no focus, no selection, nothing opened. The link in
// the element reloads the page without scripts; with them it does the same at once. What has the
// attribute data-announced is read out when it has become something else. Where the page has no such
// element any more, nothing will change, and the element goes.

import { readPage } from "./pages.js";
import { announce } from "./status.js";
import { serverNow, writeClock, writeTimes } from "./times.js";

class SlipRefresh extends HTMLElement {
  constructor() {
    super();
    this._timer = 0;
    this._busy = false;
    this._since = 0;
    this._seen = () => {
      if (!document.hidden && this._isDue()) void this._refresh();
    };
    this._asked = (/** @type {Event} */ event) => {
      if (!(event.target instanceof HTMLAnchorElement)) return;
      event.preventDefault();
      void this._refresh();
    };
    this._at = performance.now();
  }

  connectedCallback() {
    this._told = document.createElement("span");
    this._told.className = "muted";
    this.append(this._told);
    this._tell("");
    this.addEventListener("click", this._asked);
    document.addEventListener("visibilitychange", this._seen);
    this._timer = setInterval(this._seen, 1000);
  }

  disconnectedCallback() {
    clearInterval(this._timer);
    this.removeEventListener("click", this._asked);
    document.removeEventListener("visibilitychange", this._seen);
    this._told?.remove();
  }

  _isDue() {
    return performance.now() - this._at >= (Number(this.getAttribute("seconds")) || 10) * 1000;
  }

  async _refresh() {
    if (this._busy) return;
    this._busy = true;
    this._at = performance.now();
    try {
      const { answer, page } = await readPage(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) document.dispatchEvent(new CustomEvent("slip-signed-out"));
      if (!page) throw new Error(String(answer.status));
      take(page);
      if (!page.querySelector("slip-refresh")) this._end();
      this._since = 0;
      this._tell(`as of ${writeClock(serverNow())}`);
    } catch {
      this._since ||= serverNow();
      this._tell(`not live since ${writeClock(this._since)}`);
    } finally {
      this._busy = false;
    }
  }

  _end() {
    const hadFocus = this.contains(document.activeElement);
    this.remove();
    if (hadFocus) document.getElementById("main")?.focus();
  }

  /** @param {string} text */
  _tell(text) {
    if (!this._told) return;
    this._told.textContent = text || `as of ${writeClock(serverNow())}`;
    this._told.className = this._since ? "status stale" : "muted";
  }
}

/**
 * Take over what has become something else.
 * @param {Document} found the page as it is now
 */
function take(found) {
  if (found.title !== document.title) document.title = found.title;
  for (const old of document.querySelectorAll("[data-fresh][id]")) {
    const fresh = found.getElementById(old.id);
    if (!fresh || plain(fresh).isEqualNode(plain(old)) || isInUse(old)) continue;
    old.replaceChildren(...fresh.childNodes);
    writeTimes(old);
    if (old.hasAttribute("data-announced")) announce(old.textContent?.trim() ?? "");
  }
}

/**
 * @param {Element} element
 * @returns {Element} a copy, without how scripts write moments
 */
function plain(element) {
  const copy = /** @type {Element} */ (element.cloneNode(true));
  for (const time of copy.querySelectorAll("time, [data-since]")) {
    time.textContent = "";
    time.removeAttribute("title");
  }
  return copy;
}

/**
 * @param {Element} element
 * @returns {boolean} whether somebody would lose what they are at
 */
function isInUse(element) {
  const selection = document.getSelection();
  const selects = selection && !selection.isCollapsed && selection.containsNode(element, true);
  return Boolean(
    selects || element.contains(document.activeElement) || element.querySelector("details[open]"),
  );
}

customElements.define("slip-refresh", SlipRefresh);
