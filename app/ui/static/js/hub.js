// @ts-check
// What is followed live, over one stream of all tabs.
//
//   import { hub } from "./hub.js";
//   const unfollow = hub.follow("executions", { after: 1700000000000 }, (events) => { ... });
//
// Topics:
//   "executions"      how all executions stand that the user may see
//   "execution/<id>"  how one stands, its tasks, and what its virtual users do
//   "log/<id>"        its log, behind the index `after`, of some `levels` or of one `task`
//
// The callback gets a list of events, at most once a frame. Each has a `type`:
//   status    `id`, `state`, `status`, `progress`, `error`, `as_of`, ...: first how it stands, then
//             each change. What is told again is harmless: it is how things are.
//   tasks     `tasks`: those that changed, all at first; `total`, `done`, `running`: how many
//   load      the metrics of virtual users, once a second
//   log       `entries`, each with `index`, `level`, `timestamp`, `content`, `task`; none twice
//   dropped   `count` entries were left out, behind the index `after` and before `next`
//   purged    `id`: an execution is gone
//   end       nothing comes any more
//   expired   it may not be followed any longer: `reason`
//   refused   it cannot be followed: `status` as an API would answer, `code`, `detail`; with
//             `retry` it is tried again
// After "end", "expired", and "refused" without `retry` nothing comes.
//
// `hub.state` says how live all that is. Each change of it dispatches "slip-live" on the document,
// whose `detail` is the state. A session that ended dispatches "slip-signed-out": whoever has had
// the user sign in again puts the new token into <meta name="csrf-token"> and calls hub.restart().
// What may not be followed any longer dispatches "slip-let-go", whose `detail` says why.

import { openLine } from "./lines.js";
import { hasCursor, isLog, topicKey, whole } from "./topics.js";

/**
 * @typedef {import("./topics.js").TopicOptions} TopicOptions
 * @typedef {{type: string, [field: string]: any}} HubEvent
 * @typedef {(events: HubEvent[]) => void} Callback
 */

/**
 * @typedef {object} LiveState
 * @property {"idle" | "live" | "reconnecting" | "stale" | "limited" | "signed-out"} mark
 *   "idle": nothing is followed, or nothing of it changes any more; "reconnecting": for two seconds
 *   at least; "stale": nothing came for twice as long as something always does
 * @property {number | null} since moment since when it is not live, in milliseconds since 1970
 * @property {number | null} retryAt "limited": moment of the next try
 */

/**
 * @typedef {object} Follower
 * @property {string} key
 * @property {number | null} after its cursor
 * @property {number} ask count of when it began: what was told before is not told from its cursor
 * @property {boolean} over whether nothing more is told
 * @property {Callback} callback
 * @property {HubEvent[]} queue what is told with the next frame
 */

const FRAME_MS = 100;

/** @type {LiveState} */
const IDLE = { mark: "idle", since: null, retryAt: null };

class Hub {
  constructor() {
    this.state = IDLE;
    /** How live the stream of all tabs is; what this page follows may be over before. */
    this._streamState = IDLE;
    /** @type {Map<string, Set<Follower>>} */
    this._followers = new Map();
    /** @type {Set<Follower>} */
    this._waiting = new Set();
    this._asks = 0;
    this._begun = 0;
    this._acks = 0;
    this._planned = false;
    /** @type {import("./lines.js").Line | null} */
    this._line = null;
    if (typeof document !== "undefined") {
      document.addEventListener("visibilitychange", () => this._wake());
      window.addEventListener("pageshow", (event) => event.persisted && this._wake());
      window.addEventListener("online", () => this._wake());
    }
  }

  /**
   * Follow a topic.
   * @param {string} topic
   * @param {TopicOptions} options
   * @param {Callback} callback
   * @returns {() => void} ends it
   * @throws {TypeError} there can be no such topic
   */
  follow(topic, options, callback) {
    const key = topicKey(topic, options);
    const isGiven = options.after !== undefined && hasCursor(key);
    const given = isGiven ? whole(options.after) : null;
    const after = given ?? (isLog(key) ? -1 : null);
    /** @type {Follower} */
    const follower = { key, after, ask: ++this._asks, callback, over: false, queue: [] };
    const others = this._followers.get(key) ?? new Set();
    this._followers.set(key, others.add(follower));
    this._ask([key]);
    this._look();
    return () => this._unfollow(follower);
  }

  /** Begin anew in another session: after somebody has signed in in place. */
  restart() {
    this._line?.close();
    this._line = null;
    for (const followers of this._followers.values()) {
      followers.forEach((each) => { each.over = false; });
    }
    this._ask([...this._followers.keys()]);
  }

  /** Tell all tabs of the session that it ends now. */
  signOut() {
    this._open().send({ kind: "out" });
  }

  /** @returns {import("./lines.js").Line} */
  _open() {
    this._line ??= openLine((message) => this._take(message));
    return this._line;
  }

  /** @param {Follower} follower */
  _unfollow(follower) {
    follower.over = true;
    const others = this._followers.get(follower.key);
    if (others?.delete(follower) && others.size === 0) {
      this._followers.delete(follower.key);
      this._ask([]);
      this._look();
    }
  }

  /**
   * Say what this page wants.
   * @param {string[]} fresh keys of which somebody here knows nothing yet
   */
  _ask(fresh) {
    if (this._line !== null || this._followers.size > 0) {
      this._open().send(this._want(fresh));
    }
  }

  /**
   * @param {string[]} fresh
   * @returns {import("./core.js").FromClient}
   */
  _want(fresh) {
    return { kind: "want", topics: this._wanted(), fresh, number: this._asks };
  }

  /** @returns {[string, number | null][]} */
  _wanted() {
    /** @type {[string, number | null][]} */
    const wanted = [];
    for (const [key, followers] of this._followers) {
      const cursors = [...followers].filter((each) => !each.over).map((each) => each.after);
      if (cursors.length > 0) {
        const known = cursors.filter((each) => each !== null);
        wanted.push([key, known.length > 0 ? Math.min(...known) : null]);
      }
    }
    return wanted;
  }

  /** @param {import("./core.js").ToClient} message */
  _take(message) {
    switch (message.kind) {
      case "state":
        this._streamState = message.state;
        this._look();
        break;
      case "events":
        for (const [key, event] of message.events) {
          this._followers.get(key)?.forEach((each) => this._tell(each, event));
        }
        this._acks += 1;
        this._plan();
        break;
      case "begun":
        this._begun = message.number;
        break;
      case "ping":
        this._line?.send({ kind: "pong" });
        break;
      case "who": // it does not know this page, or not any more
        this._line?.send(this._want(message.keys));
        break;
    }
  }

  /**
   * @param {Follower} follower
   * @param {HubEvent} event
   */
  _tell(follower, event) {
    if (follower.over || follower.ask > this._begun) {
      return;
    }
    const kept = event.type === "log" ? unseen(follower, event) : event;
    if (kept === null) {
      return;
    }
    const reached = event.type === "dropped" ? event.next - 1 : event.after;
    if (typeof reached === "number" && reached > (follower.after ?? -1)) {
      follower.after = reached;
    }
    follower.queue.push(kept);
    this._waiting.add(follower);
    if (isLast(event)) {
      this._close(follower, event);
    }
  }

  /**
   * @param {Follower} follower
   * @param {HubEvent} event the last that it is told
   */
  _close(follower, event) {
    follower.over = true;
    if (event.type !== "end") {
      const detail = String(event.reason ?? event.detail ?? "");
      document.dispatchEvent(new CustomEvent("slip-let-go", { detail }));
    }
    this._look();
  }

  _plan() {
    if (this._planned) {
      return;
    }
    this._planned = true;
    let done = false;
    const once = () => {
      if (!done) {
        done = true;
        this._flush();
      }
    };
    if (document.visibilityState === "visible") {
      requestAnimationFrame(once);
    }
    setTimeout(once, FRAME_MS); // also where there are no frames
  }

  _flush() {
    this._planned = false;
    const followers = [...this._waiting];
    this._waiting.clear();
    for (const follower of followers) {
      const events = follower.queue;
      follower.queue = [];
      try {
        follower.callback(events);
      } catch (error) {
        reportError(error); // the others are told all the same
      }
    }
    this._line?.send({ kind: "ack", count: this._acks });
    this._acks = 0;
  }

  /** See how live this page is: nothing of it changes where all that it follows is over. */
  _look() {
    const told = this._streamState;
    const isOver = told.mark !== "signed-out" && this._wanted().length === 0;
    const state = isOver ? IDLE : told;
    const before = this.state;
    if (state === before) {
      return;
    }
    this.state = state;
    document.dispatchEvent(new CustomEvent("slip-live", { detail: state }));
    if (state.mark === "signed-out" && before.mark !== "signed-out") {
      document.dispatchEvent(new CustomEvent("slip-signed-out"));
    }
  }

  _wake() {
    if (document.visibilityState === "visible" && this._line !== null) {
      this._line.send(this._want([]));
      this._line.send({ kind: "wake" });
    }
  }
}

/**
 * @param {Follower} follower
 * @param {HubEvent} event entries of a log
 * @returns {HubEvent | null} what of it the follower does not have; null if there is nothing
 */
function unseen(follower, event) {
  const last = follower.after ?? -1;
  if (event.entries.length === 0 || event.entries[0].index > last) {
    return event;
  }
  const entries = event.entries.filter((/** @type {any} */ each) => each.index > last);
  return entries.length > 0 ? { ...event, entries } : null;
}

/**
 * @param {HubEvent} event
 * @returns {boolean}
 */
function isLast(event) {
  return ["end", "expired"].includes(event.type) || (event.type === "refused" && !event.retry);
}

/** What all scripts of a page share. */
export const hub = new Hub();
