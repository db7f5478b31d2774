// @ts-check
// States as the macro `status` writes them, changed in place.

/** The states of executions in which nothing changes any more. */
export const FINAL = ["SUCCESS", "FAILED", "CANCELLED"];

/**
 * @param {string} state
 * @returns {{kind: string, text: string}} its shape and colour, and what people call it
 */
export function wordOf(state) {
  const word = document.getElementById(`word-${state}`);
  return { kind: word?.dataset.kind ?? "unknown", text: word?.textContent ?? state };
}

/**
 * Write a text where it is another one.
 *
 * @param {Element | null | undefined} element
 * @param {string} text
 */
export function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * Give a badge a shape with its colour, and a word.
 *
 * @param {Element} badge
 * @param {string} kind Such as "good".
 * @param {string} text
 */
export function paint(badge, kind, text) {
  badge.className = `status ${kind}`;
  badge.querySelector("use")?.setAttribute("href", `#shape-${kind}`);
  write(badge.querySelector(".word"), text);
}

/**
 * Show another state in a badge.
 *
 * @param {HTMLElement} badge An element that the macro `status` wrote.
 * @param {string} state Such as "RUNNING".
 * @param {string} [remark] Such as "exit 2".
 */
export function setStatus(badge, state, remark = "") {
  const word = document.getElementById(`word-${state}`);
  if (!word) return;
  if (badge.dataset.state !== state) {
    badge.dataset.state = state;
    paint(badge, word.dataset.kind ?? "", word.textContent ?? "");
  }
  let told = badge.querySelector(".remark");
  if (remark && !told) {
    told = document.createElement("span");
    told.className = "remark";
    badge.append(told);
  }
  write(told, remark);
}

/**
 * Make a badge for a state.
 *
 * @param {string} state
 * @param {string} [remark]
 * @returns {HTMLElement}
 */
export function makeStatus(state, remark = "") {
  const badge = document.createElement("span");
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(space, "use"));
  const word = document.createElement("span");
  word.className = "word";
  badge.append(svg, word);
  setStatus(badge, state, remark);
  return badge;
}

/**
 * Say something to who does not see the page; at most one thing at a time.
 *
 * @param {string} text
 */
export function announce(text) {
  const announced = document.getElementById("announced");
  if (announced) announced.textContent = text;
}
