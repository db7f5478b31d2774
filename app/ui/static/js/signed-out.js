// @ts-check
// The end of a session: what is shown stays, greyed, and people sign in again in place.
//
// The form is the one of the page for it, so that there is no second one.

import { hub } from "./hub.js";
import { PAGE_HEADERS, ROOT } from "./root.js";

const banner = document.getElementById("signed-out");
const main = document.getElementById("main");

document.addEventListener("slip-signed-out", () => {
  if (banner === null || !banner.hidden || meta("user") === null) return;
  main?.classList.add("past");
  const text = document.createElement("p");
  text.textContent = "Signed out. Sign in to go on; what you see stays as it was.";
  banner.replaceChildren(text);
  banner.hidden = false;
  offer(`${ROOT}/ui/sign-in?next=${encodeURIComponent("/ui/account")}`);
});

document.addEventListener("submit", ({ target }) => {
  if (target instanceof HTMLFormElement && target.action.endsWith("/ui/sign-out")) {
    hub.signOut();
  }
});

/**
 * Show the form to sign in, or the way to its page.
 * @param {string} address
 * @param {RequestInit} [options]
 */
async function offer(address, options = {}) {
  try {
    const answer = await fetch(address, { headers: PAGE_HEADERS, ...options });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.redirected && !new URL(answer.url).pathname.endsWith("/ui/sign-in")) {
      goOn(page);
      return;
    }
    const form = page.querySelector("main form");
    if (form instanceof HTMLFormElement) {
      const said = page.querySelector('main [role="alert"]');
      show(form, said?.textContent ?? "");
      return;
    }
  } catch {
    // then by the page for it
  }
  lead();
}

/**
 * @param {HTMLFormElement} form as its page has it
 * @param {string} refusal why it was not right the time before
 */
function show(form, refusal) {
  banner?.querySelectorAll("form, .refusal").forEach((each) => each.remove());
  const own = /** @type {HTMLFormElement} */ (document.importNode(form, true));
  own.classList.add("in-place");
  own.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = new URLSearchParams(/** @type {any} */ (new FormData(own)));
    offer(own.action, { method: "POST", body });
  });
  if (refusal) {
    const text = document.createElement("p");
    text.className = "refusal";
    text.textContent = refusal;
    banner?.append(text);
  }
  banner?.append(own);
}

/** Without a form of our own: by the page for it, after which this one is loaded anew. */
function lead() {
  const link = document.createElement("a");
  link.className = "button";
  link.href = `${ROOT}/ui/sign-in?next=${encodeURIComponent(here())}`;
  link.textContent = "Sign in";
  banner?.append(link);
}

/** @param {Document} page one of the new session */
function goOn(page) {
  const user = page.querySelector('meta[name="user"]')?.getAttribute("content");
  if (user !== meta("user")?.content) {
    location.reload(); // somebody else may not see this
    return;
  }
  for (const name of ["csrf-token", "session"]) {
    const [own, given] = [meta(name), page.querySelector(`meta[name="${name}"]`)];
    if (own && given) own.content = given.getAttribute("content") ?? "";
  }
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) {
    /** @type {HTMLInputElement} */ (field).value = meta("csrf-token")?.content ?? "";
  }
  if (banner) banner.hidden = true;
  main?.classList.remove("past");
  hub.restart();
}

/**
 * @param {string} name
 * @returns {HTMLMetaElement | null}
 */
function meta(name) {
  return document.querySelector(`meta[name="${name}"]`);
}

/** @returns {string} the address of this page, without the prefix of the service */
function here() {
  return location.pathname.slice(ROOT.length) + location.search;
}
