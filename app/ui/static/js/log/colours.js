// @ts-check
// Whether a colour that a program chose can be read on what is behind it here (WCAG 2, 1.4.3).

const LEAST = 4.5;

/** @type {Map<string, boolean>} */
const known = new Map();
let behind = 0;

/**
 * Say what is behind all text, whenever that changes.
 *
 * @param {Element} element
 */
export function setBehind(element) {
  known.clear();
  const parts = getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? ["255", "255", "255"];
  behind = luminance(parts.slice(0, 3).map(Number));
}

/**
 * @param {string} colour such as "#ff8700"
 * @returns {boolean}
 */
export function isReadable(colour) {
  let readable = known.get(colour);
  if (readable === undefined) {
    const parts = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
    const own = luminance(parts);
    const contrast = (Math.max(own, behind) + 0.05) / (Math.min(own, behind) + 0.05);
    readable = contrast >= LEAST;
    if (known.size > 1000) known.clear();
    known.set(colour, readable);
  }
  return readable;
}

/** @param {number[]} parts red, green and blue, up to 255 */
function luminance(parts) {
  const [red, green, blue] = parts.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
