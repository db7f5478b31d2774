// @ts-check
// The way from a page to what follows for it: a worker that all tabs share, else the tab that
// leads, else the page itself.

import { openChannel } from "./channel.js";
import { Core } from "./core.js";
import { meta } from "./root.js";

/**
 * @typedef {object} Line
 * @property {(message: import("./core.js").FromClient) => void} send
 * @property {() => void} close
 *
 * @typedef {(message: import("./core.js").ToClient) => void} Take
 */

/**
 * @param {Take} take gets what comes back
 * @returns {Line}
 */
export function openLine(take) {
  const name = `slip-${sessionName()}`;
  const openOther = () => {
    const hasChannels = typeof BroadcastChannel !== "undefined";
    return hasChannels ? openChannel(name, take) : openOwn(take);
  };
  if (typeof SharedWorker === "undefined") {
    return openOther();
  }
  let line = openWorker(name, take, () => {
    line.close();
    line = openOther();
    take({ kind: "who", keys: [] });
  });
  return { send: (message) => line.send(message), close: () => line.close() };
}

/**
 * @param {string} name
 * @param {Take} take
 * @param {() => void} onFault the worker cannot be had
 * @returns {Line}
 */
function openWorker(name, take, onFault) {
  const url = new URL("./hub-worker.js", import.meta.url);
  const worker = new SharedWorker(url, { name, type: "module" });
  worker.addEventListener("error", onFault, { once: true });
  const { port } = worker;
  port.addEventListener("message", ({ data }) => take(data));
  port.start();
  const bye = () => port.postMessage({ kind: "bye" });
  window.addEventListener("pagehide", bye);
  return {
    send: (message) => port.postMessage(message),
    close() {
      window.removeEventListener("pagehide", bye);
      bye();
      port.close();
    },
  };
}

/**
 * A stream of the page's own, which is closed while nobody looks.
 * @param {Take} take
 * @returns {Line}
 */
function openOwn(take) {
  let core = new Core();
  let say = core.join(take);
  /** @type {[string, number | null][]} */
  let wanted = [];
  const look = () => {
    core.close();
    if (document.visibilityState === "visible") {
      core = new Core();
      say = core.join(take);
      take({ kind: "who", keys: wanted.map(([key]) => key) });
    }
  };
  document.addEventListener("visibilitychange", look);
  return {
    send(message) {
      wanted = message.kind === "want" ? message.topics : wanted;
      say(message);
    },
    close() {
      document.removeEventListener("visibilitychange", look);
      core.close();
    },
  };
}

/**
 * What the tabs of one session have in common, and those of no other.
 * @returns {string}
 */
function sessionName() {
  return meta("session") || meta("user") || "all";
}
