// @ts-check
// What several pages want, over one stream: it asks for all of it, and tells each its own.
//
// It runs in a worker that they share, in the page that leads, or in each page alone.

import { Stream } from "./stream.js";
import { isLog, topicsText } from "./topics.js";

/**
 * @typedef {import("./hub.js").HubEvent} HubEvent
 * @typedef {import("./hub.js").LiveState} LiveState
 *
 * @typedef {{kind: "want", topics: [string, number | null][], fresh: string[], number: number}
 *   | {kind: "ack", count: number} | {kind: "pong"} | {kind: "wake"} | {kind: "out"}
 *   | {kind: "bye"}} FromClient
 *
 * @typedef {{kind: "state", state: LiveState} | {kind: "events", events: [string, HubEvent][]}
 *   | {kind: "begun", number: number} | {kind: "ping"}
 *   | {kind: "who", keys: string[]}} ToClient
 */

/**
 * @typedef {object} Topic
 * @property {number | null} after what the stream has told up to now
 * @property {{after: number | null} | null} back from where it must begin when it is opened again,
 *   for who has come since
 * @property {boolean} ended nothing more comes
 * @property {number} asked count of when it was wanted last; what is too much begins with the least
 */

const OPEN_MS = 100; // what the parts of a page ask for is asked for together
const DROP_MS = 10000; // the next page often wants what the one before wanted
const SEND_MS = 50;
const PING_MS = 15000;
const PATIENCE_MS = 60000;
const MOST_UNREAD = 64; // messages that a page may leave unread before it is let go
const LARGEST_MESSAGE = 2000; // events, or entries of logs
const AGAIN_MS = 5000;

/** One page. */
class Client {
  /** @param {(message: ToClient) => void} send */
  constructor(send) {
    this.send = send;
    /** @type {Set<string>} */
    this.keys = new Set();
    /**
     * Those that the stream tells from its own cursor yet: what it says would leave a gap.
     * @type {Set<string>}
     */
    this.early = new Set();
    /** How often it has asked for something new. */
    this.number = 0;
    /** @type {[string, HubEvent][]} */
    this.queue = [];
    this.size = 0;
    this.unread = 0;
    this.heardAt = Date.now();
  }

  /** From now on what comes is what it asked for. */
  begin() {
    if (this.early.size > 0) {
      this.flush();
      this.early.clear();
      this.send({ kind: "begun", number: this.number });
    }
  }

  flush() {
    if (this.queue.length > 0) {
      this.send({ kind: "events", events: this.queue });
      this.unread += 1;
      this.queue = [];
      this.size = 0;
    }
  }
}

export class Core {
  constructor() {
    /** @type {Set<Client>} */
    this._clients = new Set();
    /** @type {Map<string, Topic>} */
    this._topics = new Map();
    this._stream = new Stream({
      topics: () => this._chosen().text || null,
      onOpen: () => this._begin(),
      onEvent: (type, fields) => this._onEvent(type, fields),
      onState: (state) => this._clients.forEach((each) => each.send({ kind: "state", state })),
    });
    this._count = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._reopening = undefined;
    this._reopensAt = Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._sending = undefined;
    this._pinging = setInterval(() => this._ping(), PING_MS);
  }

  /**
   * Take a page in; it is told the state at once.
   * @param {(message: ToClient) => void} send
   * @returns {(message: FromClient) => void} takes what the page says
   */
  join(send) {
    const client = new Client(send);
    this._clients.add(client);
    this._stream.signIn(); // a page was opened, so the session may hold after all
    send({ kind: "state", state: this._stream.state });
    return (message) => this._take(client, message);
  }

  /** End all of it. */
  close() {
    clearTimeout(this._reopening);
    clearTimeout(this._sending);
    clearInterval(this._pinging);
    this._stream.close();
  }

  /**
   * @param {Client} client
   * @param {FromClient} message
   */
  _take(client, message) {
    client.heardAt = Date.now();
    const isKnown = this._clients.has(client);
    if (message.kind === "bye") {
      this._leave(client);
    } else if (message.kind === "want") {
      this._clients.add(client);
      client.number = message.number;
      const lost = isKnown ? [] : message.topics.map(([key]) => key);
      this._want(client, message.topics, new Set([...message.fresh, ...lost]));
    } else if (message.kind === "ack") {
      client.unread = Math.max(0, client.unread - message.count);
    } else if (message.kind === "wake") {
      this._stream.wake();
    } else if (message.kind === "out") {
      this._stream.signOut();
    }
    if (!isKnown && message.kind !== "bye") {
      client.unread = 0;
      client.send({ kind: "state", state: this._stream.state });
      if (message.kind !== "want") {
        this._clients.add(client);
        client.send({ kind: "who", keys: [] });
      }
    }
  }

  /**
   * @param {Client} client
   * @param {[string, number | null][]} wanted
   * @param {Set<string>} fresh
   */
  _want(client, wanted, fresh) {
    const before = client.keys;
    client.keys = new Set(wanted.map(([key]) => key));
    for (const [key, after] of wanted) {
      if (fresh.has(key) || !before.has(key)) {
        client.early.add(key);
        this._begins(key, after);
        this._plan(OPEN_MS);
      }
    }
    this._forget();
  }

  /**
   * @param {string} key of a topic that somebody wants who knows nothing of it yet
   * @param {number | null} after but this
   */
  _begins(key, after) {
    const topic = this._topics.get(key) ?? { after, back: null, ended: false, asked: 0 };
    topic.back = { after: topic.back ? earlier(topic.back.after, after, isLog(key)) : after };
    topic.ended = false;
    topic.asked = ++this._count;
    this._topics.set(key, topic);
  }

  /** Forget what nobody wants any more; the stream goes without it soon. */
  _forget() {
    for (const key of this._topics.keys()) {
      if (![...this._clients].some((client) => client.keys.has(key))) {
        this._topics.delete(key);
        this._plan(this._topics.size > 0 ? DROP_MS : OPEN_MS);
      }
    }
  }

  /** @param {Client} client */
  _leave(client) {
    this._clients.delete(client);
    client.queue = [];
    this._forget();
  }

  /** @param {number} inMs when the stream is to be opened again at the latest */
  _plan(inMs) {
    const at = Date.now() + inMs;
    if (at < this._reopensAt) {
      clearTimeout(this._reopening);
      this._reopensAt = at;
      this._reopening = setTimeout(() => {
        this._reopensAt = Infinity;
        this._stream.reopen();
      }, inMs);
    }
  }

  /** The stream is opened now, from where all miss nothing. */
  _begin() {
    clearTimeout(this._reopening);
    this._reopensAt = Infinity;
    for (const [key, topic] of this._topics) {
      topic.after = topic.back ? earlier(topic.after, topic.back.after, isLog(key)) : topic.after;
      topic.back = null;
    }
    this._clients.forEach((each) => each.begin());
    const detail = "Too much is followed at once. Close other tabs.";
    for (const key of this._chosen().left) {
      this._hand(key, { type: "refused", status: 429, code: "too_many", detail, retry: true });
    }
  }

  /** @returns {{text: string, left: string[]}} what to ask for, and what is too much */
  _chosen() {
    const open = [...this._topics].filter(([, topic]) => !topic.ended);
    open.sort(([, one], [, other]) => other.asked - one.asked);
    return topicsText(open.map(([key, topic]) => [key, topic.after]));
  }

  /**
   * @param {string} type
   * @param {any} fields
   */
  _onEvent(type, { topic: key, ...fields }) {
    const topic = this._topics.get(key);
    if (topic === undefined) {
      return;
    }
    if (type === "moved") { // it goes on from there, once it is asked for again
      this._plan(AGAIN_MS * (0.5 + Math.random() / 2));
      return;
    }
    const reached = type === "dropped" ? fields.next - 1 : fields.after;
    if (typeof reached === "number" && reached > (topic.after ?? -1)) {
      topic.after = reached;
    }
    const event = { type, ...fields };
    if (type === "refused" && (fields.status >= 500 || fields.status === 429)) {
      event.retry = true;
      this._plan(AGAIN_MS * (1 + Math.random()));
    } else if (["end", "expired", "refused"].includes(type)) {
      topic.ended = topic.back === null; // who has come since is told by the next stream
    }
    this._hand(key, event);
  }

  /**
   * @param {string} key
   * @param {HubEvent} event
   */
  _hand(key, event) {
    for (const client of this._clients) {
      if (client.keys.has(key) && !client.early.has(key)) {
        client.queue.push([key, event]);
        client.size += event.type === "log" ? event.entries.length : 1;
        if (client.size >= LARGEST_MESSAGE) {
          this._send(client);
        }
      }
    }
    this._sending ??= setTimeout(() => {
      this._sending = undefined;
      this._clients.forEach((each) => this._send(each));
    }, SEND_MS);
  }

  /** @param {Client} client */
  _send(client) {
    if (client.unread < MOST_UNREAD) {
      client.flush();
    } else { // it sleeps, or is gone; it says what it wants when it is back
      client.send({ kind: "who", keys: [...client.keys] });
      client.keys = new Set();
      this._leave(client);
    }
  }

  _ping() {
    const oldest = Date.now() - PATIENCE_MS;
    for (const client of this._clients) {
      if (client.heardAt < oldest) {
        this._leave(client);
      } else {
        client.send({ kind: "ping" });
      }
    }
  }
}

/**
 * @param {number | null} one
 * @param {number | null} other
 * @param {boolean} isCounted null is the beginning; else it is now
 * @returns {number | null} the cursor from which on both miss nothing
 */
function earlier(one, other, isCounted) {
  if (one === null || other === null) {
    return isCounted ? null : (one ?? other);
  }
  return Math.min(one, other);
}
