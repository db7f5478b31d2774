// @ts-check
// <slip-state data-execution="...">: the badge of an execution, which changes with it.

import { hub } from "./hub.js";
import { setStatus } from "./status.js";

class SlipState extends HTMLElement {
  constructor() {
    super();
    /** @type {(() => void) | null} */
    this.unfollow = null;
  }

  connectedCallback() {
    const badge = /** @type {HTMLElement | null} */ (this.querySelector(".status"));
    if (!badge || !this.dataset.execution) return;
    this.unfollow = hub.follow(`execution/${this.dataset.execution}`, {}, (events) => {
      const last = events.filter((event) => event.type === "status").at(-1);
      if (last) setStatus(badge, last.state);
    });
  }

  disconnectedCallback() {
    this.unfollow?.();
    this.unfollow = null;
  }
}

customElements.define("slip-state", SlipState);
