// @ts-check
// <slip-editor>: a text field with numbers of lines and marks of faults. What is typed is checked by
// the service, and kept as a draft until it is uploaded. Without this it is a plain text field.

import { readPage, retrySeconds } from "./pages.js";
import { meta } from "./root.js";
import { announce } from "./status.js";

const AFTER_KEY_MS = 400;
const APART_MS = 2000;
const INDENT = "  ";
const PHONE = "(max-width: 639px)"; // as in definition.css
const DRAFT = "slipway-draft:";

class SlipEditor extends HTMLElement {
  constructor() {
    super();
    /** @type {HTMLTextAreaElement | null} */
    this.field = null;
    this.gutter = document.createElement("div");
    this.numbers = document.createElement("pre");
    this.lines = 0;
    this.leaves = false;
    this.saved = "";
    this.sends = false;
    this.timer = 0;
    this.lastCheck = 0;
    /** @type {AbortController | null} */
    this.asking = null;
  }

  connectedCallback() {
    this.field = this.querySelector("textarea");
    if (!this.field || this.lines > 0) return;
    this.saved = this.field.value;
    this.gutter.className = "gutter";
    this.gutter.setAttribute("aria-hidden", "true");
    this.gutter.append(this.numbers);
    this.prepend(this.gutter);
    this.classList.add("numbered");
    for (const hint of document.querySelectorAll(".with-scripts")) hint.removeAttribute("hidden");
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("keydown", (event) => this.pressed(event));
    this.field.addEventListener("blur", () => { this.leaves = false; });
    this.field.addEventListener("scroll", () => this.scrolled());
    document.addEventListener("click", (event) => this.jump(event));
    this.field.form?.addEventListener("submit", () => { this.sends = true; });
    addEventListener("pageshow", () => { this.sends = false; });
    addEventListener("beforeunload", (event) => {
      if (!this.sends && this.isChanged()) event.preventDefault();
    });
    this.number();
    this.mark();
    if (matchMedia(PHONE).matches) document.querySelector(".preview")?.removeAttribute("open");
    if (!this.field.readOnly) this.restore();
  }

  /** @returns {string} where the draft is kept, by user: they may share a tab */
  get place() {
    return `${DRAFT}${meta("user")}:${this.dataset.draft ?? ""}`;
  }

  isChanged() {
    return this.field !== null && !this.field.readOnly
      && (this.field.value !== this.saved || this.dataset.cameBack !== undefined);
  }

  /** Bring a draft back, unless the page holds what was sent, or what it came to. */
  restore() {
    if (!this.field) return;
    if (this.dataset.cameBack !== undefined) {
      this.keep();
      return;
    }
    for (const place of drafts()) {
      if (textOf(place) === this.field.value) drop(place);
    }
    const draft = textOf(this.place);
    if (draft === null) return;
    const base = /** @type {HTMLInputElement | null} */ (this.field.form?.elements.namedItem("base"));
    const offered = base?.value;
    this.field.value = draft;
    if (base) base.value = baseOf(this.place) || base.value;
    this.number();
    this.check();
    const banner = document.getElementById("draft");
    if (!banner) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Throw it away";
    button.addEventListener("click", () => {
      drop(this.place);
      if (!this.field) return;
      this.field.value = this.saved;
      if (base && offered) base.value = offered;
      banner.hidden = true;
      this.number();
      this.check();
      this.field.focus();
    });
    banner.replaceChildren("Your draft was kept, and is here again. ", button);
    banner.hidden = false;
  }

  keep() {
    if (!this.field) return;
    const base = /** @type {HTMLInputElement | null} */ (this.field.form?.elements.namedItem("base"));
    if (!this.isChanged()) {
      drop(this.place);
      return;
    }
    try {
      const draft = { text: this.field.value, base: base?.value ?? "" };
      sessionStorage.setItem(this.place, JSON.stringify(draft));
    } catch {
      // There is no room for it; leaving warns all the same.
    }
  }

  typed() {
    this.number();
    this.keep();
    clearTimeout(this.timer);
    const wait = Math.max(AFTER_KEY_MS, this.lastCheck + APART_MS - Date.now());
    this.timer = window.setTimeout(() => this.check(), wait);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.key === "Escape") {
      this.leaves = true;
    } else if (event.key === "Tab" && !this.leaves && !event.shiftKey && !this.field?.readOnly) {
      event.preventDefault();
      document.execCommand("insertText", false, INDENT); // which can be undone
    } else if (event.key !== "Tab" && event.key !== "Shift") {
      this.leaves = false;
    }
  }

  /** Number the lines. */
  number() {
    const lines = (this.field?.value.match(/\n/g)?.length ?? 0) + 1;
    if (lines === this.lines) return;
    this.lines = lines;
    this.numbers.textContent = Array.from({ length: lines }, (_, place) => place + 1).join("\n");
    this.mark();
  }

  /** Mark the lines of the faults that are listed. */
  mark() {
    for (const old of this.numbers.querySelectorAll(".mark")) old.remove();
    const height = parseFloat(getComputedStyle(this.numbers).lineHeight);
    for (const link of document.querySelectorAll("#checked [data-line]")) {
      const line = Number(/** @type {HTMLElement} */ (link).dataset.line);
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.textContent = "!";
      mark.style.top = `${(line - 1) * height + 4}px`;
      this.numbers.append(mark);
    }
    this.scrolled();
  }

  scrolled() {
    if (this.field) this.numbers.style.transform = `translateY(${-this.field.scrollTop}px)`;
  }

  /** @param {Event} event a click, which may be on a fault */
  jump(event) {
    const link = /** @type {HTMLElement} */ (event.target).closest?.("#checked [data-line]");
    if (!link || !this.field) return;
    event.preventDefault();
    const line = Number(/** @type {HTMLElement} */ (link).dataset.line);
    const before = this.field.value.split("\n").slice(0, line - 1).join("\n").length;
    const begin = line > 1 ? before + 1 : 0;
    const rest = this.field.value.indexOf("\n", begin);
    const height = parseFloat(getComputedStyle(this.numbers).lineHeight);
    this.field.focus();
    this.field.setSelectionRange(begin, rest < 0 ? this.field.value.length : rest);
    this.field.scrollTop = Math.max(0, (line - 4) * height);
    this.scrolled();
  }

  /** Have the service check the text, and show what became of it. */
  async check() {
    if (!this.field) return;
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.lastCheck = Date.now();
    try {
      const { answer, page } = await readPage(this.dataset.check ?? "", {
        method: "POST",
        body: new URLSearchParams({ text: this.field.value, csrf_token: meta("csrf-token") }),
        headers: { "HX-Request": "true" },
        signal: asking.signal,
      });
      if (answer.status === 429) this.later(retrySeconds(answer));
      if (page) this.show(page);
    } catch {
      // Typing goes on; uploading tells what is wrong.
    }
  }

  /** @param {number} seconds */
  later(seconds) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.check(), seconds * 1000);
  }

  /** @param {Document} page what became of a check */
  show(page) {
    const fresh = page.getElementById("checked");
    const old = document.getElementById("checked");
    if (!fresh || !old) return;
    const said = old.querySelector(".word")?.textContent;
    const folded = old.querySelector(".preview:not([open])") !== null;
    if (folded) fresh.querySelector(".preview")?.removeAttribute("open");
    old.replaceWith(document.adoptNode(fresh));
    const says = fresh.querySelector(".word")?.textContent ?? "";
    if (says !== said) announce(says);
    this.mark();
  }
}

/** @returns {string[]} where drafts are kept */
function drafts() {
  return Object.keys(sessionStorage).filter((place) => place.startsWith(DRAFT));
}

/**
 * @param {string} place
 * @returns {{text: string, base: string} | null}
 */
function read(place) {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {string} place
 * @returns {string | null}
 */
function textOf(place) {
  return read(place)?.text ?? null;
}

/**
 * @param {string} place
 * @returns {string}
 */
function baseOf(place) {
  return read(place)?.base ?? "";
}

/** @param {string} place */
function drop(place) {
  sessionStorage.removeItem(place);
}

customElements.define("slip-editor", SlipEditor);
