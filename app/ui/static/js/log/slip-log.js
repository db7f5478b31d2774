// @ts-check
// <slip-log>: the log of an execution, of any length, read by windows and followed live.

import { announce, setStatus } from "../status.js";
import { filterOf, keepInAddress, queryOf } from "./address.js";
import { setBehind } from "./colours.js";
import { Entries, isRefused, reader } from "./entries.js";
import { Finder } from "./finder.js";
import { Following, placeOf } from "./following.js";
import { listen } from "./keys.js";
import { Looks } from "./looks.js";
import { Picked } from "./picked.js";
import { LONGEST, makePlaceholder, makeRow } from "./rows.js";
import { View } from "./view.js";

const SAY_MS = 10000;
const AHEAD = 250; // entries that are read before they are needed
const AGAIN_SECONDS = 2;

export class SlipLog extends HTMLElement {
  path = "";
  _total = 0;
  _unseen = 0;
  _saidAt = 0;
  _run = 0;
  _columns = 80;
  _rowsTold = -1;
  _newTold = "";
  _live = false;
  _isPart = false;
  _hinted = false;
  /** @type {(() => void) | null} has the list that could not be had */
  _missed = null;
  /** @type {number | undefined} */
  _marked = undefined;
  /** @type {View | undefined} */
  _view = undefined;

  connectedCallback() {
    if (this.isConnected && this._view === undefined) this._start();
  }

  disconnectedCallback() {
    this._following?.stop();
  }

  /**
   * @template {HTMLElement} E
   * @param {string} name
   * @returns {E}
   */
  part(name) {
    return /** @type {E} */ (this.querySelector(`[data-part="${name}"]`));
  }

  _start() {
    const id = this.dataset.execution ?? "";
    this.path = `/executions/${encodeURIComponent(id)}/logs`;
    /** @type {HTMLFormElement} */
    this._form = this.part("form");
    this._scroller = this.part("scroller");
    this._list = this.part("list");
    this._live = this.dataset.complete !== "yes";
    this.looks = new Looks(this, () => this._restyle());
    this._entries = new Entries(reader(this.path, () => this.query()), {
      onRead: (page) => this._onRead(page),
      onTrouble: (text) => this._trouble(text),
    });
    this._list.replaceChildren();
    this.classList.add("scripted");
    this._view = new View(this._scroller, this.part("spacer"), this._list, {
      make: (place) => this._make(place),
      isKnown: (place) => this._entries?.at(place) !== undefined,
      makeBlank: makePlaceholder,
      linesOf: (place) => this._linesOf(place),
      want: (first, last) => this._entries?.want(first - AHEAD, last + AHEAD, this._total),
      onShow: () => this._onShow(),
      onScroll: (upwards, atEnd) => this._onScroll(upwards, atEnd),
    });
    this.finder = new Finder(this);
    this.picked = new Picked(
      this.part("picked"), this.path, () => this.filter(), () => this._paint(),
    );
    this._following = new Following(id, this.path, {
      onEntries: (place, entries) => this._onEntries(place, entries),
      onTotal: (total) => this._grow(total),
      onStatus: (status) => this._onStatus(status),
      onEnd: (text) => this._onEnd(text),
    });
    new ResizeObserver(() => this._measure()).observe(this._scroller);
    this._measure();
    if (!CSS.supports("selector(::details-content)")) this.part("more").setAttribute("open", "");
    this._listen();
    listen(this);
    this._view.wraps = this.looks.wraps;
    this.picked.read();
    void this._open();
  }

  _listen() {
    this._form?.addEventListener("submit", (event) => event.preventDefault());
    this._form?.addEventListener("change", (event) => {
      const { name } = /** @type {HTMLInputElement} */ (event.target);
      if (name === "level" || name === "task") void this._refilter();
    });
    this._list?.addEventListener("click", (event) => this._onClick(event));
    this.part("new").addEventListener("click", () => this.toEnd());
    this.part("first").addEventListener("click", () => this.toStart());
    this.part("last").addEventListener("click", () => this.toEnd());
    document.addEventListener("copy", (event) => this._onCopy(event));
    window.addEventListener("hashchange", () => {
      this.picked?.read();
      if (this.picked?.range) void this.goToIndex(this.picked.range[0]);
    });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this._restyle());
    document.addEventListener("slipway:zone", () => this._restyle());
    document.addEventListener("slip-session", (event) => {
      if (/** @type {CustomEvent} */ (event).detail.who === "same") this._retry();
    });
  }

  /** @returns {import("./address.js").Filter} */
  filter() {
    return filterOf(/** @type {HTMLFormElement} */ (this._form));
  }

  /** @returns {Record<string, string>} the filter as the API takes it */
  query() {
    return queryOf(this.filter());
  }

  /** Write the address anew. */
  keep() {
    if (!this._form || !this.looks) return;
    keepInAddress(this._form, this.looks.told());
    const query = new URLSearchParams(location.search);
    for (const name of ["text", "text-tail"]) {
      const link = /** @type {HTMLAnchorElement} */ (this.part(name));
      if (name === "text-tail") query.set("tail", "yes");
      link.href = `${link.pathname}?${query}`;
    }
  }

  // Opening

  /** Show what the address names; else the first error of what failed, or the end of what runs. */
  async _open() {
    setBehind(/** @type {HTMLElement} */ (this._scroller));
    const first = this.dataset.firstError;
    const named = this.picked?.range?.[0] ?? numberIn(this.dataset.line);
    const target = named ?? (first ? Number(first) : null);
    await this._load(target, target === null && this.dataset.open === "end");
    if (named === null && first) this._mark(Number(first));
    this.finder?.begin();
  }

  /**
   * Have the list anew.
   *
   * @param {number | null} target index of the line to be shown
   * @param {boolean} end show the end
   */
  async _load(target, end) {
    const run = (this._run += 1);
    const filter = this.filter();
    this._following?.stop();
    this._missed = null;
    const place = await this._placeOf(target ?? 0, filter, run);
    if (run !== this._run || !this._view) return;
    if (place === null) {
      this._missed = () => void this._load(target, end);
      return;
    }
    const isHidden = target !== null && !place.listed && target < place.log_total;
    this._trouble(isHidden ? hiddenLine(target) : "");
    this._entries?.clear();
    this._total = place.total_results;
    this._isPart = place.log_total > place.total_results;
    this._unseen = 0;
    this._view.rebuild();
    this._view.setTotal(this._total);
    if (end) {
      this._view.goToEnd();
    } else {
      this._view.goTo(Math.min(place.from, Math.max(0, this._total - 1)), target ? 0.3 : 0);
    }
    this._paint();
    this._tellCounts();
    this._tellNew();
    if (this._live) {
      this._following?.start(filter, this._total, place.log_total - 1);
    }
  }

  /**
   * Ask where a line is in the list, again and again while nobody can say.
   *
   * @param {number} index
   * @param {import("./address.js").Filter} filter
   * @param {number} run for which it is asked
   * @returns {Promise<import("./following.js").Place | null>} null where it is refused, or where
   *   another list is wanted by now
   */
  async _placeOf(index, filter, run) {
    while (run === this._run) {
      try {
        return await placeOf(this.path, index, filter);
      } catch (error) {
        if (run !== this._run) break;
        this._trouble(error instanceof Error ? error.message : String(error));
        if (isRefused(error)) break;
        const seconds = /** @type {any} */ (error).retryAfter ?? AGAIN_SECONDS;
        await new Promise((done) => { setTimeout(done, 1000 * seconds); });
      }
    }
    return null;
  }

  /** Somebody has signed in again: have what was refused. */
  _retry() {
    this._missed?.();
    this._entries?.retry();
  }

  async _refilter() {
    this.keep();
    this.finder?.clear();
    const wasStuck = this._view?.stuck ?? false;
    const entry = this._entries?.at(this._view?.line ?? 0);
    await this._load(entry?.index ?? null, wasStuck);
    if (this.looks && this._view) this._view.rebuild();
  }

  // Moving

  toStart() {
    this._view?.goTo(0);
  }

  toEnd() {
    this._view?.goToEnd();
    this._unseen = 0;
    this._tellNew();
  }

  /** @param {number} part of a screen, downwards */
  page(part) {
    if (this._scroller) this._scroller.scrollBy(0, part * this._scroller.clientHeight);
  }

  /**
   * Show a line, if it is in the list, or else the one behind it.
   *
   * @param {number} index
   */
  async goToIndex(index) {
    try {
      const place = await placeOf(this.path ?? "", index, this.filter());
      this.goToPlace(place.from, index);
      if (!place.listed) this._trouble(hiddenLine(index));
    } catch (error) {
      this._trouble(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * @param {number} place in the list
   * @param {number} index of the line there
   */
  goToPlace(place, index) {
    if (!this._view) return;
    if (this._view.isSeen(place)) this._view.letGo();
    else this._view.goTo(place, 0.3);
    this._mark(index);
  }

  /** @returns {number} index of the line from which one looks on */
  get here() {
    if (this._marked !== undefined) return this._marked;
    return this._entries?.at(this._view?.line ?? 0)?.index ?? 0;
  }

  /** @param {number} index of the line that was found */
  _mark(index) {
    this._marked = index;
    this._paint();
  }

  // Rows

  /** @param {number} place */
  _make(place) {
    const entry = this._entries?.at(place);
    if (entry === undefined || !this.looks) return null;
    const looks = { ...this.looks.shown(), find: this.finder?.text ?? "" };
    const tasks = this._form?.elements.namedItem("task");
    const all = !(tasks instanceof HTMLSelectElement) || tasks.value === "";
    const row = makeRow(entry, this._entries?.at(place - 1), { ...looks, tasks: all });
    this._paintRow(row, entry.index);
    return row;
  }

  /** @param {number} place */
  _linesOf(place) {
    const entry = this._entries?.at(place);
    if (entry === undefined) return 0;
    if (!this.looks?.wraps) return Math.min(entry.content.length, LONGEST) > 200 ? 0 : 1;
    return Math.ceil(Math.min(entry.content.length || 1, LONGEST) / this._columns);
  }

  _measure() {
    const probe = this.part("probe");
    const width = probe.getBoundingClientRect().width / 10 || 8;
    const room = (this._scroller?.clientWidth ?? 640) - probe.offsetLeft;
    this._columns = Math.max(10, Math.floor(room / width));
  }

  /**
   * @param {HTMLElement} row
   * @param {number} index
   */
  _paintRow(row, index) {
    row.classList.toggle("picked", this.picked?.has(index) ?? false);
    row.classList.toggle("marked", index === this._marked);
  }

  _paint() {
    for (const row of this._list?.children ?? []) {
      const { index } = /** @type {HTMLElement} */ (row).dataset;
      if (index !== undefined) this._paintRow(/** @type {HTMLElement} */ (row), Number(index));
    }
  }

  /** All rows look different now. */
  _restyle() {
    this.keep();
    setBehind(/** @type {HTMLElement} */ (this._scroller));
    if (this._view) this._view.wraps = this.looks?.wraps ?? true;
    this._view?.rebuild();
  }

  /** What is looked for is another text. */
  repaint() {
    this._view?.rebuild();
  }

  // What comes

  /** @param {import("./entries.js").Page} page */
  _onRead(page) {
    if (page.total_results > this._total && !this._live) this._grow(page.total_results);
    this._view?.refresh();
  }

  /**
   * @param {number} place
   * @param {import("./entries.js").Entry[]} entries
   */
  _onEntries(place, entries) {
    this._entries?.put(place, entries);
    this._grow(place + entries.length);
  }

  /** @param {number} total */
  _grow(total) {
    const more = total - this._total;
    if (more <= 0) return;
    this._total = total;
    this._view?.setTotal(total);
    if (!this._view?.stuck) this._unseen += more;
    this._tellNew();
    this._tellCounts();
    if (Date.now() - this._saidAt > SAY_MS) {
      this._saidAt = Date.now();
      announce(`${more.toLocaleString("en")} new ${more === 1 ? "line" : "lines"}`);
    }
  }

  /** @param {any} status */
  _onStatus(status) {
    const badge = document.getElementById("log-status");
    const state = status.state ?? status.status;
    if (badge instanceof HTMLElement && state) setStatus(badge, state);
  }

  /** @param {string} text */
  _onEnd(text) {
    this._live = false;
    this._tellCounts();
    this._tellNew();
    if (text) this._trouble(text);
  }

  /**
   * @param {boolean} upwards
   * @param {boolean} atEnd
   */
  _onScroll(upwards, atEnd) {
    if (!upwards && atEnd && this._live) this._view?.goToEnd();
    if (atEnd) this._unseen = 0;
    this._marked = undefined;
    this._tellNew();
  }

  _onShow() {
    const rows = this._view?.rows ?? 0;
    if (this._rowsTold !== rows) {
      this._rowsTold = rows;
      this.dataset.rows = String(rows);
    }
    this._tellNew();
  }

  _tellNew() {
    const button = this.part("new");
    const paused = this._live && !this._view?.stuck;
    const text = `${this._unseen.toLocaleString("en")} new ${this._unseen === 1 ? "line" : "lines"}`;
    const following = this._live && this._view?.stuck ? "yes" : "no";
    const told = `${text} ${paused} ${following}`;
    if (told === this._newTold) return; // at each scroll
    this._newTold = told;
    button.hidden = !paused || this._unseen === 0;
    button.textContent = `${text} \u2193`;
    this.part("paused").hidden = !paused;
    this.dataset.following = following;
  }

  _tellCounts() {
    const lines = this._total.toLocaleString("en");
    const filtered = this._isPart ? " with these filters" : "";
    this.part("count").textContent =
      `${lines} ${this._total === 1 ? "line" : "lines"}${filtered}${this._live ? ", live" : ""}`;
    this.part("empty").hidden = this._total > 0;
  }

  /** @param {string} text */
  _trouble(text) {
    const element = this.part("trouble");
    element.textContent = text;
    element.hidden = text === "";
  }

  /** Say once what the browser's own search sees. */
  hintOnce() {
    if (this._hinted || this._total <= (this._view?.rows ?? 0)) return;
    this._hinted = true;
    const seen = (this._view?.rows ?? 0).toLocaleString("en");
    const all = this._total.toLocaleString("en");
    this._trouble(`The browser sees ${seen} of ${all} lines; press / to search all of them.`);
  }

  // Lines that are picked, copied, or shown whole

  /** @param {MouseEvent} event */
  _onClick(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const index = Number(/** @type {HTMLElement} */ (target.closest(".log-row"))?.dataset.index);
    if (target.closest(".log-whole")) {
      this._showWhole(index);
    } else if (target.closest(".log-number")) {
      event.preventDefault();
      getSelection()?.removeAllRanges();
      this.picked?.pick(index, event.shiftKey);
    }
  }

  /** @param {number} index */
  _showWhole(index) {
    const entry = this._atIndex(index);
    const dialog = /** @type {HTMLDialogElement} */ (this.part("whole"));
    const field = /** @type {HTMLTextAreaElement} */ (dialog.querySelector("textarea"));
    if (entry === undefined) return;
    field.value = entry.content;
    dialog.addEventListener("close", () => { field.value = ""; }, { once: true });
    dialog.showModal();
  }

  /** @param {number} index */
  _atIndex(index) {
    const row = document.getElementById(`L${index}`);
    const place = Number(row?.getAttribute("aria-posinset")) - 1;
    const found = this._entries?.at(place);
    return found?.index === index ? found : undefined;
  }

  /** @param {ClipboardEvent} event */
  _onCopy(event) {
    const selection = getSelection();
    const within = event.target instanceof Node && this._scroller?.contains(event.target);
    const chosen = selection !== null && !selection.isCollapsed;
    if (!within || chosen || !this.picked?.range) return;
    const text = this.picked.textAtHand((index) => this._atIndex(index));
    event.preventDefault();
    if (text === null) void this.picked.copy();
    else event.clipboardData?.setData("text/plain", text);
  }
}

/** @param {number} index */
function hiddenLine(index) {
  return `Line ${index} is left out by the levels or the step.`;
}

/** @param {string | undefined} text */
function numberIn(text) {
  return text ? Number(text) : null;
}

customElements.define("slip-log", SlipLog);
