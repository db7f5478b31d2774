// @ts-check
// The mark in the header: whether what is shown is live; and what is said where it will not be any
// more, such as to whom a role was taken away.

import { hub } from "./hub.js";
import { serverNow, writeClock } from "./times.js";

/** @typedef {import("./hub.js").LiveState} LiveState */

const mark = document.getElementById("live");
const letGo = document.getElementById("let-go");

/**
 * @param {LiveState} state
 * @returns {string} what people read; empty for nothing
 */
function words({ mark: what, since, retryAt }) {
  switch (what) {
    case "live":
      return "live";
    case "reconnecting":
      return "reconnecting …";
    case "stale":
      return `not live since ${writeMoment(since).slice(0, 5)}`;
    case "limited":
      return `too many requests, on again at ${writeMoment(retryAt)}`;
    case "signed-out":
      return "signed out";
    default:
      return "";
  }
}

/**
 * @param {number | null} at by this machine's clock
 * @returns {string} by the server's clock, in the reader's zone
 */
function writeMoment(at) {
  return at === null ? "" : writeClock(at + serverNow() - Date.now());
}

/** @param {LiveState} state */
function show(state) {
  if (mark === null) return;
  const text = words(state);
  mark.hidden = text === "";
  if (mark.textContent !== text) mark.textContent = text;
  mark.classList.toggle("on", state.mark === "live");
  mark.classList.toggle("off", state.mark !== "live");
  // What a session may follow is told anew in the next one.
  if (letGo && state.mark === "signed-out") letGo.hidden = true;
}

document.addEventListener("slip-live", (event) => {
  show(/** @type {CustomEvent<LiveState>} */ (event).detail);
});
document.addEventListener("slip-let-go", (event) => {
  if (letGo === null || hub.state.mark === "signed-out") return;
  const why = /** @type {CustomEvent<string>} */ (event).detail;
  letGo.hidden = false;
  letGo.textContent = `This page is not live any more. ${why} What it shows is how it was.`;
});
show(hub.state);
