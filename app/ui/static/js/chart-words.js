// @ts-check
// Numbers and moments of charts, in words. What is drawn, and what is read out, says the same.

import { writeClock } from "./times.js";

/**
 * @typedef {object} Series
 * @property {string} name stable word
 * @property {string} label what it is, for people
 * @property {string} unit in which the values are, such as "ms" or "per minute"
 * @property {(number | null)[]} values one for each x; null where nothing is known
 */

/**
 * @typedef {object} ChartData
 * @property {number[]} x ascending: seconds since 1970, or since the beginning
 * @property {Series[]} series each as long as x
 */

/** @typedef {"clock" | "elapsed"} XAxis */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/**
 * @param {number | null | undefined} value
 * @returns {string} such as "1,204", "0.25", or a dash for what is not known
 */
export function writeNumber(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "\u2013";
  }
  return Math.abs(value) >= 100 ? grouped.format(value) : fine.format(value);
}

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 * @returns {string} such as "412 ms"
 */
export function writeValue(value, unit) {
  const text = writeNumber(value);
  return value === null || value === undefined || !unit ? text : `${text} ${unit}`;
}

/**
 * @param {number} seconds
 * @param {XAxis} axis
 * @param {boolean} [withSeconds]
 * @returns {string} such as "14:03", or "1:20:05" since the beginning
 */
export function writeX(seconds, axis, withSeconds = false) {
  if (axis === "clock") {
    const text = writeClock(seconds * 1000);
    return withSeconds ? text : text.slice(0, 5);
  }
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) {
    return `${minutes}:${two(whole % 60)}`;
  }
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/**
 * @param {ChartData} data
 * @param {XAxis} axis
 * @returns {string} what the chart shows, in a sentence for each series
 */
export function summary(data, axis) {
  const told = data.series.map((series) => sentence(data.x, series, axis));
  const known = told.filter((text) => text !== "");
  return known.length ? known.join(" ") : "Nothing is known yet.";
}

/**
 * @param {number[]} x
 * @param {Series} series
 * @param {XAxis} axis
 * @returns {string}
 */
function sentence(x, series, axis) {
  let last = -1;
  let most = -1;
  series.values.forEach((value, place) => {
    if (value === null) return;
    last = place;
    if (most < 0 || value > /** @type {number} */ (series.values[most])) most = place;
  });
  if (last < 0) {
    return "";
  }
  const now = writeValue(series.values[last], series.unit);
  const peak = writeNumber(series.values[most]);
  if (series.values[most] === series.values[last]) {
    return `${series.label}: ${now} at last, which is the most.`;
  }
  return `${series.label}: ${now} at last, ${peak} at most, at ${writeX(x[most], axis)}.`;
}
