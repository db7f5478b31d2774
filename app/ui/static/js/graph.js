// @ts-check
// <slip-graph>: the picture of a graph, which works without this; here its states change live, it
// is larger or smaller, what is done goes away, and what leads to a step stands out.

import { hub } from "./hub.js";
import { Slices } from "./slices.js";
import { wordOf } from "./status.js";
import { StepStates } from "./step-states.js";

const SMALLEST = 20;
const LARGEST = 200;
const SMALLEST_PREVIEW = 70;
const STEP = 10;
const FAR = 60;
/** After so long changes of a large one are painted together. */
const SLOW_MS = 500;
/** Boxes that are changed in one frame. */
const AT_ONCE = 40;

class SlipGraph extends HTMLElement {
  constructor() {
    super();
    this.percent = 100;
    /** @type {(() => void) | null} */
    this.unfollow = null;
    /** @type {SVGElement[]} by place */
    this.nodes = [];
    /** @type {Map<string, SVGElement>} by name of a step */
    this.nodeOf = new Map();
    /** @type {SVGElement[][]} the lines that reach a node, by its place */
    this.reaching = [];
    /** @type {SVGElement[][]} the lines that leave it */
    this.leaving = [];
    this.states = new StepStates();
    /** @type {Set<SVGElement>} whose states are to be shown */
    this.changed = new Set();
    /** @type {Slices<SVGElement>} */
    this.showing = new Slices(AT_ONCE, (node) => this.show(node));
    /** @type {Element[]} */
    this.parts = [];
    this.hidesDone = false;
    /** Place of the node whose way stands out; -1 for none. */
    this.traced = -1;
    this.looking = 0;
    /** @type {Slices<Element>} */
    this.drawing = new Slices(1, (part) => this.drawPart(part));
    /** @type {number | undefined} */
    this.planned = undefined;
    /** @type {SVGSVGElement | null} */
    this.picture = null;
  }

  connectedCallback() {
    this.picture = this.querySelector(".graph-picture");
    if (!this.picture || this.nodes.length > 0) return;
    this.read();
    this.addTools();
    this.trace();
    const isPreview = !this.dataset.execution && !this.classList.contains("tall");
    if (isPreview) this.fit(SMALLEST_PREVIEW);
    this.looking = requestAnimationFrame(() => { // a task of its own: it lays the page out
      this.drawPart(this.focal().parentElement);
      this.lookAt(this.focal());
      this.drawing.add(this.parts);
    });
    const id = this.dataset.execution;
    if (id) this.unfollow = hub.follow(`execution/${id}`, {}, (events) => this.take(events));
  }

  disconnectedCallback() {
    this.unfollow?.();
    this.unfollow = null;
    this.showing.end();
    this.drawing.end();
    cancelAnimationFrame(this.looking);
    clearTimeout(this.planned);
    this.planned = undefined;
  }

  /** Read what the picture shows. */
  read() {
    const nodes = this.querySelectorAll(".graph-node");
    this.nodes = /** @type {SVGElement[]} */ ([...nodes]);
    for (const node of this.nodes) {
      for (const name of stepsOf(node)) {
        this.nodeOf.set(name, node);
        if (node.dataset.state) this.states.set(name, node.dataset.state, "");
      }
      this.reaching.push([]);
      this.leaving.push([]);
    }
    for (const each of this.querySelectorAll(".graph-lines path")) {
      const line = /** @type {SVGElement} */ (each);
      this.reaching[Number(line.dataset.to)].push(line);
      this.leaving[Number(line.dataset.from)].push(line);
    }
    this.parts = [...this.querySelectorAll(".graph-part")];
    this.nodes.filter(isDone).forEach((node) => this.markDone(node));
  }

  /** @returns {SVGElement} what one wants to see first */
  focal() {
    return this.querySelector(".graph-node.bad, .graph-node.running") ?? this.nodes[0];
  }

  /** @param {Element | null} part */
  drawPart(part) {
    part?.classList.add("shown");
    part?.classList.toggle("hides-done", this.hidesDone);
  }

  /** @param {import("./hub.js").HubEvent[]} events */
  take(events) {
    for (const event of events) {
      if (event.type !== "tasks") continue;
      for (const task of event.tasks) {
        const node = this.nodeOf.get(task.name);
        if (node && this.states.take(task)) this.changed.add(node);
      }
    }
    if (this.changed.size > 0 && this.planned === undefined) {
      const pause = this.classList.contains("large") ? SLOW_MS : 0;
      this.planned = window.setTimeout(() => this.showChanged(), pause);
    }
  }

  showChanged() {
    this.planned = undefined;
    this.showing.add(this.changed);
    this.changed.clear();
  }

  /** @param {SVGElement} node */
  show(node) {
    const names = stepsOf(node);
    const states = this.states;
    const { state, remark } = names.length > 1 ? states.worst(names) : states.of(names[0]);
    const { kind, text } = wordOf(state);
    node.dataset.state = state;
    const marks = ["fold", "traced"].filter((mark) => node.classList.contains(mark));
    node.setAttribute("class", ["graph-node", kind, ...marks].join(" "));
    node.querySelector("use")?.setAttribute("href", `#shape-${kind}`);
    const word = node.querySelector(".graph-word");
    if (word) word.textContent = remark ? `${text} · ${remark}` : text;
    const title = node.querySelector("title")?.textContent ?? "";
    const opens = names.length > 1 && node.hasAttribute("href") ? "show each" : "";
    const said = [title, text.toLowerCase(), remark, opens].filter(Boolean).join(", ");
    node.setAttribute("aria-label", said);
    this.markDone(node);
  }

  /**
   * A line goes away with what is done at one of its ends.
   *
   * @param {SVGElement} node
   */
  markDone(node) {
    const place = Number(node.dataset.place);
    for (const line of [...this.reaching[place], ...this.leaving[place]]) {
      const ends = [Number(line.dataset.from), Number(line.dataset.to)];
      line.classList.toggle("done", ends.some((end) => isDone(this.nodes[end])));
    }
  }

  addTools() {
    const tools = document.createElement("div");
    tools.className = "graph-tools";
    const zoom = document.createElement("div");
    zoom.className = "graph-zoom";
    zoom.setAttribute("role", "group");
    zoom.setAttribute("aria-label", "Size of the picture");
    const shown = document.createElement("output");
    const less = button("−", "Smaller", () => this.zoom(this.percent - STEP));
    const more = button("+", "Larger", () => this.zoom(this.percent + STEP));
    const fit = button("Fit", "", () => this.fit());
    zoom.append(less, shown, more, fit, button("Full size", "", () => this.zoom(100)));
    this.addEventListener("slip-zoom", () => {
      shown.textContent = `${this.percent} %`;
      less.disabled = this.percent <= SMALLEST;
      more.disabled = this.percent >= LARGEST;
    });
    tools.append(zoom);
    if (this.nodes.some((node) => node.dataset.state)) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.addEventListener("change", () => {
        this.hidesDone = box.checked;
        this.drawing.add(this.parts);
      });
      label.append(box, "Hide what is done");
      tools.append(label);
    }
    this.prepend(tools);
    this.zoom(100);
  }

  /** @param {number} percent */
  zoom(percent) {
    const picture = this.picture;
    const scroller = picture?.parentElement;
    if (!picture || !scroller) return;
    const before = this.percent;
    this.percent = Math.min(LARGEST, Math.max(SMALLEST, percent));
    if (this.percent !== before) this.resize(picture, scroller, before);
    this.classList.toggle("far", this.percent < FAR);
    this.dispatchEvent(new Event("slip-zoom"));
  }

  /**
   * Keep what is in the middle there.
   *
   * @param {SVGSVGElement} picture
   * @param {Element} scroller
   * @param {number} before in percent
   */
  resize(picture, scroller, before) {
    const box = picture.viewBox.baseVal;
    const half = [scroller.clientWidth / 2, scroller.clientHeight / 2];
    const middle = [scroller.scrollLeft + half[0], scroller.scrollTop + half[1]];
    picture.setAttribute("width", String((box.width * this.percent) / 100));
    picture.setAttribute("height", String((box.height * this.percent) / 100));
    const [x, y] = middle.map((each) => (each * this.percent) / before);
    scroller.scrollTo(x - half[0], y - half[1]);
  }

  /**
   * Scroll to a node, where it is not seen, and leave the page where it is.
   *
   * @param {Element | undefined} node
   */
  lookAt(node) {
    const scroller = this.picture?.parentElement;
    if (!node || !scroller) return;
    const [at, room] = [node.getBoundingClientRect(), scroller.getBoundingClientRect()];
    const isSeen = at.top >= room.top && at.bottom <= room.bottom && at.right <= room.right;
    if (isSeen) return;
    const middle = at.top - room.top - (room.height - at.height) / 2;
    scroller.scrollBy(Math.max(0, at.left - room.left - room.width / 4), middle);
  }

  /**
   * Show as much as there is room for, in whole steps, and nothing larger than it is.
   *
   * @param {number} [smallest] In percent.
   */
  fit(smallest = SMALLEST) {
    const scroller = this.picture?.parentElement;
    if (!this.picture || !scroller) return;
    const box = this.picture.viewBox.baseVal;
    const share = Math.min(scroller.clientWidth / box.width, scroller.clientHeight / box.height, 1);
    this.zoom(Math.max(Math.floor((share * 100) / STEP) * STEP, smallest));
  }

  /** Let what leads to a step stand out while it has the focus, or the mouse is over it. */
  trace() {
    const nodeAt = (/** @type {any} */ target) =>
      /** @type {SVGElement | null} */ (target?.closest?.(".graph-node") ?? null);
    for (const kind of ["mouseover", "focusin"]) {
      this.addEventListener(kind, (event) => {
        const node = nodeAt(event.target);
        if (node) this.mark(Number(node.dataset.place));
      });
    }
    for (const kind of ["mouseout", "focusout"]) {
      this.addEventListener(kind, (event) => {
        const node = nodeAt(event.target);
        const next = nodeAt(/** @type {MouseEvent | FocusEvent} */ (event).relatedTarget);
        if (node && node !== next) this.unmark();
      });
    }
  }

  /** @param {number} place */
  mark(place) {
    if (place === this.traced) return;
    this.unmark();
    this.traced = place;
    const seen = new Set([place]);
    for (const each of seen) {
      this.nodes[each].classList.add("traced");
      for (const line of this.reaching[each]) {
        line.classList.add("traced");
        seen.add(Number(line.dataset.from));
      }
    }
    this.classList.add("traced");
  }

  unmark() {
    this.traced = -1;
    this.classList.remove("traced");
    this.picture?.querySelectorAll(".traced").forEach((each) => each.classList.remove("traced"));
  }
}

/**
 * @param {string} text
 * @param {string} label
 * @param {() => void} act
 * @returns {HTMLButtonElement}
 */
function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

/**
 * @param {SVGElement} node
 * @returns {string[]}
 */
function stepsOf(node) {
  return JSON.parse(node.dataset.steps ?? "[]");
}

/**
 * @param {SVGElement} node
 * @returns {boolean}
 */
function isDone(node) {
  return node.classList.contains("good");
}

customElements.define("slip-graph", SlipGraph);
