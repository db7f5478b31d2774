// @ts-check
// Which events belong to a list, by its filters.

/** @typedef {import("./hub.js").HubEvent} HubEvent */

/**
 * @typedef {object} Sought
 * @property {number} after Moment at which the list was loaded, in milliseconds since 1970.
 * @property {string[] | null} owners
 * @property {string[] | null} states
 * @property {string | null} workflow Id or name.
 * @property {[string, string | null][]} labels
 * @property {string | null} called How its id or a name begins, or what its owner calls it.
 * @property {number | null} since
 * @property {boolean} takesNew What is new would stand on this page.
 */

/**
 * @param {HubEvent} event
 * @param {Sought} sought
 * @returns {boolean} Whether its state is among those of the list.
 */
export function fits(event, sought) {
  return sought.states === null || sought.states.includes(event.state);
}

/**
 * @param {HubEvent} event
 * @param {Sought} sought
 * @returns {boolean} Whether all else of it fits, which never changes.
 */
export function matches(event, sought) {
  const { owners, workflow, since, called } = sought;
  if (owners !== null && !owners.includes(event.owner)) return false;
  if (workflow !== null && ![event.workflow, event.workflow_name].includes(workflow)) return false;
  if (since !== null && Date.parse(event.created_at) < since) return false;
  if (called !== null && !isCalled(event, called)) return false;
  return sought.labels.every(([key, value]) => {
    const own = event.labels?.[key];
    return own !== undefined && (value === null || own === value);
  });
}

/**
 * @param {HubEvent} event
 * @param {string} text
 */
function isCalled(event, text) {
  const starts = [event.id, event.execution_id, event.upstream_id ?? ""];
  return event.name === text || starts.some((each) => each.startsWith(text));
}
