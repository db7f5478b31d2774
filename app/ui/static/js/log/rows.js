// @ts-check
// One entry of a log as a row of the list.

import { writeClock, writeWhole } from "../times.js";
import { isReadable } from "./colours.js";
import { runs, unfinished } from "./text.js";

/**
 * @typedef {import("./entries.js").Entry} Entry
 *
 * @typedef {object} Looks how rows are shown
 * @property {"off" | "clock" | "step"} time none, that of the clock, or since the line before
 * @property {boolean} coloured
 * @property {boolean} tasks whether each row says of which step it is
 * @property {string} find a text that is marked where it stands; empty for none
 */

export const LONGEST = 4000;
const LETTERS = new Map([["ERROR", "error"], ["WARN", "warn"], ["INFO", "info"], ["DEBUG", "debug"]]);

/**
 * Make a row.
 *
 * @param {Entry} entry
 * @param {Entry | undefined} before the entry before it in the list
 * @param {Looks} looks
 * @returns {HTMLElement}
 */
export function makeRow(entry, before, looks) {
  const row = document.createElement("div");
  row.className = `log-row ${LETTERS.get(entry.level) ?? "info"}`;
  row.setAttribute("role", "listitem");
  row.id = `L${entry.index}`;
  row.dataset.index = String(entry.index);
  row.append(numberOf(entry));
  if (looks.time !== "off") row.append(timeOf(entry, before, looks.time));
  row.append(part("log-level", entry.level));
  if (looks.tasks && entry.task) row.append(part("log-task", entry.task));
  row.append(textOf(entry, before, looks));
  return row;
}

/** @returns {HTMLElement} a row of which nothing is known yet */
export function makePlaceholder() {
  const row = document.createElement("div");
  row.className = "log-row log-blank";
  row.setAttribute("role", "listitem");
  return row;
}

/** @param {Entry} entry */
function numberOf(entry) {
  const link = document.createElement("a");
  link.className = "log-number";
  link.href = `#L${entry.index}`;
  link.tabIndex = -1;
  link.textContent = String(entry.index);
  link.setAttribute("aria-label", `Line ${entry.index}: link`);
  return link;
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} before
 * @param {"clock" | "step"} form
 */
function timeOf(entry, before, form) {
  const time = document.createElement("time");
  const at = Date.parse(entry.timestamp);
  time.className = "log-time";
  time.dateTime = entry.timestamp;
  time.title = writeWhole(at);
  if (form === "clock") {
    time.textContent = `${writeClock(at)}.${String(at % 1000).padStart(3, "0")}`;
  } else if (before !== undefined) {
    time.textContent = since(at - Date.parse(before.timestamp));
  }
  return time;
}

/** @param {number} milliseconds */
function since(milliseconds) {
  const sign = milliseconds < 0 ? "\u2212" : "+";
  const seconds = Math.abs(milliseconds) / 1000;
  if (seconds < 60) return `${sign}${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  if (seconds < 3600) return `${sign}${(seconds / 60).toFixed(1)} min`;
  return `${sign}${(seconds / 3600).toFixed(1)} h`;
}

/**
 * @param {string} name of the class
 * @param {string} text
 */
function part(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} before
 * @param {Looks} looks
 */
function textOf(entry, before, looks) {
  const element = document.createElement("span");
  element.className = "log-text";
  element.dir = "auto";
  const cut = entry.content.length > LONGEST;
  const shown = cut ? entry.content.slice(0, LONGEST) : entry.content;
  const begun = before === undefined ? "" : unfinished(before.content.slice(-40));
  const taken = runs(begun + shown, looks.coloured);
  for (const node of nodes(taken, hitsIn(taken, looks.find))) element.append(node);
  if (cut) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet log-whole";
    button.textContent = `all ${sizeOf(entry.content.length)}`;
    element.append("\u2026 ", button);
  }
  return element;
}

/** @param {number} characters */
function sizeOf(characters) {
  if (characters < 1e5) return `${(characters / 1e3).toFixed(1)} kB`;
  return `${(characters / 1e6).toFixed(1)} MB`;
}

/**
 * Find where a text stands, in capitals or not, in what is shown.
 *
 * @param {import("./text.js").Run[]} taken
 * @param {string} find
 * @returns {[number, number][]} beginnings and ends
 */
function hitsIn(taken, find) {
  if (find === "") return [];
  const text = taken.map((run) => run.text).join("");
  const lower = text.toLowerCase();
  const wanted = find.toLowerCase();
  if (lower.length !== text.length) return [];
  /** @type {[number, number][]} */
  const hits = [];
  let place = lower.indexOf(wanted);
  while (place >= 0 && hits.length < 100) {
    hits.push([place, place + wanted.length]);
    place = lower.indexOf(wanted, place + wanted.length);
  }
  return hits;
}

/**
 * @param {import("./text.js").Run[]} taken
 * @param {[number, number][]} hits
 * @returns {Generator<Node>}
 */
function* nodes(taken, hits) {
  let begin = 0;
  let next = 0;
  for (const run of taken) {
    const end = begin + run.text.length;
    let place = begin;
    while (next < hits.length && hits[next][0] < end) {
      const [first, last] = hits[next];
      if (first > place) yield node(run, run.text.slice(place - begin, first - begin), false);
      const until = Math.min(last, end);
      yield node(run, run.text.slice(Math.max(first, begin) - begin, until - begin), true);
      place = until;
      if (last > end) break; // it goes on in the next run
      next += 1;
    }
    if (place < end) yield node(run, run.text.slice(place - begin), false);
    begin = end;
  }
}

/**
 * @param {import("./text.js").Run} run
 * @param {string} text
 * @param {boolean} hit
 * @returns {Node}
 */
function node(run, text, hit) {
  if (!hit && !run.mark && run.style === "" && run.colour === "") {
    return document.createTextNode(text);
  }
  const element = document.createElement(hit ? "mark" : "span");
  if (run.mark) {
    element.className = "log-mark";
  } else {
    element.className = run.style;
    if (!hit && run.colour !== "" && isReadable(run.colour)) element.style.color = run.colour;
  }
  element.textContent = text;
  return element;
}
