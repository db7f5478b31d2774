// @ts-check
// Moments and durations, in the words and the zone of the reader; "now" is the server's.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const KEPT = "slipway-zone";

const offset = Date.parse(document.documentElement.dataset.now ?? "") - Date.now() || 0;

/** @returns {number} The server's clock, in milliseconds. */
export function serverNow() {
  return Date.now() + offset;
}

/** @returns {boolean} Whether moments are written in UTC. */
function isUtc() {
  try {
    return localStorage.getItem(KEPT) === "utc";
  } catch {
    return false;
  }
}

let forms = formatters();

/** The forms of moments, in the zone of now. */
function formatters() {
  return {
    short: formatter({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }),
    whole: formatter({
      year: "numeric", month: "short", day: "numeric",
      hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
    }),
    clock: formatter({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  };
}

/**
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {Intl.DateTimeFormat} in the zone of now
 */
export function formatter(options) {
  const zone = isUtc() ? { timeZone: "UTC" } : {};
  return new Intl.DateTimeFormat("en", { ...options, ...zone, hourCycle: "h23" });
}

/**
 * @param {number} milliseconds Since 1970.
 * @returns {string} Such as "Nov 25, 2026, 14:03:10 UTC+1".
 */
export function writeWhole(milliseconds) {
  return forms.whole.format(milliseconds);
}

/**
 * @param {number} milliseconds Since 1970.
 * @returns {string} Such as "14:03:10".
 */
export function writeClock(milliseconds) {
  return forms.clock.format(milliseconds);
}

/**
 * @param {number} milliseconds Since 1970.
 * @returns {string} Such as "3 min ago"; from a day on "Nov 25, 14:03".
 */
function writeAgo(milliseconds) {
  const seconds = Math.floor((serverNow() - milliseconds) / 1000);
  if (seconds >= DAY || seconds < -MINUTE) return forms.short.format(milliseconds);
  if (seconds < 10) return "just now";
  if (seconds < MINUTE) return `${seconds} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  return `${Math.floor(seconds / HOUR)} h ago`;
}

/**
 * @param {number} seconds
 * @returns {string} Such as "6 ms", "4.2 s", "3 min 07 s", "1 h 04 min" or "2 d 3 h".
 */
export function writeDuration(seconds) {
  const milliseconds = Math.round(seconds * 1000);
  if (milliseconds > 0 && milliseconds < 1000) return `${milliseconds} ms`;
  if (seconds < 59.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const full = Math.floor(seconds + 0.05);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  if (full < HOUR) return `${Math.floor(full / MINUTE)} min ${two(full % MINUTE)} s`;
  if (full < DAY) return `${Math.floor(full / HOUR)} h ${two(Math.floor((full % HOUR) / MINUTE))} min`;
  return `${Math.floor(full / DAY)} d ${Math.floor((full % DAY) / HOUR)} h`;
}

/**
 * Write all moments and running durations below an element.
 *
 * @param {ParentNode} root
 */
export function writeTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-form]")) {
    const time = /** @type {HTMLTimeElement} */ (element);
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const text = time.dataset.form === "full" ? writeWhole(at) : writeAgo(at);
    if (time.textContent !== text) time.textContent = text;
    const title = time.dataset.form === "full" ? writeAgo(at) : writeWhole(at);
    if (time.title !== title) time.title = title;
  }
  for (const element of root.querySelectorAll("[data-since]")) {
    const since = Date.parse(/** @type {HTMLElement} */ (element).dataset.since ?? "");
    const text = writeDuration(Math.floor((serverNow() - since) / 1000));
    if (!Number.isNaN(since) && element.textContent !== text) element.textContent = text;
  }
}

function writeZone() {
  const button = document.getElementById("zone");
  if (!button) return;
  const parts = forms.whole.formatToParts(serverNow());
  button.textContent = parts.find((part) => part.type === "timeZoneName")?.value ?? "UTC";
  button.setAttribute("aria-label", `Zone of times: ${button.textContent}. Change`);
  button.hidden = false;
}

function changeZone() {
  try {
    localStorage.setItem(KEPT, isUtc() ? "local" : "utc");
  } catch {
    return;
  }
  forms = formatters();
  writeZone();
  writeTimes();
  document.dispatchEvent(new CustomEvent("slipway:zone"));
}

/** Keep all moments of the page right, once a second while it is seen. */
export function startTimes() {
  writeZone();
  writeTimes();
  document.getElementById("zone")?.addEventListener("click", changeZone);
  document.addEventListener("htmx:afterSwap", () => writeTimes());
  document.addEventListener("visibilitychange", () => writeTimes());
  setInterval(() => {
    if (!document.hidden) writeTimes();
  }, 1000);
}
