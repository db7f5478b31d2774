// @ts-check
// Forms that post: a double click sends one once, and none is sent, and what was typed lost, when
// the session has ended meanwhile.

import { inSession, look } from "./session.js";
import { leadToSignIn } from "./signed-out.js";

/** Watch all forms of the page. */
export function startForms() {
  document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes"; // the server knows it again anyway
    const isSure = !inSession || "ownSession" in form.dataset || "sure" in form.dataset;
    delete form.dataset.sure;
    if (isSure) return;
    event.preventDefault();
    void send(form, event.submitter);
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
}

/**
 * Send a form if its user is still signed in.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} button
 */
async function send(form, button) {
  const { who } = await look();
  delete form.dataset.sent;
  if (who === "nobody" || who === "other") {
    leadToSignIn();
    return;
  }
  form.dataset.sure = "yes";
  form.requestSubmit(button?.isConnected ? button : null);
}
