// @ts-check
// Filters of lists: htmx fetches the list anew, and here its address stays short and its number is
// said.

import { announce } from "./status.js";

// What is left empty does not stand in the address.
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters, elt } = /** @type {CustomEvent} */ (event).detail;
  if (elt.id !== "filters") return;
  for (const name of Object.keys(parameters)) {
    if (parameters[name] === "") delete parameters[name];
  }
});

// On a phone the list comes first.
const folded = /** @type {HTMLDetailsElement | null} */ (document.getElementById("folded"));
const narrow = matchMedia("(max-width: 639px)");
function fold() {
  if (folded && !folded.querySelector(".faulty")) folded.open = !narrow.matches;
}
fold();
narrow.addEventListener("change", fold);

document.addEventListener("htmx:afterSwap", (event) => {
  const target = /** @type {HTMLElement} */ (/** @type {CustomEvent} */ (event).detail.target);
  if (target?.id !== "results") return;
  const count = document.querySelector("#results .count p");
  announce((count?.firstChild?.textContent ?? "").trim());
});
