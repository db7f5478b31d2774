// @ts-check
// What a page shows that is not its user's any more: all that is there stays, greyed, and whoever
// it belongs to signs in in place. Nothing that was typed is lost.

import { PAGE_HEADERS } from "./root.js";
import { look, owner } from "./session.js";
import { announce } from "./status.js";

/** @typedef {import("./session.js").Standing} Standing */

const banner = /** @type {HTMLElement} */ (document.getElementById("signed-out"));
const said = /** @type {HTMLElement} */ (document.getElementById("signed-out-said"));
const place = /** @type {HTMLElement} */ (document.getElementById("signed-out-ways"));

/** Take the reader to where one signs in. */
export function leadToSignIn() {
  banner.scrollIntoView({ block: "nearest" });
  const first = place.querySelector("input:not([type=hidden]), a, button");
  /** @type {HTMLElement | null} */ (first)?.focus();
}

/** @param {Standing} standing */
async function show({ who, username }) {
  if (who === "unknown") return;
  const state = who === "same" ? "" : `${who} ${username}`;
  if ((banner.dataset.state ?? "") === state) return;
  banner.dataset.state = state;
  banner.hidden = who === "same";
  document.getElementById("main")?.classList.toggle("old", who !== "same");
  place.replaceChildren();
  if (who === "same") {
    said.textContent = "";
    announce("Signed in. You can go on.");
  } else if (who === "other") {
    const own = owner();
    said.textContent = `${username} has signed in with this browser. This page is of ${own}: nothing can be done on it.`;
    link(`Open it as ${username}`);
  } else {
    said.textContent = "Signed out. Sign in to go on; what you have typed is still here.";
    await offer();
  }
}

/** @param {string} text of a link to this page, opened anew */
function link(text) {
  const made = document.createElement("a");
  made.className = "button";
  made.href = location.href;
  made.textContent = text;
  place.append(made);
}

/** Put in place what the page to sign in offers. */
async function offer() {
  const url = new URL(/** @type {string} */ (banner.dataset.url), location.href);
  url.searchParams.set("next", banner.dataset.next ?? "");
  const page = await read(url);
  const ways = page?.getElementById("ways");
  if (!ways) {
    link("Sign in");
    return;
  }
  const taken = document.importNode(ways, true);
  taken.removeAttribute("id");
  for (const name of ["id", "for", "aria-describedby"]) {
    for (const each of taken.querySelectorAll(`[${name}]`)) {
      each.setAttribute(name, `in-place-${each.getAttribute(name)}`);
    }
  }
  for (const each of taken.querySelectorAll("a")) {
    each.target = "_blank"; // it leaves, and this page waits
    each.textContent = `${each.textContent} (new tab)`;
  }
  const name = taken.querySelector('input[name="username"]');
  if (name) /** @type {HTMLInputElement} */ (name).value = owner();
  place.append(...taken.childNodes);
}

/**
 * @param {URL | string} url
 * @param {RequestInit} [options]
 * @returns {Promise<Document | null>} null where it leads elsewhere, or nobody answers
 */
async function read(url, options = {}) {
  try {
    const answer = await fetch(url, {
      headers: PAGE_HEADERS, credentials: "same-origin", cache: "no-store", redirect: "manual",
      ...options,
    });
    if (answer.type === "opaqueredirect") return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

/** @param {HTMLFormElement} form */
async function signIn(form) {
  if (form.dataset.sent) return;
  form.dataset.sent = "yes";
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) body.append(name, String(value));
  const refused = await read(form.action, { method: "POST", body });
  const standing = await look();
  delete form.dataset.sent;
  if (standing.who === "same") document.getElementById("main")?.focus();
  if (standing.who !== "nobody" && standing.who !== "unknown") return;
  const why = refused?.getElementById("refusal") ?? refused?.querySelector(".faults li");
  said.textContent = why?.textContent ?? "The service cannot be reached. Try again.";
}

/** Offer signing in in place whenever this page is not its user's any more. */
export function startSignedOut() {
  document.addEventListener("slip-session", (event) => {
    void show(/** @type {CustomEvent<Standing>} */ (event).detail);
  });
  banner.addEventListener("submit", (event) => {
    event.preventDefault();
    void signIn(/** @type {HTMLFormElement} */ (event.target));
  });
}
