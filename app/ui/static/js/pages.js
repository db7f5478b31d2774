// @ts-check
// Reading pages of the service, of which a script takes what it shows anew.

import { PAGE_HEADERS, retryAfter } from "./root.js";

const USUAL_PAUSE = 5;

/**
 * Ask for a page, or send what comes to one. A 401 dispatches "slip-signed-out", as api.js does.
 * @param {string} url
 * @param {RequestInit & {headers?: Record<string, string>}} [options]
 * @returns {Promise<{answer: Response, page: Document | null}>} null where it was refused, or leads
 *   elsewhere
 * @throws {Error} nobody answered, or it was aborted
 */
export async function readPage(url, options = {}) {
  const headers = { ...options.headers, ...PAGE_HEADERS };
  const answer = await fetch(url, { ...options, headers, credentials: "same-origin" });
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("slip-signed-out"));
  if (!answer.ok || answer.redirected) return { answer, page: null };
  return { answer, page: new DOMParser().parseFromString(await answer.text(), "text/html") };
}

/**
 * @param {Response} answer one that asks for patience
 * @returns {number} seconds until it may be asked again
 */
export function retrySeconds(answer) {
  return retryAfter(answer) || USUAL_PAUSE;
}
