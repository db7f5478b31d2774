// @ts-check
// Topics of the one stream, as the API writes them: kind[/reference][;option=value]...

/**
 * @typedef {object} TopicOptions
 * @property {number} [after] cursor: what came up to it is there already. Of a log the last index
 *   that is shown; of "executions" the moment of the list that is shown, by the server's clock, in
 *   milliseconds since 1970
 * @property {number} [levels] of a log: DEBUG=1, INFO=2, WARN=4, ERROR=8, added up
 * @property {string} [task] of a log: the only task; "" for what the execution says itself
 */

const KINDS = /^(?:[a-z][a-z-]*)(?:\/[A-Za-z0-9_.:-]{1,200})?$/;

/** Most topics of one stream. */
const MOST_TOPICS = 50;
/** Most characters of all of them as they stand in the address. */
const MOST_CHARACTERS = 6000;

/**
 * The name of a topic, by which events tell whose they are: all of it but the cursor.
 * @param {string} topic such as "log/6fa459ea-ee8a-4ca4-894e-db77e160355e"
 * @param {TopicOptions} options
 * @returns {string}
 * @throws {TypeError} nothing can be named like this
 */
export function topicKey(topic, options) {
  if (!KINDS.test(topic)) {
    throw new TypeError(`${topic} is no topic`);
  }
  if (!isLog(topic) && (options.levels !== undefined || options.task !== undefined)) {
    throw new TypeError(`${topic} has no levels and no tasks to choose`);
  }
  let key = topic;
  if (options.levels !== undefined) {
    key += `;levels=${whole(options.levels)}`;
  }
  if (options.task !== undefined) {
    key += `;task=${encodeURIComponent(options.task)}`;
  }
  return key;
}

/**
 * @param {string} key
 * @returns {boolean} whether its events carry entries that are told apart by their index
 */
export function isLog(key) {
  return key.startsWith("log/");
}

/**
 * @param {string} key
 * @returns {boolean} whether it can be told from where to go on
 */
export function hasCursor(key) {
  return isLog(key) || key === "executions";
}

/**
 * Write topics as the parameter of the stream; those that are too many stay away.
 * @param {Iterable<readonly [string, number | null]>} wanted keys with their cursors, those that
 *   matter most first
 * @returns {{text: string, left: string[]}} the parameter, and the keys that are left out
 */
export function topicsText(wanted) {
  const parts = [];
  const left = [];
  let length = 0;
  for (const [key, after] of wanted) {
    const text = after === null ? key : `${key};after=${after}`;
    const size = encodeURIComponent(text).length + 3;
    if (parts.length === MOST_TOPICS || length + size > MOST_CHARACTERS) {
      left.push(key);
    } else {
      parts.push(text);
      length += size;
    }
  }
  return { text: parts.join(","), left };
}

/**
 * @param {unknown} value
 * @returns {number}
 */
export function whole(value) {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < -1) {
    throw new TypeError(`${value} is no cursor and no set of levels`);
  }
  return value;
}
