// @ts-check
// What every page needs: moments in the reader's words, the zone, the menu, copying.

import "./copy.js";
import "./live.js";
import "./signed-out.js";
import { startTimes } from "./times.js";

startTimes();

const menu = /** @type {HTMLDetailsElement | null} */ (document.getElementById("menu"));
const narrow = matchMedia("(max-width: 1023px)");

/** The menu is folded where there is no room for it; without scripts it stays open. */
function fold() {
  if (!menu) return;
  menu.open = !narrow.matches;
  menu.classList.add("ready");
}

fold();
narrow.addEventListener("change", fold);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menu && narrow.matches && menu.open) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

// A form that is sent twice by a double click is sent once; the server knows its key anyway.
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
