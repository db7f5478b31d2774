// @ts-check
// What a log entry says, as runs of text to be shown: colours, marks, and nothing that acts.

/**
 * @typedef {object} Run
 * @property {string} text
 * @property {string} style classes, such as "ansi-1 ansi-bold"; empty for plain text
 * @property {string} colour of 256 or of all, such as "#ff8700"; empty where a class says it
 * @property {boolean} mark it stands for a character that cannot be seen
 */

// A sequence that colours (ECMA-48, 8.3.117), one that does something else, or what begins one.
const SEQUENCE = new RegExp(
  "(?:\\x1b\\[|\\x9b)([0-9;:]*)m" +
  "|(?:\\x1b\\[|\\x9b)[0-?]*[ -/]*[@-~]" +
  "|\\x1b\\][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\|$)" +
  "|(?:\\x1b\\[|\\x9b)[0-?]*[ -/]*$" +
  "|\\x1b[ -/]*[0-Z\\\\-~]?",
  "g",
);
const UNFINISHED = /(?:\x1b\[|\x9b)[0-?]*[ -/]*$|\x1b$/;
// Marks of direction, which make a text look like another, and control characters.
const UNSEEN = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]|[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** @type {Record<string, string>} */
const DIRECTIONS = {
  "\u200e": "LRM", "\u200f": "RLM", "\u061c": "ALM", "\u202a": "LRE", "\u202b": "RLE",
  "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI",
  "\u2068": "FSI", "\u2069": "PDI",
};
const FACES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "bold", 9: "struck" };
/** @type {Record<number, number[]>} */
const ENDS = { 22: [1, 2, 7], 23: [3], 24: [4], 27: [7], 29: [9] };

/**
 * The end of a text that begins a sequence, and is cut off before its end.
 *
 * @param {string} text of the entry before
 * @returns {string}
 */
export function unfinished(text) {
  return UNFINISHED.exec(text)?.[0] ?? "";
}

/**
 * A text without what colours it, as it was left: of a progress bar the last state.
 *
 * @param {string} text
 * @returns {string}
 */
export function plain(text) {
  return settled(text).replace(SEQUENCE, "");
}

/**
 * Of each line what stands there at the end, where it goes back to its beginning.
 *
 * @param {string} text
 * @returns {string}
 */
function settled(text) {
  if (!text.includes("\r")) return text;
  return text.split(/\r*\n/).map((line) => {
    const states = line.split("\r").filter((state) => state !== "");
    return states.at(-1) ?? "";
  }).join("\n");
}

/** The colours and faces that sequences set. */
class Pen {
  constructor() {
    this.colour = "";
    this.number = -1;
    /** @type {Set<number>} */
    this.faces = new Set();
  }

  /** @returns {string} */
  get style() {
    const faces = [...this.faces].map((code) => FACES[/** @type {1} */ (code)]);
    if (this.number >= 0) faces.push(String(this.number));
    return faces.map((name) => `ansi-${name}`).join(" ");
  }

  /** @param {string} codes of one sequence, such as "1;31" */
  take(codes) {
    const given = codes.split(/[;:]/).map((code) => Number(code) || 0);
    for (let i = 0; i < given.length; i += 1) {
      const code = given[i];
      if (code === 38 || code === 48) {
        i += this._wide(given, i, code === 38);
      } else {
        this._one(code);
      }
    }
  }

  /** @param {number} code */
  _one(code) {
    if (code === 0) {
      this.faces.clear();
      this._set(-1, "");
    } else if (code in FACES) {
      this.faces.add(code);
    } else if (code in ENDS) {
      ENDS[code].forEach((face) => this.faces.delete(face));
    } else if (code >= 30 && code <= 37) {
      this._set(code - 30, "");
    } else if (code >= 90 && code <= 97) {
      this._set(code - 90, "");
      this.faces.add(1);
    } else if (code === 39) {
      this._set(-1, "");
    }
  }

  /**
   * @param {number[]} given
   * @param {number} at place of 38 or 48
   * @param {boolean} used whether it is the colour of the text
   * @returns {number} how many codes belong to it
   */
  _wide(given, at, used) {
    if (given[at + 1] === 5) {
      if (used) this._of256(given[at + 2] ?? 0);
      return 2;
    }
    if (given[at + 1] === 2) {
      if (used) this._set(-1, hex(given.slice(at + 2, at + 5)));
      return 4;
    }
    return given.length;
  }

  /** @param {number} number of the 256 colours */
  _of256(number) {
    if (number < 16) {
      this._set(number % 8, "");
      if (number > 7) this.faces.add(1);
    } else if (number > 231) {
      const grey = 8 + (Math.min(number, 255) - 232) * 10;
      this._set(-1, hex([grey, grey, grey]));
    } else {
      const cube = number - 16;
      const steps = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
      this._set(-1, hex(steps.map((step) => (step === 0 ? 0 : 55 + step * 40))));
    }
  }

  /**
   * @param {number} number of the eight colours; -1 for none
   * @param {string} colour
   */
  _set(number, colour) {
    this.number = number;
    this.colour = colour;
  }
}

/** @param {number[]} parts */
function hex(parts) {
  const two = (/** @type {number} */ part) =>
    Math.max(0, Math.min(255, part || 0)).toString(16).padStart(2, "0");
  return `#${two(parts[0])}${two(parts[1])}${two(parts[2])}`;
}

/**
 * Take a text apart.
 *
 * @param {string} text what an entry says
 * @param {boolean} coloured
 * @returns {Run[]}
 */
export function runs(text, coloured) {
  /** @type {Run[]} */
  const found = [];
  const pen = new Pen();
  const source = settled(text);
  let place = 0;
  for (const match of source.matchAll(SEQUENCE)) {
    pour(found, source.slice(place, match.index), coloured ? pen : null);
    if (match[1] !== undefined) pen.take(match[1]);
    place = match.index + match[0].length;
  }
  pour(found, source.slice(place), coloured ? pen : null);
  return found;
}

/**
 * @param {Run[]} found
 * @param {string} text without sequences
 * @param {Pen | null} pen
 */
function pour(found, text, pen) {
  const style = pen?.style ?? "";
  const colour = pen?.colour ?? "";
  let place = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > place) {
      found.push({ text: text.slice(place, match.index), style, colour, mark: false });
    }
    found.push({ text: nameOf(match[0]), style: "", colour: "", mark: true });
    place = match.index + 1;
  }
  if (place < text.length) found.push({ text: text.slice(place), style, colour, mark: false });
}

/** @param {string} character */
function nameOf(character) {
  const code = character.charCodeAt(0);
  if (character in DIRECTIONS) return DIRECTIONS[character];
  if (code < 32) return `^${String.fromCharCode(code + 64)}`;
  return code === 127 ? "^?" : "\ufffd";
}
