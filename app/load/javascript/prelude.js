// What scripts find: called with the values of this run as JSON, before the script.
(function (text) {
  "use strict";
  const given = JSON.parse(text);
  const { parse, stringify } = JSON;
  // Objects without a prototype: whatever a script does to those of the language, its result is written.
  const values = Object.assign(Object.create(null), given.variables);
  const set = Object.create(null);
  const removed = Object.create(null);
  const lines = [];

  function named(name) {
    if (typeof name !== "string" || !name || name.length > 200) {
      throw new TypeError("the name of a variable must be a text of 1 to 200 characters");
    }
    return name;
  }

  function variables(prefix) {
    return Object.freeze({
      get: (name) => values[prefix + named(name)],
      has: (name) => prefix + named(name) in values,
      set(name, value) {
        const written = stringify(value === undefined ? null : value);
        if (written === undefined) {
          throw new TypeError("the value of a variable must be what JSON knows");
        }
        const key = prefix + named(name);
        values[key] = parse(written);
        set[key] = written;
        delete removed[key];
      },
      del(name) {
        const key = prefix + named(name);
        delete values[key];
        delete set[key];
        removed[key] = true;
      },
      all() {
        const found = {};
        for (const key in values) {
          if (key.startsWith(prefix)) found[key.slice(prefix.length)] = values[key];
        }
        return found;
      },
    });
  }

  function shown(value) {
    if (typeof value === "string") return value;
    try {
      const plain = value === null || typeof value !== "object" || value instanceof Error;
      return String(plain ? value : stringify(value));
    } catch (error) {
      return "?";
    }
  }

  function say(level) {
    return (...parts) => {
      if (lines.length < 20) lines.push([level, parts.map(shown).join(" ").slice(0, 500)]);
    };
  }

  // Names of header fields are the same in any case (RFC 9110, 5.1).
  function anyCase(fields) {
    const lower = new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
    const find = (target, name) =>
      typeof name === "string" && !(name in target) ? lower.get(name.toLowerCase()) : target[name];
    return new Proxy(fields, { get: find });
  }

  function unavailable(name, why) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get() {
        throw new Error(why);
      },
    });
  }

  // Base64 of bytes that are the characters of a text (https://infra.spec.whatwg.org/#forgiving-base64).
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  function btoa(text) {
    const bytes = String(text).split("").map((character) => character.charCodeAt(0));
    if (bytes.some((byte) => byte > 255)) {
      throw new Error("btoa takes characters up to U+00FF only");
    }
    let written = "";
    for (let at = 0; at < bytes.length; at += 3) {
      const three = (bytes[at] << 16) | ((bytes[at + 1] || 0) << 8) | (bytes[at + 2] || 0);
      for (let digit = 0; digit < 4; digit += 1) {
        written += at + digit > bytes.length ? "=" : digits[(three >> (18 - 6 * digit)) & 63];
      }
    }
    return written;
  }

  function atob(text) {
    const plain = String(text).replace(/[\t\n\f\r ]/g, "");
    const content = plain.length % 4 === 0 ? plain.replace(/={1,2}$/, "") : plain;
    if (content.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(content)) {
      throw new Error("atob takes base64 only");
    }
    let read = "";
    let bits = 0;
    let count = 0;
    for (const digit of content) {
      bits = ((bits << 6) | digits.indexOf(digit)) & 0xffff;
      count += 6;
      if (count >= 8) {
        count -= 8;
        read += String.fromCharCode((bits >> count) & 255);
      }
    }
    return read;
  }

  const vars = variables("");
  const answer = given.response;
  Object.assign(globalThis, {
    vars,
    env: variables("env."),
    ctx: Object.freeze({ GetVariable: vars.get, SetVariable: vars.set }),
    response: Object.freeze({
      code: answer.code,
      status: answer.code,
      headers: anyCase(answer.headers),
      body: answer.body,
      text: answer.body,
      json: () => parse(answer.body),
    }),
    console: Object.freeze({
      log: say("info"),
      info: say("info"),
      warn: say("warning"),
      error: say("error"),
    }),
    atob,
    btoa,
    setTimeout(call, delay, ...more) {
      call(...more);
      return 0;
    },
    clearTimeout() {},
  });
  unavailable("http", "scripts have no network: make the request a step of its own");
  Object.defineProperty(globalThis, "crypto", {
    configurable: true,
    get() {
      const value = (0, eval)(given.digests);
      Object.defineProperty(globalThis, "crypto", { value, configurable: true });
      return value;
    },
  });

  return () => {
    // With plus signs: QuickJS makes calls of String.prototype.concat of templates.
    let written = "";
    for (const key in set) written += (written && ",") + stringify(key) + ":" + set[key];
    const rest = ',"removed":' + stringify(removed) + ',"lines":' + stringify(lines) + "}";
    return '{"set":{' + written + "}" + rest;
  };
});
