// @ts-check
// What every page needs: moments in the reader's words, the zone, the menu, copying, forms, and
// going on when a session has ended.

import "./copy.js";
import "./live.js";
import { startForms } from "./forms.js";
import { startSession } from "./session.js";
import { startSignedOut } from "./signed-out.js";
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

startForms();
startSignedOut();
startSession();
