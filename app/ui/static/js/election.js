// @ts-check
// Which tab leads: by a lock where there are locks, else by a lease in what all tabs store.
// For a moment there may be two: what both tell is told apart by cursors, so they do no harm.

const LEASE_MS = 6000;
const RENEW_MS = 2000;
const SETTLE_MS = [50, 150];

/**
 * @typedef {object} Office
 * @property {() => void} begin
 * @property {() => void} end
 *
 * @typedef {object} Election
 * @property {() => void} pause gives the lead away, and asks for it no more
 * @property {() => void} resume
 */

/**
 * Lead when nobody else does.
 * @param {string} name what is led
 * @param {string} me
 * @param {Office} office
 * @returns {Election}
 */
export function lead(name, me, office) {
  const candidate = navigator.locks ? new ByLock(name, office) : new ByLease(name, me, office);
  candidate.resume();
  return candidate;
}

class ByLock {
  /**
   * @param {string} name
   * @param {Office} office
   */
  constructor(name, office) {
    this._name = name;
    this._office = office;
    /** @type {AbortController | null} */
    this._asking = null;
  }

  resume() {
    if (this._asking !== null) {
      return;
    }
    const asking = new AbortController();
    this._asking = asking;
    const held = () => new Promise((/** @type {(value?: any) => void} */ resolve) => {
      if (asking.signal.aborted) {
        resolve();
        return;
      }
      this._office.begin();
      asking.signal.addEventListener("abort", () => {
        this._office.end();
        resolve();
      });
    });
    navigator.locks.request(this._name, { signal: asking.signal }, held).catch(() => {});
  }

  pause() {
    this._asking?.abort();
    this._asking = null;
  }
}

class ByLease {
  /**
   * @param {string} name
   * @param {string} me
   * @param {Office} office
   */
  constructor(name, me, office) {
    this._key = `${name}-lease`;
    this._me = me;
    this._office = office;
    this._leads = false;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._renewing = undefined;
  }

  resume() {
    if (this._renewing === undefined) {
      this._renewing = setInterval(() => this._look(), RENEW_MS);
      this._look();
    }
  }

  pause() {
    clearInterval(this._renewing);
    this._renewing = undefined;
    if (this._leads) {
      this._end();
      this._write(0);
    }
  }

  /** Renew the lease, take it if it is free, or give the lead away to who has it. */
  _look() {
    const [holder, until] = this._read();
    if (holder === this._me && this._leads) {
      this._write(Date.now() + LEASE_MS);
    } else if (holder !== this._me && until > Date.now()) {
      this._end();
    } else {
      this._write(Date.now() + LEASE_MS);
      const [least, most] = SETTLE_MS;
      setTimeout(() => this._settle(), least + Math.random() * (most - least));
    }
  }

  /** Lead, unless somebody else wrote meanwhile. */
  _settle() {
    if (this._renewing !== undefined && !this._leads && this._read()[0] === this._me) {
      this._leads = true;
      this._office.begin();
    }
  }

  _end() {
    if (this._leads) {
      this._leads = false;
      this._office.end();
    }
  }

  /** @returns {[string, number]} who holds the lease, and until when */
  _read() {
    try {
      const [holder, until] = (localStorage.getItem(this._key) ?? "").split(" ");
      return [holder, Number(until) || 0];
    } catch {
      return [this._me, 0]; // nothing is stored here: each leads itself
    }
  }

  /** @param {number} until */
  _write(until) {
    try {
      localStorage.setItem(this._key, `${this._me} ${until}`);
    } catch {
      // then each leads itself
    }
  }
}
