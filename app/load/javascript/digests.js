// Digests of texts in UTF-8, as hexadecimal digits: MD5 (RFC 1321), SHA-1 and SHA-2 (FIPS 180-4).
// ROUNDS and START are the constants of SHA-2, as texts of 64 bits.
(function () {
  "use strict";

  const rounds = ROUNDS.map(BigInt);
  const start = START.map(BigInt);
  const upper = (value) => Number(value >> 32n) | 0;

  function bytesOf(text) {
    const bytes = [];
    const whole = String(text).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
    const escaped = encodeURIComponent(whole);
    for (let at = 0; at < escaped.length; at += 1) {
      if (escaped[at] === "%") {
        bytes.push(parseInt(escaped.slice(at + 1, at + 3), 16));
        at += 2;
      } else {
        bytes.push(escaped.charCodeAt(at));
      }
    }
    return bytes;
  }

  // Pad to whole blocks, with the number of bits at the end.
  function padded(text, block, littleEndian) {
    const bytes = bytesOf(text);
    const bits = bytes.length * 8;
    bytes.push(0x80);
    while (bytes.length % block !== block - block / 8) bytes.push(0);
    while (bytes.length % block !== block - 8) bytes.push(0);
    const words = [Math.floor(bits / 2 ** 32), bits >>> 0];
    const tail = words.flatMap((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255));
    return bytes.concat(littleEndian ? tail.reverse() : tail);
  }

  const left = (value, count) => (value << count) | (value >>> (32 - count));
  const right = (value, count) => (value >>> count) | (value << (32 - count));
  const hex = (value) => (value >>> 0).toString(16).padStart(8, "0");
  const big = (bytes, at) =>
    (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  const swap = (value) =>
    (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);

  function md5(text) {
    const bytes = padded(text, 64, true);
    const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
    for (let block = 0; block < bytes.length; block += 64) {
      let [a, b, c, d] = state;
      for (let i = 0; i < 64; i += 1) {
        const round = i >> 4;
        const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
        const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] % 16;
        const constant = Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0;
        const sum = (a + mixed + constant + swap(big(bytes, block + 4 * word))) | 0;
        [a, d, c, b] = [d, c, b, (b + left(sum, shifts[4 * round + (i % 4)])) | 0];
      }
      [a, b, c, d].forEach((value, i) => (state[i] = (state[i] + value) | 0));
    }
    return state.map((value) => hex(swap(value))).join("");
  }

  function sha1(text) {
    const bytes = padded(text, 64);
    const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    for (let block = 0; block < bytes.length; block += 64) {
      const words = Array.from({ length: 16 }, (_, i) => big(bytes, block + 4 * i));
      for (let i = 16; i < 80; i += 1) {
        words.push(left(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1));
      }
      let [a, b, c, d, e] = state;
      for (let i = 0; i < 80; i += 1) {
        const round = Math.floor(i / 20);
        const mixed = [(b & c) | (~b & d), b ^ c ^ d, (b & c) | (b & d) | (c & d), b ^ c ^ d][round];
        const constant = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6][round];
        const sum = (left(a, 5) + mixed + e + constant + words[i]) | 0;
        [e, d, c, b, a] = [d, c, left(b, 30), a, sum];
      }
      [a, b, c, d, e].forEach((value, i) => (state[i] = (state[i] + value) | 0));
    }
    return state.map(hex).join("");
  }

  function sha256(text) {
    const bytes = padded(text, 64);
    const state = start.map(upper);
    for (let block = 0; block < bytes.length; block += 64) {
      const words = Array.from({ length: 16 }, (_, i) => big(bytes, block + 4 * i));
      for (let i = 16; i < 64; i += 1) {
        const [one, two] = [words[i - 15], words[i - 2]];
        const low = right(one, 7) ^ right(one, 18) ^ (one >>> 3);
        const high = right(two, 17) ^ right(two, 19) ^ (two >>> 10);
        words.push((words[i - 16] + low + words[i - 7] + high) | 0);
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 64; i += 1) {
        const first =
          h + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & f) ^ (~e & g)) + words[i] + upper(rounds[i]);
        const second = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] = (state[i] + value) | 0));
    }
    return state.map(hex).join("");
  }

  function sha512(text) {
    const word = (value) => BigInt.asUintN(64, value);
    const turn = (value, count) => (value >> count) | word(value << (64n - count));
    const bytes = padded(text, 128);
    const state = [...start];
    for (let block = 0; block < bytes.length; block += 128) {
      const words = Array.from(
        { length: 16 },
        (_, i) => BigInt(`0x${hex(big(bytes, block + 8 * i))}${hex(big(bytes, block + 8 * i + 4))}`),
      );
      for (let i = 16; i < 80; i += 1) {
        const [one, two] = [words[i - 15], words[i - 2]];
        const low = turn(one, 1n) ^ turn(one, 8n) ^ (one >> 7n);
        const high = turn(two, 19n) ^ turn(two, 61n) ^ (two >> 6n);
        words.push(word(words[i - 16] + low + words[i - 7] + high));
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let i = 0; i < 80; i += 1) {
        const first =
          h + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + ((e & f) ^ (word(~e) & g)) + words[i] + rounds[i];
        const second = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
        [h, g, f, e, d, c, b, a] = [g, f, e, word(d + first), c, b, a, word(first + second)];
      }
      [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] = word(state[i] + value)));
    }
    return state.map((value) => value.toString(16).padStart(16, "0")).join("");
  }

  return Object.freeze({ md5, sha1, sha256, sha512 });
})();
