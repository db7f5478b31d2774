// @ts-check
// Who has signed in with this browser, and whether this page is still theirs.
//
// A session ends while pages are open, and somebody signs in anew, in this tab or another one. Each
// page that is opened tells the others, and each looks again when it is seen. What it finds it
// dispatches on the document as "slip-session", whose detail is a Standing.

import { hub } from "./hub.js";
import { PAGE_HEADERS, ROOT, meta } from "./root.js";

/**
 * @typedef {object} Standing
 * @property {"same" | "nobody" | "other" | "unknown"} who has signed in, as this page sees it
 * @property {string} username empty for nobody
 */

const OFTEN_MS = 5000;
const RESTART_MS = 10000;

const user = meta("user");
/** Whether this page was opened in a session. */
export const inSession = meta("session") !== "";
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("slip-session");
let lookedAt = 0;
let restartedAt = 0;

/** @returns {string} the user whose page this is */
export function owner() {
  return user;
}

/**
 * Ask who has signed in now; a page of theirs goes on with the session that they have.
 *
 * @returns {Promise<Standing>}
 */
export async function look() {
  lookedAt = Date.now();
  const standing = await ask();
  document.dispatchEvent(new CustomEvent("slip-session", { detail: standing }));
  return standing;
}

/** @returns {Promise<Standing>} */
async function ask() {
  let told;
  try {
    const answer = await fetch(`${ROOT}/auth/session`, {
      headers: { Accept: "application/json", ...PAGE_HEADERS },
      cache: "no-store", credentials: "same-origin",
    });
    if (!answer.ok) return { who: "unknown", username: "" };
    told = await answer.json();
  } catch {
    return { who: "unknown", username: "" };
  }
  if (!told.username) return { who: "nobody", username: "" };
  if (told.username !== user) return { who: "other", username: told.username };
  renew(told);
  return { who: "same", username: user };
}

/** @param {{id: string, csrf_token: string}} told of the session that the browser has now */
function renew({ id, csrf_token: token }) {
  if (token === meta("csrf-token")) return;
  document.querySelector('meta[name="csrf-token"]')?.setAttribute("content", token);
  document.querySelector('meta[name="session"]')?.setAttribute("content", id);
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) {
    /** @type {HTMLInputElement} */ (field).value = token;
  }
  restartedAt = 0;
  restart();
}

/** Have what is live go on in the session of now. */
function restart() {
  if (Date.now() - restartedAt < RESTART_MS) return;
  restartedAt = Date.now();
  hub.restart();
}

/** Forget what somebody else has begun in this tab. */
function forgetOthers() {
  try {
    const before = sessionStorage.getItem("slip-user");
    if (before !== null && before !== user) sessionStorage.clear();
    sessionStorage.setItem("slip-user", user);
  } catch {
    // then nothing is kept there
  }
}

/** Tell other pages, and hear of them. */
export function startSession() {
  const token = () => meta("csrf-token");
  if (user) forgetOthers();
  channel?.postMessage(token());
  if (!inSession) return;
  channel?.addEventListener("message", ({ data }) => {
    if (data !== token()) void look();
  });
  const seen = () => {
    if (!document.hidden && Date.now() - lookedAt > OFTEN_MS) void look();
  };
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("pageshow", (event) => event.persisted && void look());
  document.addEventListener("submit", ({ target }) => {
    const action = target instanceof HTMLFormElement ? target.getAttribute("action") : null;
    if (action?.endsWith("/ui/sign-out")) hub.signOut();
  });
  document.addEventListener("slip-signed-out", async () => {
    const { who } = await look();
    if (who === "same") restart();
  });
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = /** @type {CustomEvent} */ (event).detail;
    if (xhr.status === 401) void look();
  });
}
