// @ts-check
// <slip-executions>: a list of executions that changes in place.
//
// The order is that of the moment when the list was loaded. What is new waits behind a button; what
// does not fit the filters any more stays, and says so. What is ticked stays ticked.

import { hub } from "./hub.js";
import { remark, says } from "./briefs.js";
import { fits, matches } from "./execution-filter.js";
import { LeftRunning } from "./left-running.js";
import { FINAL, announce, setStatus, write } from "./status.js";
import { writeDuration, writeTimes } from "./times.js";

/**
 * @typedef {import("./hub.js").HubEvent} HubEvent
 * @typedef {import("./execution-filter.js").Sought} Sought
 */

const MOST_KNOWN = 5000;

/** What was ticked, also while other filters are tried. */
const ticked = new Set();

class SlipExecutions extends HTMLElement {
  connectedCallback() {
    /** @type {Sought} */
    this.sought = JSON.parse(this.dataset.live ?? "{}");
    /** @type {Map<string, boolean>} Whether what is not in the list fitted when last heard of. */
    this.known = new Map();
    /** @type {Set<string>} */
    this.fresh = new Set();
    this.form = /** @type {HTMLFormElement | null} */ (this.querySelector("form.bulk"));
    this.dialog = this.querySelector("dialog");
    for (const box of this.boxes()) box.checked = ticked.has(box.value);
    this.form?.addEventListener("change", () => this.choose());
    this.form?.addEventListener("submit", (event) => this.ask(event));
    this.dialog?.querySelector(".keep")?.addEventListener("click", () => this.dialog?.close());
    this.choose();
    this.left = new LeftRunning(this);
    const { after } = this.sought;
    this.unfollow = hub.follow("executions", { after }, (events) => events.forEach(this.take, this));
  }

  disconnectedCallback() {
    this.unfollow?.();
    this.left?.stop();
  }

  /** @param {HubEvent} event */
  take(event) {
    if (event.type === "purged") this.drop(event.id);
    if (event.type !== "status") return;
    const row = document.getElementById(`row-${event.id}`);
    this.left?.take(event, row?.dataset.state);
    if (row && this.contains(row)) this.renew(row, event);
    else this.note(event);
  }

  /**
   * @param {HTMLElement} row
   * @param {HubEvent} event
   */
  renew(row, event) {
    const badge = /** @type {HTMLElement | null} */ (row.querySelector(".state .status"));
    if (badge) setStatus(badge, event.state, remark(event));
    if (!event.stale) row.querySelector(".state .stale:not([data-state])")?.remove();
    write(row.querySelector(".says"), says(event));
    this.renewDuration(row, event);
    const before = row.dataset.state;
    row.dataset.state = event.state;
    this.dim(row, fits(event, this.sought) ? "" : "not among these filters any more");
    if (before !== event.state) {
      this.choose();
      if (event.state === "FAILED") announce(`${event.workflow_name} failed`);
    }
  }

  /**
   * @param {HTMLElement} row
   * @param {HubEvent} event
   */
  renewDuration(row, event) {
    const cell = row.querySelector(".took");
    if (!cell || !event.started_at) return;
    if (event.finished_at) {
      const took = (Date.parse(event.finished_at) - Date.parse(event.started_at)) / 1000;
      cell.textContent = writeDuration(took);
    } else if (!cell.querySelector("[data-since]")) {
      const running = document.createElement("span");
      running.dataset.since = event.started_at;
      cell.replaceChildren(running);
      writeTimes(/** @type {ParentNode} */ (cell));
    }
  }

  /**
   * @param {HTMLElement} row
   * @param {string} why
   */
  dim(row, why) {
    row.classList.toggle("past", why !== "");
    let note = row.querySelector(".state .note");
    if (!why) {
      note?.remove();
      return;
    }
    if (!note) {
      note = document.createElement("span");
      note.className = "note";
      row.querySelector(".state")?.append(note);
    }
    note.textContent = why;
  }

  /** @param {string} id */
  drop(id) {
    this.known?.delete(id);
    const row = document.getElementById(`row-${id}`);
    if (row && this.contains(row)) this.dim(row, "purged");
    if (this.fresh?.delete(id)) this.offer();
  }

  /**
   * Note what is not in the list: new, or new among these filters.
   * @param {HubEvent} event
   */
  note(event) {
    const { sought, known, fresh } = this;
    if (!sought || !known || !fresh || !sought.takesNew || !matches(event, sought)) return;
    const is = fits(event, sought);
    const was = known.get(event.id);
    known.delete(event.id);
    known.set(event.id, is);
    if (known.size > MOST_KNOWN) known.delete(known.keys().next().value ?? "");
    const isNew = Date.parse(event.created_at) >= sought.after;
    if (is && (isNew || was === false) && !fresh.has(event.id)) {
      fresh.add(event.id);
      this.offer();
    }
  }

  offer() {
    const button = /** @type {HTMLElement | null} */ (this.querySelector(".fresh"));
    const number = this.fresh?.size ?? 0;
    if (!button) return;
    button.hidden = number === 0;
    button.textContent = `${number} new: show`;
  }

  /** @returns {HTMLInputElement[]} */
  boxes() {
    return [...this.querySelectorAll("input[name=id]")].map(
      (box) => /** @type {HTMLInputElement} */ (box),
    );
  }

  /** @returns {{able: number, ended: number}} How many of the ticked ones can be cancelled. */
  count() {
    let [able, ended] = [0, 0];
    for (const box of this.boxes()) {
      const state = box.closest("tr")?.dataset.state ?? "";
      if (!box.checked) continue;
      if (FINAL.includes(state) || state === "CANCELLING") ended += 1;
      else able += 1;
    }
    return { able, ended };
  }

  /** Say what is ticked, and what can be done with it. */
  choose() {
    for (const box of this.boxes()) {
      if (box.checked) ticked.add(box.value);
      else ticked.delete(box.value);
    }
    const bar = /** @type {HTMLElement | null} */ (this.querySelector(".bar"));
    const button = /** @type {HTMLButtonElement | null} */ (bar?.querySelector("button"));
    if (!bar || !button) return;
    const { able, ended } = this.count();
    const words = able + ended ? summary(able, ended) : "Nothing is ticked";
    write(bar.querySelector(".chosen"), words);
    button.textContent = `Cancel ${executions(able)}…`;
    button.disabled = able === 0;
    bar.hidden = able + ended === 0;
  }

  /** @param {SubmitEvent} event */
  ask(event) {
    const pressed = /** @type {HTMLButtonElement | null} */ (event.submitter);
    if (pressed?.name === "confirmed" || !this.dialog) return;
    event.preventDefault();
    const { able, ended } = this.count();
    const confirm = this.dialog.querySelector("button[name=confirmed]");
    const title = this.dialog.querySelector("h2");
    const told = this.dialog.querySelector(".told");
    if (title) title.textContent = `Cancel ${executions(able)}?`;
    if (confirm) confirm.textContent = `Cancel ${executions(able)}`;
    if (told) {
      told.textContent = `${summary(able, ended)}. What runs is ended; what was written stays.`;
    }
    this.dialog.showModal();
    /** @type {HTMLElement | null} */ (this.dialog.querySelector(".keep"))?.focus();
  }
}

/** @param {number} number */
function executions(number) {
  return `${number} execution${number === 1 ? "" : "s"}`;
}

/**
 * @param {number} able
 * @param {number} ended
 */
function summary(able, ended) {
  const skipped = ended ? `, ${ended} ${ended === 1 ? "has" : "have"} ended or soon will` : "";
  return `${able + ended} ticked: ${able} can be cancelled${skipped}`;
}

customElements.define("slip-executions", SlipExecutions);
