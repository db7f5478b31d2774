// @ts-check
// One stream of events that is opened again whenever it ends, until nothing is wanted any more.

import { PAGE_HEADERS, ROOT, retryAfter } from "./root.js";
import { SseParser } from "./sse.js";

/** @typedef {import("./hub.js").LiveState} LiveState */

/**
 * @typedef {object} StreamOwner
 * @property {() => string | null} topics what to ask for now; null for nothing
 * @property {() => void} onOpen it is opened now; what is told until then was of the one before
 * @property {(type: string, fields: any) => void} onEvent
 * @property {(state: LiveState) => void} onState
 */

const GRACE_MS = 2000; // a page that is left and the next one are no interruption
const LONGEST_PAUSE_MS = 30000;
const STEADY_MS = 5000; // a stream that lasted so long was a good one
const ANSWER_MS = 8000; // who does not answer within this time is asked again
const MOVED_MS = [100, 1500];
const AGAIN_MS = 5000; // nothing of what is wanted can be followed just now

export class Stream {
  /** @param {StreamOwner} owner */
  constructor(owner) {
    this._owner = owner;
    this._heartbeatMs = 15000;
    this._failures = 0;
    this._isOpen = false;
    this._isSignedOut = false;
    this._openedAt = 0;
    /** @type {number | null} */
    this._heardAt = null;
    /** @type {number | null} */
    this._lostAt = null;
    /** @type {number | null} */
    this._retryAt = null;
    /** @type {AbortController | null} */
    this._abort = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._watch = undefined;
    /** @type {LiveState} */
    this.state = { mark: "idle", since: null, retryAt: null };
  }

  /** Ask anew, since something else is wanted, or the one that is open is not to be trusted. */
  reopen() {
    if (this._isSignedOut || (this._retryAt !== null && Date.now() < this._retryAt)) {
      return;
    }
    this._schedule(0);
  }

  /** Somebody looks, or the network is back: make sure at once that it is live. */
  wake() {
    const silence = Date.now() - (this._heardAt ?? 0);
    if (!this._isOpen || silence > 1.2 * this._heartbeatMs) {
      this._failures = 0;
      this.reopen();
    }
  }

  /** End it. */
  close() {
    clearTimeout(this._timer);
    clearTimeout(this._watch);
    this._abort?.abort();
    this._abort = null;
    this._isOpen = false;
  }

  /** @param {number} pauseMs */
  _schedule(pauseMs) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._open(), pauseMs);
  }

  async _open() {
    const before = this._abort;
    this._owner.onOpen();
    const topics = this._owner.topics();
    if (topics === null) {
      this.close();
      this._lostAt = null;
      this._tell();
      return;
    }
    const abort = new AbortController();
    this._abort = abort;
    this._retryAt = null;
    this._lostAt ??= this._isOpen ? null : Date.now();
    before?.abort();
    this._tell();
    try {
      await this._read(abort, topics);
    } catch {
      if (this._abort === abort) { // else another one is there instead, or none is wanted
        this._failed(null);
      }
    }
  }

  /**
   * @param {AbortController} abort
   * @param {string} topics
   */
  async _read(abort, topics) {
    const silence = setTimeout(() => abort.abort(), Math.max(ANSWER_MS, 2 * this._heartbeatMs));
    const response = await fetch(`${ROOT}/events?topics=${encodeURIComponent(topics)}`, {
      headers: { Accept: "text/event-stream", ...PAGE_HEADERS },
      credentials: "same-origin", cache: "no-store", signal: abort.signal,
    }).finally(() => clearTimeout(silence));
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      this._refused(response);
      return;
    }
    this._isOpen = true;
    this._openedAt = Date.now();
    /** @type {string | null} */
    let last = null;
    const parser = new SseParser((type, data) => {
      const fields = JSON.parse(data);
      if (fields.topic === undefined) {
        last = this._ofAll(type, fields) ?? last;
      } else if (this._abort === abort) {
        this._owner.onEvent(type, fields);
      }
    });
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (this._abort !== abort) {
        return;
      }
      if (done) {
        break;
      }
      this._heard();
      parser.feed(value);
    }
    this._ended(last);
  }

  /**
   * Take what is told of the stream itself.
   * @param {string} type
   * @param {any} fields
   * @returns {string | null} how it ends, if it does
   */
  _ofAll(type, fields) {
    if (type === "opened") {
      this._heartbeatMs = 1000 * fields.heartbeat;
      return null;
    }
    return type;
  }

  /** @param {string | null} how the last word of the stream; null where it was cut off */
  _ended(how) {
    this._isOpen = false;
    if (how === "expired") {
      this.signOut();
    } else if (how === "moved") {
      this._lostAt ??= Date.now();
      this._schedule(between(MOVED_MS));
    } else if (how === "end" && this._owner.topics() === null) {
      this._schedule(0);
    } else {
      this._failed(how === "end" ? AGAIN_MS : null);
    }
  }

  /** @param {Response} response */
  _refused(response) {
    if (response.status === 401) {
      this.signOut();
      return;
    }
    if (response.status === 429) {
      const pauseMs = 1000 * Math.max(1, retryAfter(response) ?? 10);
      this._retryAt = Date.now() + pauseMs;
      this._failed(pauseMs + between([0, 1000]));
    } else {
      this._failed(null);
    }
  }

  /** Nobody can say that the session has ended: it is asked again. */
  signIn() {
    if (this._isSignedOut) {
      this._isSignedOut = false;
      this._tell();
    }
  }

  /** The session has ended: nothing is asked for any more. */
  signOut() {
    this._isSignedOut = true;
    this.close();
    this._tell();
  }

  /** @param {number | null} pauseMs until the next try; null: longer and longer */
  _failed(pauseMs) {
    const wasSteady = this._openedAt > 0 && Date.now() - this._openedAt > STEADY_MS;
    this._failures = wasSteady ? 1 : this._failures + 1;
    this._openedAt = 0;
    this._isOpen = false;
    this._lostAt ??= Date.now();
    this._schedule(pauseMs ?? this._pause());
    this._tell();
  }

  /** @returns {number} */
  _pause() {
    return Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this._failures) * (0.5 + Math.random() / 2);
  }

  _heard() {
    const wasLive = this.state.mark === "live";
    this._heardAt = Date.now();
    if (!wasLive || this._lostAt !== null) {
      this._lostAt = null;
      this._tell();
    }
  }

  /** Say how live it is, if that is news, and look again when it may have become another thing. */
  _tell() {
    clearTimeout(this._watch);
    const now = Date.now();
    const [state, lookInMs] = this._judge(now);
    if (lookInMs !== null) {
      this._watch = setTimeout(() => this._look(), Math.max(50, lookInMs));
    }
    const old = this.state;
    if (old.mark !== state.mark || old.since !== state.since || old.retryAt !== state.retryAt) {
      this.state = state;
      this._owner.onState(state);
    }
  }

  /** What is told may be so no longer. */
  _look() {
    const silence = Date.now() - (this._heardAt ?? 0);
    if (this._isOpen && silence >= 2 * this._heartbeatMs) {
      this._isOpen = false; // it is open only by name
      this._lostAt ??= Date.now();
      this._schedule(0);
    }
    this._tell();
  }

  /**
   * @param {number} now
   * @returns {[LiveState, number | null]} the state, and when to look again
   */
  _judge(now) {
    const since = this._heardAt;
    const silence = now - (since ?? now);
    const patience = 2 * this._heartbeatMs;
    if (this._isSignedOut) {
      return [{ mark: "signed-out", since, retryAt: null }, null];
    }
    if (this._owner.topics() === null) {
      return [{ mark: "idle", since: null, retryAt: null }, null];
    }
    if (this._retryAt !== null && now < this._retryAt) {
      return [{ mark: "limited", since, retryAt: this._retryAt }, this._retryAt - now + 50];
    }
    if (this._isOpen && this._lostAt === null && silence < patience && since !== null) {
      return [{ mark: "live", since: null, retryAt: null }, patience - silence + 50];
    }
    const lost = this._lostAt === null ? 0 : now - this._lostAt;
    if (lost < GRACE_MS) {
      return [this.state, GRACE_MS - lost + 50];
    }
    if (since !== null && silence >= patience) {
      return [{ mark: "stale", since, retryAt: null }, null];
    }
    const look = since === null ? null : patience - silence + 50;
    return [{ mark: "reconnecting", since, retryAt: null }, look];
  }
}

/**
 * @param {number[]} bounds
 * @returns {number}
 */
function between([least, most]) {
  return least + Math.random() * (most - least);
}
