// @ts-check
// One execution, live: what changes in place comes from the events themselves; what appears with
// another state (digest, actions, outputs) is read from the page once.

import { hub } from "./hub.js";
import { readPage, retrySeconds } from "./pages.js";
import { ROOT } from "./root.js";
import { FINAL, announce, makeStatus, setStatus, write } from "./status.js";
import { serverNow, writeDuration, writeTimes } from "./times.js";

/** Parts that another state changes, by their id; the view is one of them. */
const PARTS = ["part-head", "part-why", "part-view", "part-dialogs"];
const SETTLE_MS = 300;
/** Pauses between readings, the last one from then on: many steps may fail one after the other. */
const PAUSES_MS = [0, 1000, 2000, 5000, 15000];

const root = /** @type {HTMLElement} */ (document.getElementById("execution"));
const words = new Map([["FAILED", "failed"], ["SUCCESS", "succeeded"], ["CANCELLED", "cancelled"]]);

/** @type {Map<string, HTMLElement>} rows of the table of steps, by the name of the step */
let rows = new Map();
/** @type {Map<string, string>} the state of each step that is known */
const known = new Map();
let timer = 0;
let reading = false;
let readings = 0;
let readAt = -Infinity;

// Not the address of the window: that of a form that was refused shows the same page.
const address = `${ROOT}/ui/executions/${encodeURIComponent(root.dataset.id ?? "")}`;
const query = new URLSearchParams(location.search);
query.set("view", root.dataset.view ?? "steps");

document.documentElement.classList.add("scripted");

function findRows() {
  rows = new Map();
  for (const row of root.querySelectorAll("tr[data-task]")) {
    const element = /** @type {HTMLElement} */ (row);
    const name = element.dataset.task ?? "";
    rows.set(name, element);
    const badge = /** @type {HTMLElement | null} */ (element.querySelector(".status"));
    if (badge?.dataset.state) known.set(name, badge.dataset.state); // as the tally counts it
  }
}

/** @returns {boolean} whether nothing changes any more in what is shown */
function isFinal() {
  return FINAL.includes(root.dataset.state ?? "");
}

/**
 * @param {string} id
 * @returns {HTMLElement | null}
 */
function part(id) {
  return document.getElementById(id);
}

/** @param {import("./hub.js").HubEvent} event */
function takeStatus(event) {
  const progress = /** @type {HTMLProgressElement | null} */ (part("progress"));
  if (progress) progress.value = event.progress;
  const badge = part("state");
  const remark = event.state === "RUNNING" ? `${Math.floor(event.progress * 100)} %` : "";
  const isOther = root.dataset.state !== event.state;
  if (badge && (isOther || event.state === "RUNNING")) setStatus(badge, event.state, remark);
  const asOf = part("as-of")?.querySelector("time");
  if (asOf && event.as_of) asOf.dateTime = event.as_of;
  const stale = part("stale");
  if (stale) {
    stale.hidden = !event.stale;
    const since = stale.querySelector("time");
    if (since && event.as_of) since.dateTime = event.as_of;
  }
  const head = part("part-head");
  if (head) writeTimes(head);
  if (!isOther) return;
  root.dataset.state = event.state;
  const word = words.get(event.state);
  if (word) announce(`The execution ${word}`);
  readParts();
}

/** @param {import("./hub.js").HubEvent} event */
function takeTasks(event) {
  let isOther = false;
  for (const task of event.tasks) {
    const before = known.get(task.name);
    known.set(task.name, task.status);
    if (before !== undefined && before !== task.status) {
      count(before, -1);
      count(task.status, 1);
      if (task.status === "FAILED") announce(`Step ${task.title ?? task.name} failed`);
      isOther ||= task.status === "FAILED" || part("step")?.dataset.step === task.name;
    }
    const row = rows.get(task.name);
    if (row) showTask(row, task);
  }
  if (isOther || event.total !== Number(part("number-of-steps")?.textContent)) readParts();
}

/**
 * Count steps of a state.
 * @param {string} state
 * @param {number} by
 */
function count(state, by) {
  const tally = part("tally");
  if (!tally) return;
  let shown = tally.querySelector(`[data-count="${state}"]`);
  if (!shown) {
    shown = document.createElement("span");
    shown.setAttribute("data-count", state);
    const number = document.createElement("span");
    number.className = "number";
    shown.append(makeStatus(state), number);
    tally.insertBefore(shown, tally.querySelector(".hide-done"));
  }
  const number = /** @type {Element} */ (shown.querySelector(".number"));
  const counted = Math.max(0, Number(number.textContent) + by);
  number.textContent = String(counted);
  if (counted === 0) shown.remove();
}

/**
 * @param {HTMLElement} row
 * @param {any} task as the API writes it
 */
function showTask(row, task) {
  const cell = (/** @type {string} */ name) => row.querySelector(`[data-cell="${name}"]`);
  const badge = /** @type {HTMLElement | null} */ (cell("state")?.querySelector(".status"));
  if (badge) setStatus(badge, task.status, (task.waits_for?.reason ?? "").slice(0, 120));
  write(cell("attempts"), task.attempts ? String(task.attempts) : "");
  write(cell("node"), task.node ?? "");
  const exit = cell("exit");
  if (exit && task.exit_code !== null && !exit.textContent?.startsWith(String(task.exit_code))) {
    exit.textContent = String(task.exit_code);
  }
  const took = cell("took");
  if (took) showTook(took, task);
}

/**
 * @param {Element} cell
 * @param {any} task
 */
function showTook(cell, task) {
  const since = Date.parse(task.started_at ?? "");
  if (Number.isNaN(since)) {
    write(cell, "");
  } else if (task.finished_at) {
    write(cell, writeDuration((Date.parse(task.finished_at) - since) / 1000));
  } else {
    let running = /** @type {HTMLElement | null} */ (cell.querySelector("[data-since]"));
    if (!running) {
      running = document.createElement("span");
      cell.replaceChildren(running);
    }
    running.dataset.since = task.started_at;
    write(running, writeDuration(Math.floor((serverNow() - since) / 1000)));
  }
}

/** Read the parts that another state changes, once for what happens within a moment. */
function readParts() {
  clearTimeout(timer);
  const pause = PAUSES_MS[Math.min(readings, PAUSES_MS.length - 1)];
  const wait = isFinal() ? 0 : readAt + pause - performance.now();
  timer = setTimeout(() => void exchange(), Math.max(SETTLE_MS, wait));
}

/**
 * Read them once more, where they could not be read.
 * @param {Response} answer
 */
function readLater(answer) {
  if (![429, 502, 503, 504].includes(answer.status)) return;
  clearTimeout(timer);
  timer = setTimeout(() => void exchange(), retrySeconds(answer) * 1000);
}

async function exchange() {
  if (reading) {
    readParts();
    return;
  }
  reading = true;
  readings += 1;
  readAt = performance.now();
  try {
    const { answer, page } = await readPage(`${address}?${query}`);
    if (!page) {
      readLater(answer);
      return;
    }
    for (const id of PARTS) putIn(id, page);
    const state = page.getElementById("execution")?.dataset.state;
    if (state) root.dataset.state = state;
    write(part("number-of-steps"), page.getElementById("number-of-steps")?.textContent ?? "");
    findRows();
    writeTimes(root);
  } catch {
    clearTimeout(timer);
    timer = setTimeout(() => void exchange(), 5000); // what is shown stays
  } finally {
    reading = false;
  }
}

/**
 * Put a part of another reading of this page in the place of that which is shown.
 * @param {string} id
 * @param {Document} page
 */
function putIn(id, page) {
  const old = part(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh || old.querySelector("dialog[open]")) return;
  const isLive = ["load", "graph", "timeline"].includes(root.dataset.view ?? "");
  if (id === "part-view" && isLive && !old.querySelector("#timeline > .empty")) return;
  const focused = document.activeElement;
  const hadFocus = focused !== null && focused !== old && old.contains(focused);
  const opened = [...old.querySelectorAll("details")].map((each) => each.open);
  const taken = document.importNode(fresh, true);
  taken.querySelectorAll("details").forEach((each, place) => { each.open = opened[place] ?? false; });
  old.replaceWith(taken);
  if (hadFocus) taken.focus({ preventScroll: true });
}

// What asks before it acts does so here, where the browser can.
root.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  const opener = target.closest("[data-dialog]");
  const dialog = opener && part(/** @type {HTMLElement} */ (opener).dataset.dialog ?? "");
  if (dialog instanceof HTMLDialogElement) {
    event.preventDefault();
    dialog.showModal();
    if (dialog.querySelector("input:not([type=hidden])")) return;
    /** @type {HTMLElement | null} */ (dialog.querySelector("[data-close]"))?.focus(); // the safe way
    return;
  }
  const closer = target.closest("dialog [data-close]");
  if (closer) {
    event.preventDefault();
    closer.closest("dialog")?.close();
  }
});

findRows();
if (!isFinal()) {
  hub.follow(`execution/${root.dataset.id}`, {}, (events) => {
    for (const event of events) {
      if (event.type === "status") takeStatus(event);
      if (event.type === "tasks") takeTasks(event);
      if (event.type === "purged") readParts();
    }
  });
}
