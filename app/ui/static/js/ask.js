// @ts-check
// Links with data-ask lead to a page that asks before it destroys; here it asks in a dialog.

import { readPage } from "./pages.js";

let asking = false;

/** @param {HTMLAnchorElement} link */
async function ask(link) {
  let question;
  try {
    const { answer, page } = await readPage(link.href);
    if (answer.status === 401) return;
    question = page?.getElementById("ask");
  } catch {
    question = null;
  }
  if (!question) {
    location.assign(link.href);
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.append(...document.importNode(question, true).childNodes);
  const title = dialog.querySelector("h1");
  if (title) {
    title.id = "asked";
    dialog.setAttribute("aria-labelledby", "asked");
  }
  const stay = dialog.querySelector("[data-stay]");
  stay?.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLElement | null} */ (stay)?.focus();
}

document.addEventListener("click", (event) => {
  const link = /** @type {Element} */ (event.target).closest("a[data-ask]");
  if (!(link instanceof HTMLAnchorElement) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (asking) return; // a link that is clicked twice asks once
  asking = true;
  void ask(link).finally(() => { asking = false; });
});
