// @ts-check
// What stands in the address: which entries are shown, how, and which lines are meant.

/** The letters of the levels as forms send them, with their bits. */
export const LEVELS = /** @type {const} */ ({ D: 1, I: 2, W: 4, E: 8 });
/** What the address calls that which the execution itself says. */
const OWN = "~";
const USUAL = 14;

/**
 * @typedef {object} Filter
 * @property {number} levels
 * @property {string} [task]
 *
 * @typedef {[number, number]} Range of lines, both of them included
 */

/**
 * @param {HTMLFormElement} form
 * @returns {Filter}
 */
export function filterOf(form) {
  const data = new FormData(form);
  let levels = 0;
  for (const letter of data.getAll("level")) {
    levels |= LEVELS[/** @type {keyof typeof LEVELS} */ (letter)] ?? 0;
  }
  const step = String(data.get("task") ?? "");
  /** @type {Filter} */
  const filter = { levels: levels || USUAL };
  if (step !== "") filter.task = step === OWN ? "" : step;
  return filter;
}

/**
 * @param {Filter} filter
 * @returns {Record<string, string>} as the API takes it
 */
export function queryOf({ levels, task }) {
  return { levels: String(levels), ...(task === undefined ? {} : { task }) };
}

/**
 * Write into the address what a form says, without a new entry of the history.
 *
 * @param {HTMLFormElement} form
 * @param {Record<string, string>} looks those that are not as usual
 */
export function keepInAddress(form, looks) {
  const data = new FormData(form);
  const query = new URLSearchParams();
  const letters = data.getAll("level").map(String);
  if (letters.join("") !== "EWI") letters.forEach((letter) => query.append("level", letter));
  for (const name of ["task", "find", "regex"]) {
    const value = String(data.get(name) ?? "");
    if (value !== "") query.set(name, value);
  }
  for (const [name, value] of Object.entries(looks)) query.set(name, value);
  const text = query.size > 0 ? `?${query}` : location.pathname;
  history.replaceState(history.state, "", text + location.hash);
}

/**
 * @param {string} hash such as "#L120-L180"
 * @returns {Range | null}
 */
export function rangeOf(hash) {
  const match = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(hash);
  if (match === null) return null;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return [Math.min(first, last), Math.max(first, last)];
}

/** @param {Range} range */
export function hashOf([first, last]) {
  return first === last ? `#L${first}` : `#L${first}-L${last}`;
}
