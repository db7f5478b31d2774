// @ts-check
// <slip-timeline>: when steps waited and ran, a table that works without this; here bars grow while
// they are seen, attempts are added, and the axis is the reader's choice.

import { hub } from "./hub.js";
import { Slices } from "./slices.js";
import { Axis, withoutWaits } from "./timeline-axis.js";
import { serverNow, writeDuration } from "./times.js";
import { FINAL, setStatus, wordOf } from "./status.js";

const SPACE = "http://www.w3.org/2000/svg";
const MARK_WIDTH = 90;
/** Rows that are drawn in one frame. */
const AT_ONCE = 40;

/**
 * One attempt; with the number 0 a wait for the first one. Times in milliseconds since 1970.
 * @typedef {object} Attempt
 * @property {number} number
 * @property {string} state
 * @property {number | null} ready
 * @property {number | null} began
 * @property {number | null} ended
 */

/**
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {SVGSVGElement} bars
 * @property {Attempt[]} attempts
 * @property {boolean} told whether its words say the same
 */

class SlipTimeline extends HTMLElement {
  constructor() {
    super();
    /** @type {Map<string, Row>} by name of the step */
    this.rows = new Map();
    this.begins = 0;
    this.ends = 0;
    this.isOver = false;
    this.byClock = false;
    this.hidesWaits = false;
    /** @type {Axis} */
    this.axis = new Axis([[0, 1]]);
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {Slices<Row>} */
    this.slices = new Slices(AT_ONCE, (row) => this.drawRow(row));
    /** @type {(() => void)[]} what ends with it */
    this.endings = [];
  }

  connectedCallback() {
    if (this.rows.size > 0 || !this.querySelector("tbody")) return;
    this.begins = Number(this.dataset.begins);
    this.ends = Number(this.dataset.ends);
    this.isOver = this.dataset.over === "yes";
    for (const row of this.querySelectorAll("tbody tr")) this.read(/** @type {any} */ (row));
    this.addTools();
    this.axis = new Axis([[this.begins, this.ends]]);
    const resized = new ResizeObserver(() => this.drawMarks());
    resized.observe(this);
    const zone = () => this.drawMarks();
    const shown = () => this.run();
    document.addEventListener("slipway:zone", zone);
    document.addEventListener("visibilitychange", shown);
    this.endings = [
      () => this.slices.end(),
      () => resized.disconnect(),
      () => document.removeEventListener("slipway:zone", zone),
      () => document.removeEventListener("visibilitychange", shown),
    ];
    const id = this.dataset.execution;
    if (id && !this.isOver) {
      this.endings.push(hub.follow(`execution/${id}`, {}, (events) => this.take(events)));
    }
    this.run();
  }

  disconnectedCallback() {
    this.endings.forEach((end) => end());
    this.endings = [];
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** @param {HTMLElement} element */
  read(element) {
    const bars = /** @type {SVGSVGElement | null} */ (element.querySelector(".timeline-bars"));
    if (!bars) return;
    /** @type {[number, string, number | null, number | null, number | null][]} */
    const told = JSON.parse(element.dataset.attempts ?? "[]");
    const attempts = told.map(([number, state, ready, began, ended]) => (
      { number, state, ready, began, ended }
    ));
    this.rows.set(element.dataset.name ?? "", { element, bars, attempts, told: true });
  }

  /** One timer while something grows and somebody sees it. */
  run() {
    const grows = !this.isOver && !document.hidden;
    if (grows && this.timer === undefined) {
      this.timer = window.setInterval(() => this.grow(), 1000);
      this.grow();
    } else if (!grows) {
      clearInterval(this.timer);
      this.timer = undefined;
    }
  }

  grow() {
    if (serverNow() > this.ends) {
      this.ends = this.begins + (serverNow() - this.begins) * 1.25;
      this.draw();
      return;
    }
    const rows = [...this.rows.values()];
    this.slices.add(rows.filter((row) => row.attempts.some((each) => each.ended === null)));
  }

  /** @param {import("./hub.js").HubEvent[]} events */
  take(events) {
    let isTold = false;
    for (const event of events) {
      if (event.type === "status" && FINAL.includes(event.state)) {
        this.finish(event);
      }
      if (event.type !== "tasks") continue;
      for (const task of event.tasks) this.takeTask(task);
      isTold = true;
    }
    if (isTold && this.hidesWaits) this.draw(); // what is left out may be more, or less
  }

  /** @param {import("./hub.js").HubEvent} status */
  finish(status) {
    this.isOver = true;
    this.ends = Math.max(Date.parse(status.finished_at ?? "") || serverNow(), this.begins + 1000);
    this.run();
    this.draw();
  }

  /** @param {any} task */
  takeTask(task) {
    const row = this.rows.get(task.name);
    if (!row || task.continued_from) return;
    const badge = row.element.querySelector("th .status");
    if (badge) setStatus(/** @type {HTMLElement} */ (badge), task.status);
    const attempts = row.attempts.filter((each) => each.number > 0);
    const last = attemptOf(task);
    if (last) {
      const known = attempts.findIndex((each) => each.number === last.number);
      if (known < 0) {
        closed(attempts.at(-1), last.ready ?? last.began);
        attempts.push(last);
      } else {
        attempts[known] = last;
      }
    }
    const since = waitsSince(task, attempts.at(-1));
    if (since !== null) {
      attempts.push({ number: 0, state: "", ready: since, began: null, ended: null });
    }
    if (JSON.stringify(attempts) === JSON.stringify(row.attempts)) return;
    row.attempts = attempts;
    row.told = false;
    this.slices.add([row]);
  }

  /**
   * Say the same in words, where the table does.
   *
   * @param {Row} row
   */
  tell(row) {
    const list = row.element.querySelector("ul");
    const took = row.element.querySelector("td.number");
    list?.replaceChildren(...row.attempts.map((each) => {
      const item = document.createElement("li");
      item.textContent = said(each);
      return item;
    }));
    const last = row.attempts.at(-1);
    if (!took) return;
    if (last && last.began !== null && last.ended === null) {
      const running = document.createElement("span");
      running.dataset.since = new Date(last.began).toISOString();
      running.textContent = writeDuration((serverNow() - last.began) / 1000);
      took.replaceChildren(running);
      return;
    }
    const ran = row.attempts.reduce((sum, each) => sum + ranFor(each), 0);
    const hasRun = row.attempts.some((each) => each.ended !== null);
    took.textContent = hasRun ? writeDuration(ran) : "–";
  }

  draw() {
    const all = [...this.rows.values()].flatMap((row) => row.attempts);
    const now = this.isOver ? this.ends : serverNow();
    const busy = this.hidesWaits ? withoutWaits(all, now) : [];
    const runs = all.some((each) => each.began !== null && each.ended === null);
    const last = busy.at(-1);
    if (last && runs && !this.isOver) last[1] = Math.max(last[1], this.ends); // there it grows
    this.axis = new Axis(busy.length > 0 ? busy : [[this.begins, this.ends]]);
    this.drawMarks(); // it measures, which is cheap as long as nothing has changed
    this.classList.toggle("no-waits", this.hidesWaits);
    this.slices.add(this.rows.values());
  }

  drawMarks() {
    const marks = this.querySelector(".timeline-marks");
    if (!marks) return;
    const most = Math.max(2, Math.floor(marks.getBoundingClientRect().width / MARK_WIDTH));
    const parts = this.axis.marks(most, this.byClock).flatMap(({ place, text }) => {
      const line = make("line", { x1: `${place}%`, x2: `${place}%`, y1: "18", y2: "26" });
      const side = place < 3 ? "first" : place > 94 ? "last" : "";
      const label = make("text", { x: `${place}%`, y: "13", class: side });
      label.textContent = text;
      return [line, label];
    });
    marks.replaceChildren(...parts);
  }

  /** @param {Row} row */
  drawRow(row) {
    const now = this.isOver ? this.ends : serverNow();
    /** @type {SVGElement[]} */
    const bars = [];
    for (const each of row.attempts) {
      const ended = each.ended ?? (each.began === null && each.number > 0 ? null : now);
      const begins = this.axis.place(each.began ?? now);
      if (each.ready !== null && each.ready < (each.began ?? now)) {
        const from = this.axis.place(each.ready);
        bars.push(bar("timeline-wait", from, begins, 8, 12, 0.15));
      }
      if (each.number === 0 || each.began === null) continue;
      const { kind } = wordOf(each.state);
      const until = this.axis.place(ended ?? now);
      const drawn = bar(`timeline-bar ${kind}`, begins, until, 5, 18, 0.3);
      drawn.setAttribute("rx", "2");
      const title = document.createElementNS(SPACE, "title");
      title.textContent = said(each);
      drawn.append(title);
      bars.push(drawn);
      if (!["good", "waiting"].includes(kind)) bars.push(mark(kind, Math.max(until, begins + 0.3)));
    }
    row.bars.replaceChildren(...bars);
    if (!row.told) this.tell(row);
    row.told = true;
  }

  addTools() {
    const tools = document.createElement("div");
    tools.className = "timeline-tools";
    const axis = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = "Axis";
    axis.append(legend);
    for (const byClock of [false, true]) {
      axis.append(choice("radio", byClock ? "clock" : "from launch", !byClock, (box) => {
        this.byClock = box.checked === byClock;
        this.drawMarks();
      }, "timeline-axis"));
    }
    tools.append(axis, choice("checkbox", "Leave out waiting", false, (box) => {
      this.hidesWaits = box.checked;
      this.draw();
    }));
    this.prepend(tools);
  }
}

/**
 * @param {string} type
 * @param {string} text
 * @param {boolean} checked
 * @param {(box: HTMLInputElement) => void} act
 * @param {string} [name]
 * @returns {HTMLLabelElement}
 */
function choice(type, text, checked, act, name = "") {
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = type;
  box.name = name;
  box.checked = checked;
  box.addEventListener("change", () => act(box));
  label.append(box, text);
  return label;
}

/**
 * @param {any} task As the API tells it.
 * @returns {Attempt | null} its last attempt; see Attempt.last_of in domain.py
 */
function attemptOf(task) {
  if (!task.started_at && !task.attempts) return null;
  const isOver = ["SUCCESS", "FAILED", "CANCELLED", "SKIPPED"].includes(task.status);
  const ended = moment(task.finished_at);
  return {
    number: Math.max(task.attempts ?? 0, 1),
    state: ended !== null && !isOver ? "FAILED" : task.status,
    ready: moment(task.ready_at),
    began: moment(task.started_at),
    ended: ended ?? (isOver ? moment(task.started_at) : null),
  };
}

/**
 * @param {any} task
 * @param {Attempt | undefined} last
 * @returns {number | null} since when it waits for its next attempt; null where it does not
 */
function waitsSince(task, last) {
  if (task.status !== "PENDING") return null;
  if (last?.state === "FAILED") return last.ended;
  return last && last.began === null ? null : moment(task.ready_at);
}

/**
 * @param {Attempt | undefined} attempt One whose end was not told.
 * @param {number | null} at
 */
function closed(attempt, at) {
  if (attempt && attempt.ended === null) {
    attempt.ended = at ?? attempt.began;
    attempt.state = "FAILED";
  }
}

/**
 * @param {Attempt} attempt
 * @returns {string}
 */
function said(attempt) {
  if (attempt.number === 0) return `waits since ${duration(attempt.ready, serverNow())}`;
  const parts = [`attempt ${attempt.number}: ${wordOf(attempt.state).text.toLowerCase()}`];
  if (attempt.began !== null && attempt.ended !== null) {
    parts.push(`took ${duration(attempt.began, attempt.ended)}`);
  }
  if (attempt.ready !== null && attempt.began !== null && attempt.ready < attempt.began) {
    parts.push(`waited ${duration(attempt.ready, attempt.began)}`);
  }
  return parts.join(", ");
}

/**
 * @param {number | null} from
 * @param {number} until
 * @returns {string}
 */
function duration(from, until) {
  return writeDuration((until - (from ?? until)) / 1000);
}

/**
 * @param {Attempt} attempt
 * @returns {number} seconds
 */
function ranFor(attempt) {
  const { began, ended } = attempt;
  return began === null || ended === null ? 0 : (ended - began) / 1000;
}

/**
 * @param {string | null | undefined} text
 * @returns {number | null}
 */
function moment(text) {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? null : at;
}

/**
 * @param {string} kind
 * @param {Record<string, string>} attributes
 * @returns {SVGElement}
 */
function make(kind, attributes) {
  const made = document.createElementNS(SPACE, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return /** @type {SVGElement} */ (made);
}

/**
 * @param {string} kind
 * @param {number} place in percent
 * @returns {SVGElement} the shape of a state, behind a bar
 */
function mark(kind, place) {
  const made = make("svg", {
    class: `timeline-end ${kind}`, x: `${place}%`, y: "8", width: "12", height: "12",
  });
  made.append(make("use", { href: `#shape-${kind}`, x: "2", width: "12", height: "12" }));
  return made;
}

/**
 * @param {string} kind
 * @param {number} from in percent
 * @param {number} until
 * @param {number} y
 * @param {number} height
 * @param {number} least what is seen at least, in percent
 * @returns {SVGElement}
 */
function bar(kind, from, until, y, height, least) {
  const width = Math.max(until - from, least);
  return make("rect", {
    class: kind, x: `${from}%`, width: `${width}%`, y: String(y), height: String(height),
  });
}

customElements.define("slip-timeline", SlipTimeline);
