// @ts-check
// How a log is shown: wrapped or not, with which times, in colours or not. What is not as usual
// stands in the address, and the browser remembers it.

const KEPT = "slipway-log-looks";
const TIMES = /** @type {const} */ (["off", "clock", "step"]);
const TIME_WORDS = { off: "off", clock: "clock", step: "since the line before" };

export class Looks {
  /**
   * @param {HTMLElement & {part(name: string): HTMLElement}} log
   * @param {() => void} onChange
   */
  constructor(log, onChange) {
    this._log = log;
    this._onChange = onChange;
    const query = new URLSearchParams(location.search);
    const kept = remembered();
    const time = query.get("time") ?? kept.time;
    this.wraps = (query.get("wrap") ?? kept.wrap ?? "yes") !== "no";
    /** @type {"off" | "clock" | "step"} */
    this.time = TIMES.find((each) => each === time) ?? "off";
    this.coloured = (query.get("ansi") ?? kept.ansi ?? "yes") !== "no";
    log.part("wrap").addEventListener("click", () => this._change({ wraps: !this.wraps }));
    log.part("ansi").addEventListener("click", () => this._change({ coloured: !this.coloured }));
    log.part("time").addEventListener("change", (event) => {
      const { value } = /** @type {HTMLSelectElement} */ (event.target);
      this._change({ time: TIMES.find((each) => each === value) ?? "off" });
    });
    this._show();
  }

  /** @returns {Record<string, string>} those that are not as usual, for the address */
  told() {
    /** @type {Record<string, string>} */
    const told = {};
    if (!this.wraps) told.wrap = "no";
    if (this.time !== "off") told.time = this.time;
    if (!this.coloured) told.ansi = "no";
    return told;
  }

  /** @returns {{time: "off" | "clock" | "step", coloured: boolean}} */
  shown() {
    return { time: this.time, coloured: this.coloured };
  }

  /** Show the next form of times. */
  nextTime() {
    this._change({ time: TIMES[(TIMES.indexOf(this.time) + 1) % TIMES.length] });
  }

  /** @param {Partial<Pick<Looks, "wraps" | "time" | "coloured">>} change */
  _change(change) {
    Object.assign(this, change);
    try {
      localStorage.setItem(KEPT, JSON.stringify(this.told()));
    } catch {
      // then it is as usual the next time
    }
    this._show();
    this._onChange();
  }

  _show() {
    this._log.classList.toggle("wraps", this.wraps);
    this._log.dataset.time = this.time;
    this._log.part("wrap").setAttribute("aria-pressed", String(this.wraps));
    this._log.part("ansi").setAttribute("aria-pressed", String(this.coloured));
    const select = /** @type {HTMLSelectElement} */ (this._log.part("time"));
    select.value = this.time;
    select.title = `Times: ${TIME_WORDS[this.time]}`;
  }
}

/** @returns {Record<string, string>} */
function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    return typeof kept === "object" && kept !== null ? kept : {};
  } catch {
    return {};
  }
}
