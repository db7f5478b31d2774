// @ts-check
// The axis of a timeline: where a moment stands, and what is written below.

import { formatter } from "./times.js";

/** Seconds between two marks; of longer times whole days. */
const NICE = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400,
];
const DAY = 86400;

/** @typedef {[number, number]} Stretch from a moment to another, in milliseconds since 1970 */

export class Axis {
  /**
   * @param {Stretch[]} shown What is shown, in order; what is between is left out.
   */
  constructor(shown) {
    this.shown = shown;
    this.length = shown.reduce((sum, [from, until]) => sum + until - from, 0) || 1;
  }

  /**
   * @param {number} at
   * @returns {number} its place, in percent
   */
  place(at) {
    let before = 0;
    for (const [from, until] of this.shown) {
      if (at <= from) break;
      before += Math.min(at, until) - from;
    }
    return Math.round((100_000 * before) / this.length) / 1000;
  }

  /**
   * @param {number} most How many there is room for.
   * @param {boolean} byClock
   * @returns {{place: number, text: string}[]}
   */
  marks(most, byClock) {
    const seconds = this.length / 1000;
    const days = Math.ceil(seconds / (most * DAY)) * DAY;
    const step = NICE.find((nice) => seconds / nice <= most) ?? days;
    const clock = byClock ? clockOf(step) : null;
    const made = [];
    for (let at = 0; at <= seconds; at += step) {
      const place = Math.round((100_000 * at) / seconds) / 1000;
      made.push({ place, text: clock ? clock.format(this.moment(at * 1000)) : since(at) });
    }
    return made;
  }

  /**
   * @param {number} shown Milliseconds of what is shown.
   * @returns {number} the moment that stands there
   */
  moment(shown) {
    let left = shown;
    for (const [from, until] of this.shown) {
      if (left <= until - from) return from + left;
      left -= until - from;
    }
    return this.shown[this.shown.length - 1][1];
  }
}

/**
 * @param {{began: number | null, ended: number | null}[]} attempts
 * @param {number} now
 * @returns {Stretch[]} when at least one of them ran
 */
export function withoutWaits(attempts, now) {
  /** @type {Stretch[]} */
  const ran = attempts.flatMap(({ began, ended }) => (
    began === null ? [] : [[began, Math.max(ended ?? now, began)]]
  ));
  ran.sort((a, b) => a[0] - b[0]);
  /** @type {Stretch[]} */
  const joined = [];
  for (const [from, until] of ran) {
    const last = joined.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], until);
    else joined.push([from, until]);
  }
  return joined;
}

/**
 * @param {number} seconds
 * @returns {string} such as "0", "30 s", "5 min", "1 h 30" or "2 d"; see _mark in _timeline.py
 */
function since(seconds) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  if (seconds < 60) return seconds > 0 ? `${seconds} s` : "0";
  if (seconds < 3600) {
    const rest = seconds % 60;
    return rest > 0 ? `${Math.floor(seconds / 60)}:${two(rest)} min` : `${seconds / 60} min`;
  }
  if (seconds < DAY) {
    const minutes = Math.floor(seconds / 60) % 60;
    const hours = Math.floor(seconds / 3600);
    return minutes > 0 ? `${hours} h ${two(minutes)}` : `${hours} h`;
  }
  return `${seconds / DAY} d`;
}

/**
 * @param {number} step Seconds between two marks.
 * @returns {Intl.DateTimeFormat} writes what stands at them
 */
function clockOf(step) {
  if (step >= DAY) return formatter({ month: "short", day: "numeric" });
  return formatter({
    hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}),
  });
}
