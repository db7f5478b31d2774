// @ts-check
// The field for what is looked for, and the buttons for errors: what they show while one looks.

import { ApiError } from "../api.js";
import { Search, countOf, isCounted } from "./search.js";

/** @typedef {import("./slip-log.js").SlipLog} SlipLog */

const TYPED_MS = 400;
const LAST = Number.MAX_SAFE_INTEGER;

export class Finder {
  /** @param {SlipLog} log */
  constructor(log) {
    this._log = log;
    this._search = new Search(log.path, () => log.query());
    this._field = /** @type {HTMLInputElement} */ (log.part("find"));
    this._regex = /** @type {HTMLInputElement} */ (log.part("regex"));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._typing = undefined;
    this._field.addEventListener("input", () => this._onInput());
    this._field.addEventListener("keydown", (event) => this._onKey(event));
    this._regex.addEventListener("change", () => this._onInput());
    log.part("next").addEventListener("click", () => void this.go("next"));
    log.part("previous").addEventListener("click", () => void this.go("previous"));
    log.part("next-error").addEventListener("click", () => void this.error("next"));
    log.part("previous-error").addEventListener("click", () => void this.error("previous"));
    log.part("first-error").addEventListener("click", () => void this._findError("next", -1));
    this._enable();
  }

  /** @returns {string} what is marked in the rows: a text; a pattern is not known here */
  get text() {
    return this._regex.checked ? "" : this._field.value;
  }

  /** Look for what the address names. */
  begin() {
    if (this._field.value !== "") void this._find("next", this._log.here - 1);
  }

  focus() {
    this._field.focus();
    this._field.select();
  }

  /** The list is another one: what was counted does not hold. */
  clear() {
    this._search.stop();
    this._tell("");
    if (this._field.value !== "") this._onInput();
  }

  /** @param {"next" | "previous"} direction */
  go(direction) {
    return this._find(direction, this._log.here);
  }

  /** @param {"next" | "previous"} direction */
  error(direction) {
    return this._findError(direction, this._log.here);
  }

  _onInput() {
    this._search.stop();
    clearTimeout(this._typing);
    this._enable();
    this._tell("");
    this._typing = setTimeout(() => {
      this._settle();
      if (this._field.value !== "") void this._find("next", this._log.here - 1);
    }, TYPED_MS);
  }

  /** What was typed is marked, and stands in the address. */
  _settle() {
    if (this._typing === undefined) return;
    clearTimeout(this._typing);
    this._typing = undefined;
    this._log.keep();
    this._log.repaint();
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this._settle();
      void this._find(event.shiftKey ? "previous" : "next", this._log.here);
    } else if (event.key === "Escape") {
      this._search.stop();
      this._log.part("scroller").focus();
    }
  }

  _enable() {
    const none = this._field.value === "";
    for (const name of ["next", "previous"]) {
      /** @type {HTMLButtonElement} */ (this._log.part(name)).disabled = none;
    }
  }

  /** @returns {Record<string, string>} */
  _wanted() {
    return this._regex.checked ? { grep: this._field.value } : { text: this._field.value };
  }

  /**
   * @param {"next" | "previous"} direction
   * @param {number} index
   */
  async _find(direction, index) {
    if (this._field.value === "") return;
    const wanted = this._wanted();
    const found = await this._asked(wanted, direction, index, "Nothing found");
    if (found?.match && !isCounted(found)) {
      const { match } = found;
      await this._search.count(wanted, match.entry.index, (counted) => {
        this._tell(countOf({ ...counted, match: counted.match ?? match }));
      }).catch(() => {});
    }
  }

  /**
   * @param {"next" | "previous"} direction
   * @param {number} index
   */
  async _findError(direction, index) {
    await this._asked({ of_levels: "8" }, direction, index, "No errors here");
  }

  /**
   * Find one; from the other end on, where there is none in this direction.
   *
   * @param {Record<string, string>} wanted
   * @param {"next" | "previous"} direction
   * @param {number} index
   * @param {string} none what to say where there is none at all
   */
  async _asked(wanted, direction, index, none) {
    const far = direction === "next" ? -1 : LAST;
    const progress = (/** @type {import("./search.js").Found} */ found) =>
      this._tell(`looking, ${found.counted.toLocaleString("en")} lines counted`);
    try {
      let around = "";
      let found = await this._search.find(wanted, direction, index, progress);
      if (found.match === null && found.go_on_from === null && found.total_results > 0) {
        found = await this._search.find(wanted, direction, far, progress);
        around = direction === "next" ? ", from the start again" : ", from the end again";
      }
      if (found.match === null) {
        this._tell(found.go_on_from === null ? none : "Nothing found yet");
        return null;
      }
      this._tell(countOf(found) + around);
      this._log.goToPlace(found.match.from, found.match.entry.index);
      return found;
    } catch (error) {
      if (error instanceof ApiError) this._tell(faultOf(error));
      return null;
    }
  }

  /** @param {string} text */
  _tell(text) {
    this._log.part("found").textContent = text;
  }
}

/** @param {ApiError} error */
function faultOf(error) {
  if (error.fields.length > 0) return error.fields[0].message;
  return error.message;
}
