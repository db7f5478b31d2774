// @ts-check
// Much to draw, a part of it in each frame: so a slow phone answers meanwhile.

/**
 * @template T
 */
export class Slices {
  /**
   * @param {number} size how many things are drawn in a frame
   * @param {(thing: T) => void} draw
   */
  constructor(size, draw) {
    this.size = size;
    this.draw = draw;
    /** @type {Set<T>} what is to be drawn, the oldest first */
    this.waiting = new Set();
    this.frame = 0;
  }

  /**
   * Draw things with the frames that come; what waits already is drawn once.
   *
   * @param {Iterable<T>} things
   */
  add(things) {
    for (const thing of things) this.waiting.add(thing);
    if (this.frame === 0 && this.waiting.size > 0) this.plan();
  }

  /** Draw nothing any more. */
  end() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.waiting.clear();
  }

  plan() {
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      let left = this.size;
      for (const thing of this.waiting) {
        this.waiting.delete(thing);
        this.draw(thing);
        left -= 1;
        if (left === 0) break;
      }
      if (this.waiting.size > 0) this.plan();
    });
  }
}
