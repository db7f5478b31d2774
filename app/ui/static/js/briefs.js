// @ts-check
// What a row of a list says of an execution: `app/ui/_briefs.py` says the same of what is loaded.

/** @typedef {import("./hub.js").HubEvent} HubEvent */

/**
 * @param {HubEvent} event
 * @returns {string} What stands behind the word for its state.
 */
export function remark(event) {
  const brief = event.brief ?? {};
  if (event.state === "RUNNING" && event.progress > 0) return `${Math.floor(event.progress * 100)} %`;
  if (event.state === "PENDING") return brief.waits_for ?? "";
  const code = brief.exit_code ?? null;
  return event.state === "FAILED" && code !== null ? `exit ${code}` : "";
}

/**
 * @param {HubEvent} event
 * @returns {string} What it does by now, or why it failed.
 */
export function says(event) {
  const brief = event.brief ?? {};
  if (event.state === "FAILED") {
    return [brief.failed_task, brief.reason].filter(Boolean).join(": ");
  }
  const tasks = brief.tasks ?? [];
  if (tasks.length > 0) {
    const more = brief.active - tasks.length;
    return `now: ${tasks.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  }
  return brief.waits_for && event.state !== "PENDING" ? `waits: ${brief.waits_for}` : "";
}
