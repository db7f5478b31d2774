// @ts-check
// Keys while the log has the focus. No others: a single letter means something in a field.

/** @typedef {import("./slip-log.js").SlipLog} SlipLog */

/** @param {SlipLog} log */
export function listen(log) {
  const scroller = log.part("scroller");
  const help = /** @type {HTMLDialogElement} */ (log.part("keys"));
  /** @type {Record<string, () => void>} */
  const actions = {
    "/": () => log.finder?.focus(),
    n: () => void log.finder?.error("next"),
    p: () => void log.finder?.error("previous"),
    g: () => log.toStart(),
    G: () => log.toEnd(),
    w: () => log.part("wrap").click(),
    t: () => log.looks?.nextTime(),
    c: () => void log.picked?.copy(),
    Home: () => log.toStart(),
    End: () => log.toEnd(),
    PageUp: () => log.page(-0.9),
    PageDown: () => log.page(0.9),
    Escape: () => log.picked?.set(null),
    "?": () => help.showModal(),
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "f") log.hintOnce();
      return;
    }
    const action = actions[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
  log.part("help").addEventListener("click", () => help.showModal());
}
