// @ts-check
// The form that launches a workflow: marks of what differs from an earlier run, "not set" that
// follows what is typed, and the commands that launch what the form holds by now.

import { readPage } from "./pages.js";

const PAUSE_MS = 500;

const form = /** @type {HTMLFormElement} */ (document.getElementById("launch"));
let timer = 0;
/** @type {AbortController | null} */
let asking = null;

/**
 * @param {Element} field one of an input
 * @returns {string | null} what it holds; null where it is not set
 */
function held(field) {
  const mode = /** @type {HTMLSelectElement | null} */ (field.querySelector(".mode"));
  if (mode?.value === "unset") return null;
  const radio = /** @type {HTMLInputElement | null} */ (field.querySelector("[type=radio]:checked"));
  if (radio) return radio.value || null;
  if (field.querySelector("[type=radio]")) return null;
  const control = /** @type {HTMLInputElement | null} */ (field.querySelector("[name^='input:']"));
  if (!control) return null;
  const isText = field.matches("[data-kind=text], [data-kind=lines]");
  return isText || control.value.trim() ? control.value : null;
}

/** @param {Element} field one of an input */
function mark(field) {
  const note = /** @type {HTMLElement | null} */ (field.querySelector(".changed"));
  if (!note) return;
  const before = note.dataset.wasSet ? note.dataset.earlier ?? "" : null;
  note.hidden = held(field) === (before === null ? null : before.replace(/\r\n?/g, "\n"));
}

/** @param {Event} event */
function typed(event) {
  const control = /** @type {HTMLElement} */ (event.target);
  const field = control.closest(".launch-input");
  const mode = /** @type {HTMLSelectElement | null | undefined} */ (field?.querySelector(".mode"));
  if (mode && control !== mode && event.type === "input") mode.value = "text";
  if (field) mark(field);
  clearTimeout(timer);
  timer = window.setTimeout(renew, PAUSE_MS);
}

/** Put the commands of what the form holds by now in the place of those of before. */
async function renew() {
  asking?.abort();
  asking = new AbortController();
  try {
    const { page } = await readPage(form.dataset.commands ?? "", {
      method: "POST",
      body: new URLSearchParams(/** @type {any} */ (new FormData(form))),
      headers: { "HX-Request": "true" },
      signal: asking.signal,
    });
    const fresh = page?.getElementById("commands");
    if (fresh) document.getElementById("commands")?.replaceWith(document.adoptNode(fresh));
  } catch {
    // The commands stay as they were; launching tells what is wrong.
  }
}

// Going back to a form that was sent leads to the same form, which launches once; whoever wants to
// launch the same again opens the page anew.
const key = /** @type {HTMLInputElement} */ (form.elements.namedItem("key"));
const [visit] = performance.getEntriesByType("navigation");
const isBack = /** @type {PerformanceNavigationTiming} */ (visit)?.type === "back_forward";
if (isBack && history.state?.launch) key.value = history.state.launch;
form.addEventListener("submit", () => {
  history.replaceState({ ...history.state, launch: key.value }, "");
});
if (isBack) {
  window.addEventListener("load", () => { // by then the browser has put back what was typed
    form.querySelectorAll(".launch-input").forEach(mark);
    void renew();
  });
}

form.addEventListener("input", typed);
form.addEventListener("change", typed);

// On a phone the boxes beside the form are below it, and folded.
if (matchMedia("(max-width: 639px)").matches) {
  for (const box of document.querySelectorAll(".beside details")) box.removeAttribute("open");
}
