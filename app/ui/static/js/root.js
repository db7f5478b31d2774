// @ts-check
// Where the service is, and how a page says that it is one of its own. Works in workers, too.

const ASSETS = "/ui/assets/";

/**
 * Address of the service without a slash at its end; empty unless it lies below a prefix.
 * @type {string}
 */
export const ROOT = prefixOf(new URL(import.meta.url).pathname);

/**
 * What each request of a page carries: a 401 to it offers no challenge, so the browser opens no
 * password box of its own.
 * @type {Record<string, string>}
 */
export const PAGE_HEADERS = { "X-Requested-With": "slipway-page" };

/**
 * @param {string} name of a <meta> of the page
 * @returns {string} what it says; empty where there is none
 */
export function meta(name) {
  return document.querySelector(`meta[name="${name}"]`)?.getAttribute("content") ?? "";
}

/**
 * @param {string} path of an asset
 * @returns {string}
 */
function prefixOf(path) {
  const place = path.lastIndexOf(ASSETS);
  return place < 0 ? "" : path.slice(0, place);
}

/**
 * @param {Response} response
 * @returns {number | null} seconds after which it asks to be asked again; null where it says none
 */
export function retryAfter(response) {
  const told = response.headers.get("Retry-After");
  const seconds = told === null ? NaN : Number(told);
  return Number.isFinite(seconds) ? seconds : null;
}
