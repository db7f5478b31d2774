// @ts-check
// <slip-copy>: a text with a button that copies it, also where there is no clipboard (plain HTTP).

import { announce } from "./status.js";

/**
 * Copy a text.
 *
 * @param {string} text
 * @returns {Promise<boolean>} Whether it is in the clipboard.
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

/** @param {string} text */
function copyByCommand(text) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  field.setAttribute("aria-hidden", "true");
  // Within a dialog, which takes the focus from whatever is outside.
  (before?.closest("dialog") ?? document.body).append(field);
  field.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    done = false;
  }
  field.remove();
  before?.focus();
  return done;
}

class SlipCopy extends HTMLElement {
  connectedCallback() {
    if (this.querySelector("button")) return;
    const button = document.createElement("button");
    const source = /** @type {HTMLElement} */ (this.querySelector("pre, code, output"));
    button.type = "button";
    button.className = "quiet";
    button.textContent = "Copy";
    if (this.dataset.label) button.setAttribute("aria-label", `Copy ${this.dataset.label}`);
    button.addEventListener("click", async () => {
      const done = await copy(source.textContent ?? "");
      if (done) this.dispatchEvent(new CustomEvent("slip-copied", { bubbles: true }));
      if (!done) getSelection()?.selectAllChildren(source);
      button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
      announce(button.textContent);
      setTimeout(() => { button.textContent = "Copy"; }, 4000);
    });
    this.append(button);
  }
}

customElements.define("slip-copy", SlipCopy);
