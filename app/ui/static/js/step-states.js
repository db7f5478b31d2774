// @ts-check
// The states of steps, as events of an execution tell them.

/** From the best to the worst: what went wrong, else what is not done; see services/graphs.py. */
const WORSE = ["SUCCESS", "SKIPPED", "CANCELLED", "PENDING", "PAUSED", "RUNNING", "FAILED"];

/**
 * @typedef {object} StepState
 * @property {string} state
 * @property {string} remark such as "exit 2"
 */

/**
 * @param {any} task As the API tells it.
 * @returns {string} what is told beside its state; see remark_of in _graph.py
 */
function remarkOf(task) {
  if (task.status === "FAILED" && typeof task.exit_code === "number") {
    return `exit ${task.exit_code}`;
  }
  return task.status === "RUNNING" && task.attempts > 1 ? `attempt ${task.attempts}` : "";
}

/** What is known of each step. */
export class StepStates {
  constructor() {
    /** @type {Map<string, StepState>} */
    this.known = new Map();
  }

  /**
   * @param {string} name
   * @param {string} state
   * @param {string} remark
   */
  set(name, state, remark) {
    this.known.set(name, { state, remark });
  }

  /**
   * Take what an event tells of a task.
   *
   * @param {any} task
   * @returns {boolean} whether it is another state than before
   */
  take(task) {
    const remark = remarkOf(task);
    const before = this.known.get(task.name);
    if (before?.state === task.status && before.remark === remark) return false;
    this.set(task.name, task.status, remark);
    return true;
  }

  /**
   * @param {string} name
   * @returns {StepState}
   */
  of(name) {
    return this.known.get(name) ?? { state: "PENDING", remark: "" };
  }

  /**
   * @param {string[]} names
   * @returns {StepState} the worst of several, and how many have it
   */
  worst(names) {
    const states = names.map((name) => this.of(name).state);
    const state = states.reduce((a, b) => (WORSE.indexOf(b) > WORSE.indexOf(a) ? b : a));
    const count = states.filter((each) => each === state).length;
    return { state, remark: `${count} of ${names.length}` };
  }
}
