// @ts-check
// <slip-chart>: lines over time, as a figure with its summary in words and its numbers as a table.
//
//   <slip-chart label="Requests" src="/system/figures" series="requests failures"
//       refresh="10" sync="system"></slip-chart>
//
// Attributes:
//   label    what the chart shows
//   src      address below the root of the API, which answers {x, series}; charts of the same one
//            read it once
//   series   names of the series that are shown, with spaces between; all unless it is given
//   refresh  seconds after which `src` is read again
//   axis     "clock": `x` are seconds since 1970, the default; "elapsed": since the beginning
//   sync     charts of one name have one cursor
//
// Without `src` a script sets what is shown, as often as it likes: it is drawn once a second at
// most, and not while the page is hidden.
//
//   chart.data = { x: [1700000000, ...],
//                  series: [{ name: "p95", label: "p95", unit: "ms", values: [412, null, ...] }] };
//
// `x` ascends, and each series is as long as it. What the element holds before is kept below the
// drawing only where it has the attribute slot="note". The style sheet is css/chart.css.

import { aligned, dashOf, draw, loadPlot } from "./chart-plot.js";
import { read } from "./chart-source.js";
import { summary, writeValue, writeX } from "./chart-words.js";
import { writeClock } from "./times.js";

/** @typedef {import("./chart-words.js").ChartData} ChartData */

const DRAW_MS = 1000;
const SVG = "http://www.w3.org/2000/svg";
const dark = matchMedia("(prefers-color-scheme: dark)");

class SlipChart extends HTMLElement {
  constructor() {
    super();
    /** @type {ChartData | null} */
    this._data = null;
    this._isNew = false;
    this._drawnAt = -Infinity;
    this._timer = 0;
    /** @type {any} */
    this._plot = null;
    this._shape = "";
    /** @type {number | null} */
    this._pointed = null;
    /** @type {(() => void) | null} */
    this._unread = null;
    /** @type {ResizeObserver | null} */
    this._sizes = null;
    this._rebuild = () => this._build(true);
    this._seen = () => this._plan();
  }

  connectedCallback() {
    this._makeParts();
    this._sizes = new ResizeObserver(() => this._fit());
    this._sizes.observe(this._place);
    dark.addEventListener("change", this._rebuild);
    document.addEventListener("slipway:zone", this._rebuild);
    document.addEventListener("visibilitychange", this._seen);
    const source = this.getAttribute("src");
    if (source) {
      const reader = {
        show: (/** @type {ChartData} */ data) => this._tell(data),
        fail: (/** @type {number} */ since) => this._mark(since),
      };
      this._unread = read(source, reader, Number(this.getAttribute("refresh")) || 0);
    }
    this._plan();
  }

  disconnectedCallback() {
    this._unread?.();
    this._sizes?.disconnect();
    dark.removeEventListener("change", this._rebuild);
    document.removeEventListener("slipway:zone", this._rebuild);
    document.removeEventListener("visibilitychange", this._seen);
    clearTimeout(this._timer);
    this._timer = 0;
    this._plot?.destroy();
    this._plot = this._unread = this._sizes = null;
  }

  /** @param {ChartData} data */
  set data(data) {
    this._tell(data);
  }

  /** @returns {ChartData | null} what is shown */
  get data() {
    return this._data;
  }

  /** @returns {import("./chart-words.js").XAxis} */
  get _axis() {
    return this.getAttribute("axis") === "elapsed" ? "elapsed" : "clock";
  }

  /** @param {ChartData} data */
  _tell(data) {
    const wanted = (this.getAttribute("series") ?? "").split(" ").filter(Boolean);
    const series = wanted.length
      ? wanted.flatMap((name) => data.series.filter((each) => each.name === name))
      : data.series;
    this._data = { x: data.x, series };
    this._isNew = true;
    this._mark(0);
    this._plan();
  }

  _plan() {
    if (!this._isNew || document.hidden || this._timer || !this.isConnected) return;
    const wait = Math.max(0, this._drawnAt + DRAW_MS - performance.now());
    this._timer = setTimeout(() => {
      this._timer = 0;
      if (document.hidden || !this.isConnected) return;
      this._isNew = false;
      this._drawnAt = performance.now();
      this._write();
      void this._build(false);
    }, wait);
  }

  /** @param {boolean} anew whether what is drawn already must be drawn in another way */
  async _build(anew) {
    const data = this._data;
    if (!data || !this._place.clientWidth) return;
    const shape = JSON.stringify(data.series.map((each) => [each.name, each.label]));
    if (this._plot && !anew && shape === this._shape) {
      this._plot.setData(aligned(data));
      return;
    }
    let uPlot;
    try {
      uPlot = await loadPlot();
    } catch {
      this._place.textContent = "The chart cannot be drawn here. Its numbers are in the table.";
      return;
    }
    if (!this.isConnected || !this._data) return;
    this._plot?.destroy();
    this._place.replaceChildren();
    this._shape = shape;
    this._plot = draw(uPlot, this._place, this._data, {
      axis: this._axis,
      sync: this.getAttribute("sync") ?? "",
      point: (place) => this._point(place),
    });
    this._write();
  }

  _fit() {
    const { clientWidth: width, clientHeight: height } = this._place;
    if (!width) return;
    if (!this._plot) void this._build(false);
    else if (this._plot.width !== width) this._plot.setSize({ width, height });
  }

  _makeParts() {
    if (this._place) return;
    const notes = [...this.children].filter((child) => child.slot === "note");
    const figure = element("figure", "");
    const caption = element("figcaption", "chart-caption");
    this._name = element("strong", "chart-name");
    this._name.textContent = this.getAttribute("label") ?? "";
    this._unit = element("span", "chart-unit");
    this._stale = element("span", "chart-stale");
    this._words = element("span", "unseen");
    caption.append(this._name, this._unit, this._stale, this._words);
    this._legend = element("p", "chart-legend");
    this._legend.setAttribute("aria-hidden", "true");
    this._place = element("div", "chart-plot");
    this._place.setAttribute("role", "img");
    this._place.setAttribute("aria-label", this._name.textContent || "Chart"); // until it is drawn
    this._place.tabIndex = 0;
    this._place.addEventListener("keydown", (event) => this._step(event));
    this._place.addEventListener("blur", () => this._plot?.setCursor({ left: -10, top: -10 }, true, true));
    this._table = /** @type {HTMLDetailsElement} */ (element("details", "chart-table"));
    const head = element("summary", "");
    head.textContent = "As a table";
    this._table.append(head);
    this._table.addEventListener("toggle", () => this._writeTable());
    figure.append(caption, this._legend, this._place, this._table, ...notes);
    this.replaceChildren(figure);
  }

  /** Say since when what is shown is old, 0 for not. @param {number} since */
  _mark(since) {
    if (this._stale) {
      this._stale.textContent = since ? `not live since ${writeClock(since)}` : "";
    }
  }

  _write() {
    const data = this._data;
    if (!data || !this._words) return;
    const text = summary(data, this._axis);
    const units = new Set(data.series.map((each) => each.unit));
    this._unit.textContent = units.size === 1 ? [...units][0] : "";
    this._words.textContent = text;
    this._place.setAttribute("aria-label", `${this.getAttribute("label") ?? "Chart"}. ${text}`);
    this._writeLegend();
    this._writeTable();
  }

  /** @param {number | null} place where the cursor is */
  _point(place) {
    if (place === this._pointed) return; // at each movement of the mouse
    this._pointed = place;
    this._writeLegend();
  }

  /** Values at the cursor; without one the last that are known. */
  _writeLegend() {
    const data = this._data;
    if (!data) return;
    const at = this._pointed;
    const parts = data.series.map((series, index) => {
      const known = at ?? series.values.findLastIndex((value) => value !== null);
      const part = element("span", `chart-key chart-key-${(index % 4) + 1}`);
      const value = element("b", "");
      value.textContent = writeValue(known < 0 ? null : series.values[known], series.unit);
      if (data.series.length > 1) part.append(sample(dashOf(index)), `${series.label} `);
      part.append(value);
      return part;
    });
    const when = element("span", "chart-when");
    const isAt = at !== null && at < data.x.length;
    when.textContent = isAt ? writeX(data.x[at], this._axis, true) : "last";
    this._legend.replaceChildren(when, ...parts);
  }

  _writeTable() {
    const data = this._data;
    this._table.querySelector(".scroller")?.remove();
    if (!data || !this._table.open) return;
    const scroller = element("div", "scroller");
    scroller.tabIndex = 0;
    scroller.setAttribute("role", "region");
    scroller.setAttribute("aria-label", `${this.getAttribute("label") ?? "Chart"}, as a table`);
    const table = element("table", "");
    const heads = ["Time", ...data.series.map((each) => `${each.label} (${each.unit})`)];
    table.append(row("th", heads));
    const rows = data.x.map((x, place) => row("td", [
      writeX(x, this._axis, true),
      ...data.series.map((each) => writeValue(each.values[place], "")),
    ]));
    table.append(...rows.reverse().slice(0, 600));
    scroller.append(table);
    this._table.append(scroller);
  }

  /** Move the cursor by the keys. @param {KeyboardEvent} event */
  _step(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (!step || !this._plot || !this._data?.x.length) return;
    event.preventDefault();
    const last = this._data.x.length - 1;
    const from = this._pointed ?? (step > 0 ? -1 : last + 1);
    const place = Math.min(last, Math.max(0, from + step));
    const left = this._plot.valToPos(this._data.x[place], "x");
    this._plot.setCursor({ left, top: this._place.clientHeight / 2 }, true, true);
  }
}

/**
 * @param {string} tag
 * @param {string} name of its class
 * @returns {HTMLElement}
 */
function element(tag, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  return made;
}

/**
 * @param {"th" | "td"} tag
 * @param {string[]} texts
 * @returns {HTMLElement}
 */
function row(tag, texts) {
  const made = element("tr", "");
  for (const [index, text] of texts.entries()) {
    const cell = element(tag, index ? "number" : "");
    if (tag === "th") cell.setAttribute("scope", "col");
    cell.textContent = text;
    made.append(cell);
  }
  return made;
}

/**
 * @param {number[]} dash
 * @returns {SVGElement} a piece of a line as it is drawn
 */
function sample(dash) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 8");
  svg.setAttribute("class", "chart-sample");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", "M0 4h24");
  line.setAttribute("stroke", "currentColor");
  line.setAttribute("stroke-width", "2.5");
  line.setAttribute("stroke-dasharray", dash.join(" "));
  svg.append(line);
  return svg;
}

customElements.define("slip-chart", SlipChart);
