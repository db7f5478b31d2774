// @ts-check
// The virtual users of an execution: four charts over its course, and numbers that follow it.

import { api } from "./api.js";
import "./chart.js";
import { hub } from "./hub.js";
import { readPage } from "./pages.js";
import { ROOT } from "./root.js";
import { paint, setStatus, write } from "./status.js";

/**
 * @typedef {object} Point how it stood at one moment
 * @property {number} running_seconds
 * @property {number} vus
 * @property {number} iterations
 * @property {number} requests
 * @property {number} requests_failed
 * @property {number | null} avg
 * @property {number | null} p95
 */

const READ_AGAIN_MS = 30000;
const MOST_POINTS = 600;
const TABLES_MS = 10000;

const root = /** @type {HTMLElement} */ (document.getElementById("execution"));
const id = root.dataset.id ?? "";
const grouped = new Intl.NumberFormat("en");

/** @type {Point[]} */
let points = [];
let readAt = 0;
let tablesReadAt = -Infinity;

async function readCourse() {
  readAt = performance.now();
  try {
    const metrics = await api(`/executions/${id}/metrics?series=true`);
    points = metrics.series;
    draw();
  } catch {
    // The numbers stay; what cannot be read is read again with the next event.
  }
}

/**
 * @param {(point: Point) => number} of what is counted from the beginning
 * @returns {(number | null)[]} how many came each second, between a point and the one before
 */
function rate(of) {
  return points.map((point, place) => {
    const before = place ? points[place - 1] : null;
    const seconds = point.running_seconds - (before?.running_seconds ?? 0);
    return seconds > 0 ? (of(point) - (before ? of(before) : 0)) / seconds : null;
  });
}

/**
 * @param {string} chart
 * @param {[string, string, string, (number | null)[]][]} series names, labels, units and values
 */
function show(chart, series) {
  const element = /** @type {any} */ (document.getElementById(`chart-${chart}`));
  if (!element) return;
  const x = points.map((point) => point.running_seconds);
  element.data = {
    x,
    series: series.map(([name, label, unit, values]) => ({ name, label, unit, values })),
  };
}

function draw() {
  show("vus", [["vus", "virtual users", "", points.map((each) => each.vus)]]);
  show("requests", [
    ["requests", "requests", "/s", rate((each) => each.requests)],
    ["failed", "failed", "/s", rate((each) => each.requests_failed)],
  ]);
  show("times", [
    ["avg", "mean", "ms", points.map((each) => each.avg)],
    ["p95", "p95", "ms", points.map((each) => each.p95)],
  ]);
  show("iterations", [["iterations", "iterations", "/s", rate((each) => each.iterations)]]);
}

/** @param {any} metrics as the API writes them */
function add(metrics) {
  const last = points.at(-1);
  if (!last || metrics.running_seconds <= last.running_seconds) return;
  points.push({
    running_seconds: metrics.running_seconds,
    vus: metrics.vus,
    iterations: metrics.iterations,
    requests: metrics.requests.count,
    requests_failed: metrics.requests_failed,
    avg: null, // of this second alone it is not told; the next reading of the course has it
    p95: null,
  });
  if (points.length > MOST_POINTS) points.splice(0, points.length - MOST_POINTS);
  draw();
}

/**
 * @param {Element} cell
 * @param {boolean} passed whether the threshold holds
 */
function judge(cell, passed) {
  const badge = /** @type {Element} */ (cell.querySelector(".status"));
  paint(badge, passed ? "good" : "bad", passed ? "Holds" : "Does not hold");
}

/** Read the tables anew, as they have too few rows: at most once in some seconds. */
async function readTables() {
  if (performance.now() - tablesReadAt < TABLES_MS) return;
  tablesReadAt = performance.now();
  try {
    const address = `${ROOT}/ui/executions/${encodeURIComponent(id)}?view=load`;
    const { page } = await readPage(address);
    const fresh = page?.getElementById("load-tables");
    if (fresh) document.getElementById("load-tables")?.replaceWith(document.importNode(fresh, true));
  } catch {
    // The next event tries again.
  }
}

/**
 * @param {string} kind
 * @returns {number} how many rows of a kind there are
 */
function rowsOf(kind) {
  return root.querySelectorAll(`tr[data-${kind}]`).length;
}

/** @param {any} metrics */
function writeNumbers(metrics) {
  const n = (/** @type {number} */ value) => grouped.format(value);
  write(
    document.getElementById("load-summary"),
    `${n(metrics.vus)} virtual users · ${n(metrics.iterations)} iterations, ` +
      `${n(metrics.iterations_failed)} failed · ${n(metrics.requests.count)} requests, ` +
      `${n(metrics.requests_failed)} failed · p95 ${metrics.requests.p95.toFixed(0)} ms`,
  );
  if (rowsOf("load-step") < metrics.steps.length || rowsOf("slave") < metrics.nodes.length ||
      rowsOf("load-error") < metrics.errors.length) {
    void readTables();
  }
  const row = (/** @type {string} */ name, /** @type {string} */ value) =>
    root.querySelector(`tr[data-${name}="${CSS.escape(value)}"]`);
  const cell = (/** @type {Element | null} */ line, /** @type {string} */ name) =>
    line?.querySelector(`[data-cell="${name}"]`) ?? null;
  for (const each of metrics.thresholds) {
    const line = row("threshold", `${each.metric} ${each.condition}`);
    if (line) judge(/** @type {Element} */ (cell(line, "state")), each.passed);
    write(cell(line, "value"), String(Number(each.value.toPrecision(4))));
  }
  for (const each of metrics.steps) {
    const line = row("load-step", each.step);
    write(cell(line, "success"), n(each.success));
    write(cell(line, "failure"), n(each.failure));
    write(cell(line, "avg"), each.duration.avg.toFixed(1));
    write(cell(line, "p95"), each.duration.p95.toFixed(1));
  }
  for (const each of metrics.nodes) {
    const line = row("slave", each.node);
    const badge = /** @type {HTMLElement | null} */ (cell(line, "state")?.querySelector(".status"));
    if (badge) setStatus(badge, each.state);
    write(cell(line, "share"), `${((each.segment[1] - each.segment[0]) * 100).toFixed(0)} %`);
    write(cell(line, "iterations"), n(each.completed_iterations));
  }
}

void readCourse();
if (!document.getElementById("load")?.dataset.final) {
  hub.follow(`execution/${id}`, {}, (events) => {
    const metrics = events.filter((event) => event.type === "load").at(-1);
    if (!metrics) return;
    writeNumbers(metrics);
    if (metrics.final || performance.now() - readAt > READ_AGAIN_MS) {
      void readCourse();
    } else {
      add(metrics);
    }
  });
}
