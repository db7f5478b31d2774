// @ts-check
// Server-sent events (WHATWG HTML, 9.2.6), of a stream that is read piece by piece.

/**
 * @callback OnEvent
 * @param {string} type
 * @param {string} data
 * @returns {void}
 */

export class SseParser {
  /** @param {OnEvent} onEvent gets each whole event that has data */
  constructor(onEvent) {
    this._onEvent = onEvent;
    this._decoder = new TextDecoder();
    this._rest = "";
    this._type = "";
    /** @type {string[]} */
    this._data = [];
  }

  /** @param {Uint8Array} bytes the next piece, which may end anywhere */
  feed(bytes) {
    const text = this._decoder.decode(bytes, { stream: true });
    if (!text.includes("\n")) {
      this._rest += text;
      return;
    }
    const lines = (this._rest + text).split("\n");
    this._rest = lines.pop() ?? "";
    for (const line of lines) {
      this._line(line.endsWith("\r") ? line.slice(0, -1) : line);
    }
  }

  /** @param {string} line */
  _line(line) {
    if (line === "") {
      this._dispatch();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "event") {
      this._type = value;
    } else if (name === "data") {
      this._data.push(value);
    }
  }

  _dispatch() {
    const type = this._type || "message";
    const data = this._data;
    this._type = "";
    this._data = [];
    if (data.length > 0) {
      this._onEvent(type, data.join("\n"));
    }
  }
}
