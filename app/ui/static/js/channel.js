// @ts-check
// Without a shared worker: the tab that leads follows for all others, over a broadcast channel.

import { Core } from "./core.js";
import { lead } from "./election.js";

/**
 * @typedef {import("./lines.js").Line} Line
 * @typedef {import("./lines.js").Take} Take
 */

const ASK_MS = 2000; // a leader that does not answer within this time is asked again

/**
 * @param {string} name
 * @param {Take} take
 * @returns {Line}
 */
export function openChannel(name, take) {
  const me = randomId();
  const channel = new BroadcastChannel(name);
  /** @type {Core | null} */
  let core = null;
  /** @type {Map<string, (message: any) => void>} */
  let pages = new Map();
  /** @type {import("./core.js").FromClient & {kind: "want"} | null} */
  let wanted = null;
  let answeredAt = 0;

  /** @param {string} page */
  const pageOf = (page) => {
    let say = pages.get(page);
    if (say === undefined && core !== null) {
      const send = page === me ? take
        : (/** @type {any} */ body) => channel.postMessage({ to: page, body });
      say = core.join(send);
      pages.set(page, say);
    }
    return say;
  };
  /** @param {any} body */
  const post = (body) => {
    if (core !== null) {
      pageOf(me)?.(body);
    } else {
      channel.postMessage({ to: "leader", from: me, body });
    }
  };
  const askAgain = () => {
    if (wanted !== null) { // it answers with what it wants, and how far it has come
      take({ kind: "who", keys: wanted.topics.map(([key]) => key) });
    }
  };
  channel.addEventListener("message", ({ data }) => {
    if (data.to === "leader" && core !== null) {
      pageOf(data.from)?.(data.body);
      if (data.body.kind === "bye") {
        pages.delete(data.from);
      }
    } else if (data.to === me && core === null) {
      answeredAt = Date.now();
      take(data.body);
    } else if (data.to === "all" && core === null) {
      askAgain();
    }
  });
  const election = lead(name, me, {
    begin() {
      core = new Core();
      pages = new Map();
      askAgain();
      channel.postMessage({ to: "all" });
    },
    end() {
      core?.close();
      core = null;
      askAgain();
    },
  });
  const asking = setInterval(() => {
    if (core === null && wanted !== null && answeredAt === 0) {
      askAgain();
    }
  }, ASK_MS);
  const hide = () => {
    channel.postMessage({ to: "leader", from: me, body: { kind: "bye" } });
    election.pause();
  };
  const show = () => election.resume();
  window.addEventListener("pagehide", hide);
  window.addEventListener("pageshow", show);
  return {
    send(message) {
      if (message.kind === "want") {
        wanted = message;
      }
      post(message);
    },
    close() {
      clearInterval(asking);
      window.removeEventListener("pagehide", hide);
      window.removeEventListener("pageshow", show);
      hide();
      channel.close();
    },
  };
}

/** @returns {string} */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
