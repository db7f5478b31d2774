// @ts-check
// How charts are drawn: uPlot (vendored), with our own labels, colours and dashes.

import { writeNumber, writeX } from "./chart-words.js";

/** @typedef {import("./chart-words.js").ChartData} ChartData */
/** @typedef {import("./chart-words.js").XAxis} XAxis */

const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2]];
/** Steps of the axis of time, in seconds. */
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
];
const FONT = "12px system-ui, sans-serif";

/** @type {Promise<any> | null} */
let loading = null;

/**
 * Load uPlot, which is no module: once, and only where there is something to draw.
 * @returns {Promise<any>} its class
 */
export function loadPlot() {
  loading ??= new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL("../vendor/uPlot.min.css", import.meta.url).href;
    const script = document.createElement("script");
    script.src = new URL("../vendor/uPlot.iife.min.js", import.meta.url).href;
    script.onload = () => resolve(/** @type {any} */ (window).uPlot);
    script.onerror = () => {
      loading = null;
      reject(new Error("uPlot cannot be loaded"));
    };
    document.head.append(link, script);
  });
  return loading;
}

/**
 * @param {number} place of a series
 * @returns {number[]} its dashes
 */
export function dashOf(place) {
  return DASHES[place % DASHES.length];
}

/**
 * @typedef {object} Look
 * @property {XAxis} axis
 * @property {string} sync name that charts share whose cursor is one; empty for none
 * @property {(place: number | null) => void} point told where the cursor is
 */

/**
 * @param {any} uPlot
 * @param {HTMLElement} place
 * @param {ChartData} data
 * @param {Look} look
 * @returns {any} what draws
 */
export function draw(uPlot, place, data, look) {
  const style = getComputedStyle(place);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const muted = colour("--muted");
  const line = { stroke: colour("--line"), width: 1 };
  const text = { stroke: muted, font: FONT, grid: line, ticks: { show: false } };
  const options = {
    width: place.clientWidth,
    height: place.clientHeight,
    legend: { show: false },
    padding: [8, 16, 0, 0],
    scales: { x: { time: false }, y: { range: rangeFromZero } },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { size: 7 },
      ...(look.sync ? { sync: { key: look.sync, setSeries: false } } : {}),
    },
    axes: [
      {
        ...text, grid: { show: false }, ticks: { ...line, show: true, size: 4 }, size: 28,
        space: 64, incrs: STEPS,
        values: (/** @type {any} */ _, /** @type {number[]} */ splits) => {
          const fine = splits.length > 1 && splits[1] - splits[0] < 60;
          return splits.map((each) => writeX(each, look.axis, fine));
        },
      },
      {
        ...text, size: axisSize, space: 26,
        values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map(writeNumber),
      },
    ],
    series: [{}, ...data.series.map((series, index) => ({
      label: series.label,
      stroke: colour(`--chart-${(index % 4) + 1}`),
      fill: data.series.length === 1 ? `${colour("--chart-1")}1f` : undefined,
      width: 2,
      dash: dashOf(index),
    }))],
    hooks: { setCursor: [(/** @type {any} */ plot) => look.point(plot.cursor.idx ?? null)] },
  };
  return new uPlot(options, aligned(data), place);
}

/**
 * @param {ChartData} data
 * @returns {(number | null)[][]} as uPlot takes it
 */
export function aligned(data) {
  return [data.x, ...data.series.map((series) => series.values)];
}

/**
 * @param {any} _
 * @param {number | null} _least
 * @param {number | null} most
 * @returns {[number, number]}
 */
function rangeFromZero(_, _least, most) {
  return [0, most !== null && most > 0 ? most * 1.08 : 1];
}

/**
 * @param {any} plot
 * @param {string[] | null} values
 * @returns {number} width of the axis, by its longest label
 */
function axisSize(plot, values) {
  const longest = Math.max(2, ...(values ?? []).map((text) => text.length));
  return 14 + longest * 7;
}
