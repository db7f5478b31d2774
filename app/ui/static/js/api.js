// @ts-check
// Requests of a page to the API.
//
// A 401 dispatches "slip-signed-out" on the document: whoever listens offers to sign in in place,
// and keeps what is shown.

import { PAGE_HEADERS, ROOT, meta, retryAfter } from "./root.js";

/**
 * @typedef {object} FieldFault
 * @property {string} path the field
 * @property {string} message what is wrong with it
 */

/** What a request came to that did not succeed; `message` is text for people. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where there was no answer at all
   * @param {string} code stable word of the error, such as "not_found"
   * @param {string} message what went wrong
   * @param {FieldFault[]} fields faults of single fields
   * @param {number | null} retryAfter seconds after which it may be tried again
   */
  constructor(status, code, message, fields = [], retryAfter = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} ApiOptions
 * @property {string} [method] GET unless there is a body, then POST
 * @property {unknown} [json] body, sent as JSON
 * @property {BodyInit} [body] body as it is
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/**
 * Ask the API, and return what it answers: JSON as a value, other types as text, null for nothing.
 * @param {string} path below the root of the API, such as "/executions?limit=20"
 * @param {ApiOptions} [options]
 * @returns {Promise<any>}
 * @throws {ApiError} it was refused, or nobody answered; an aborted one throws AbortError
 */
export async function api(path, options = {}) {
  const response = await send(path, options);
  if (response.status === 204 || response.status === 304) {
    return null;
  }
  return isJson(response) ? response.json() : response.text();
}

/**
 * Ask the API, and return the answer itself.
 * @param {string} path as for api()
 * @param {ApiOptions} [options]
 * @returns {Promise<Response>} one that succeeded
 * @throws {ApiError} as api() does
 */
export async function send(path, options = {}) {
  const hasBody = options.json !== undefined || options.body !== undefined;
  const method = options.method ?? (hasBody ? "POST" : "GET");
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", ...PAGE_HEADERS, ...options.headers };
  if (method !== "GET" && method !== "HEAD") {
    headers["X-CSRF-Token"] = meta("csrf-token");
  }
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  let response;
  try {
    response = await fetch(ROOT + path, {
      method, headers, body, signal: options.signal, credentials: "same-origin",
    });
  } catch (error) {
    if (options.signal?.aborted) {
      throw error;
    }
    throw new ApiError(0, "no_answer", "The service cannot be reached.");
  }
  if (!response.ok && response.status !== 304) {
    throw await errorOf(response);
  }
  return response;
}

/**
 * @param {Response} response one that did not succeed
 * @returns {Promise<ApiError>}
 */
async function errorOf(response) {
  if (response.status === 401) {
    document.dispatchEvent(new CustomEvent("slip-signed-out"));
  }
  const seconds = retryAfter(response);
  let problem = null;
  if (isJson(response)) {
    problem = await response.json().catch(() => null);
  }
  if (problem === null || typeof problem !== "object") {
    const text = `The service answers with ${response.status} ${response.statusText}`.trim();
    return new ApiError(response.status, "unknown", `${text}.`, [], seconds);
  }
  if (problem.code === "csrf_token_missing") { // somebody has signed in anew
    document.dispatchEvent(new CustomEvent("slip-signed-out"));
  }
  const fields = Array.isArray(problem.fields) ? problem.fields : [];
  const message = problem.detail || problem.title || `Status ${response.status}`;
  return new ApiError(response.status, problem.code ?? "unknown", message, fields, seconds);
}

/**
 * @param {Response} response
 * @returns {boolean}
 */
function isJson(response) {
  return /^application\/([\w.-]+\+)?json\b/.test(response.headers.get("Content-Type") ?? "");
}
