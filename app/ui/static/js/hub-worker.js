// @ts-check
// The worker that all tabs of a session share: one stream for them all.

import { Core } from "./core.js";

const core = new Core();

self.addEventListener("connect", (event) => {
  const [port] = /** @type {MessageEvent} */ (event).ports;
  const take = core.join((message) => port.postMessage(message));
  port.addEventListener("message", ({ data }) => take(data));
  port.start();
});
