// @ts-check
// A list of any length in a scroller: few rows, anchored by line.
//
// No browser scrolls a million wrapped rows by their heights: Chromium ends at 33,554,428 px,
// Firefox sooner. So what is kept is the line at the upper edge, and how many pixels into it. A
// scroll of less than three screens moves that by as many pixels over rows as high as they are; a
// longer one (the thumb is dragged) leads to a share of the list. Rows are moved by a transform,
// and the scroller's own place is put right when it rests: to write it meanwhile ends the momentum
// of a finger.

const TALLEST = 8_000_000;
const MOST_ROWS = 280;
const ROWS_A_FRAME = 60;
const FRAME_MS = 6; // of making rows; to lay them out takes as long again
const REST_MS = 150;

/**
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {number} height
 * @property {boolean} filled
 *
 * @typedef {object} Source
 * @property {(place: number) => HTMLElement | null} make a row; null where it is not known yet
 * @property {(place: number) => boolean} isKnown whether it is by now
 * @property {() => HTMLElement} makeBlank one that stands for it meanwhile
 * @property {(place: number) => number} linesOf how many lines it will take, about
 * @property {(first: number, last: number) => void} want what is, or soon will be, looked at
 * @property {() => void} onShow after each frame
 * @property {(upwards: boolean, atEnd: boolean) => void} onScroll after the reader scrolled
 */

export class View {
  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} spacer within it, as high as the list
   * @param {HTMLElement} list within that
   * @param {Source} source
   */
  constructor(scroller, spacer, list, source) {
    this._scroller = scroller;
    this._spacer = spacer;
    this._list = list;
    this._source = source;
    /** @type {Row[]} */
    this._rows = [];
    this._first = 0;
    this._line = 0;
    this._offset = 0;
    this._top = 0;
    this._height = 0;
    this._width = 0;
    this._widest = 0;
    this._lineHeight = 20;
    this._average = 20;
    this._planned = false;
    this._sizesAt = 0;
    this._until = 0;
    this._stuck = false;
    /** @type {{line: number, share: number} | null} where to, while not all on the way is known */
    this._goal = null;
    this.total = 0;
    /** Rows are never wider than the scroller. */
    this.wraps = true;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._resting = undefined;
    scroller.addEventListener("scroll", () => this._onScroll(), { passive: true });
    new ResizeObserver(() => this._onResize()).observe(scroller);
    this._onResize();
  }

  /** @returns {boolean} whether the end is shown, and stays so while the list grows */
  get stuck() {
    return this._stuck;
  }

  /** @returns {number} place of the line at the upper edge */
  get line() {
    return this._line;
  }

  /** @returns {number} how many rows the document holds */
  get rows() {
    return this._rows.length;
  }

  /** @param {number} total how many entries the list has by now */
  setTotal(total) {
    if (total === this.total) return;
    this.total = total;
    if (this._first + this._rows.length > total) this._clear();
    this._plan();
    this._resting ??= setTimeout(() => this._rest(), REST_MS);
  }

  /** All rows are other ones; the line at the upper edge stays. */
  rebuild() {
    this._clear();
    this._widest = 0;
    this._spacer.style.minWidth = "";
    this._plan();
  }

  /** Some rows that were not known may be by now. */
  refresh() {
    this._plan();
  }

  /**
   * Go to a line.
   *
   * @param {number} line its place in the list
   * @param {number} [share] where it is to stand: 0 at the upper edge, 0.5 in the middle
   */
  goTo(line, share = 0) {
    this._stuck = false;
    this._goal = { line: Math.max(0, Math.min(line, this.total - 1)), share };
    this._now();
  }

  /** Stand where one is to go to, by the heights that are known now. */
  _aim() {
    if (this._goal === null) return;
    this._line = Math.min(this._goal.line, this.total - 1);
    this._offset = 0;
    this._moveBy(-Math.round(this._goal.share * this._height));
  }

  /** All is known between the upper edge and where one went to. */
  _arrive() {
    if (this._goal === null) return;
    for (let place = this._line; place <= this._goal.line; place += 1) {
      if (!this._rows[place - this._first]?.filled) return;
    }
    this._goal = null;
  }

  /** Go to the end, and stay there. */
  goToEnd() {
    this._goal = null;
    this._stuck = true;
    this._now();
  }

  /** Stay where one is. */
  letGo() {
    this._goal = null;
    this._stuck = false;
  }

  /** @returns {boolean} whether a place is seen as a whole */
  isSeen(/** @type {number} */ place) {
    if (this._goal !== null || !this._rows[place - this._first]?.filled) return false;
    const y = this._yOf(place);
    return y >= 0 && y + this._heightOf(place) <= this._height;
  }

  _now() {
    this._render();
    this._sync();
  }

  _plan() {
    if (this._planned) return;
    this._planned = true;
    requestAnimationFrame(() => {
      this._planned = false;
      this._render();
    });
  }

  _onScroll() {
    const top = this._scroller.scrollTop;
    const delta = top - this._top;
    if (delta === 0) return;
    this._top = top;
    this._goal = null;
    this._stuck = false;
    if (Math.abs(delta) < 3 * this._height) {
      this._moveBy(delta);
    } else if (top >= this._highest() - 1) {
      this._goal = { line: this.total - 1, share: 0 }; // it then stands at the lower edge
    } else {
      this._jump(top / this._highest());
    }
    this._render();
    const atEnd = this._isAtEnd();
    const atEdge = top <= 0 || top >= this._highest() - 1;
    if (atEdge && !(top <= 0 ? this._isAtStart() : atEnd)) this._sync();
    this._source.onScroll(delta < 0, atEnd);
    this._restSoon();
  }

  _onResize() {
    const { clientHeight, clientWidth } = this._scroller;
    if (clientHeight === this._height && clientWidth === this._width) return;
    const wider = clientWidth !== this._width;
    this._height = clientHeight;
    this._width = clientWidth;
    const size = parseFloat(getComputedStyle(this._list).lineHeight);
    if (size > 0) this._lineHeight = size;
    if (wider) this._measure(this._rows);
    this._plan();
    this._restSoon();
  }

  _restSoon() {
    clearTimeout(this._resting);
    this._resting = setTimeout(() => this._rest(), REST_MS);
  }

  _rest() {
    this._resting = undefined;
    if (this._scroller.scrollTop !== this._top) { // its event is still to come: do not undo it
      this._onScroll();
      return;
    }
    this._sync();
    this._tellSizes();
  }

  /** Put the scroller's own place right: the thumb stands where the line is in the list. */
  _sync() {
    const tall = Math.min(TALLEST, Math.max(this._height, Math.round(this.total * this._average)));
    const fits = this._isAtStart() && this._isAtEnd();
    this._spacer.style.height = `${fits ? this._height : Math.max(tall, this._height + 1)}px`;
    const wanted = this._stuck ? this._highest() : Math.round(this._share() * this._highest());
    if (Math.abs(this._scroller.scrollTop - wanted) > 0.5) this._scroller.scrollTop = wanted;
    this._top = this._scroller.scrollTop;
    this._place();
  }

  /** @returns {number} the largest scroll offset */
  _highest() {
    return Math.max(0, this._spacer.offsetHeight - this._height);
  }

  _isAtStart() {
    return this._line === 0 && this._offset <= 0;
  }

  _isAtEnd() {
    if (this._first + this._rows.length < this.total) return false;
    return this._yOf(this.total) <= this._height + 2;
  }

  /** @returns {number} how far through the list the upper edge is, of as far as it gets */
  _share() {
    const end = this._endLine();
    if (end <= 0) return 0;
    return Math.min(1, (this._line + this._offset / this._heightOf(this._line)) / end);
  }

  /** @returns {number} the line at the upper edge, with its part, where the end is seen */
  _endLine() {
    let line = this.total;
    let left = this._height;
    while (line > 0 && left > 0) {
      line -= 1;
      left -= this._heightOf(line);
    }
    return left < 0 ? line + -left / this._heightOf(line) : line;
  }

  /** @param {number} share of the list */
  _jump(share) {
    const place = Math.max(0, Math.min(1, share)) * this._endLine();
    this._line = Math.min(Math.floor(place), Math.max(0, this.total - 1));
    this._offset = (place - this._line) * this._heightOf(this._line);
  }

  /** @param {number} pixels by which the upper edge moves down */
  _moveBy(pixels) {
    this._offset += pixels;
    while (this._offset < 0 && this._line > 0) {
      this._line -= 1;
      this._offset += this._heightOf(this._line);
    }
    while (this._line < this.total - 1 && this._offset >= this._heightOf(this._line)) {
      this._offset -= this._heightOf(this._line);
      this._line += 1;
    }
    if (this._offset < 0) this._offset = 0;
  }

  /** @param {number} place */
  _heightOf(place) {
    const row = this._rows[place - this._first];
    return row === undefined ? this._guess(place) : row.height;
  }

  /** @param {number} place */
  _guess(place) {
    return this._source.linesOf(place) * this._lineHeight || this._average;
  }

  /**
   * @param {number} place
   * @returns {number} pixels from the upper edge to the beginning of a row
   */
  _yOf(place) {
    let y = -this._offset;
    for (let i = this._line; i < place; i += 1) y += this._heightOf(i);
    for (let i = place; i < this._line; i += 1) y -= this._heightOf(i);
    return y;
  }

  _clear() {
    this._list.replaceChildren();
    this._rows = [];
    this._first = this._line;
  }

  _render() {
    if (this.total === 0 || this._height === 0) {
      this._clear();
      return;
    }
    if (this._stuck) {
      this._line = this.total - 1;
      this._offset = 0;
    }
    this._line = Math.min(this._line, this.total - 1);
    this._aim();
    this._keepEnd();
    const [first, last] = this._range();
    this._source.want(first, last);
    this._trim(first, last);
    this._dropBlanks();
    this._until = performance.now() + FRAME_MS;
    const left = this._extend(first, last, ROWS_A_FRAME);
    this._moveBy(0);
    this._aim();
    this._keepEnd();
    this._arrive();
    if (this._stuck) {
      const highest = this._highest();
      if (this._scroller.scrollTop !== highest) this._scroller.scrollTop = highest;
      this._top = this._scroller.scrollTop;
    }
    this._place();
    this._source.onShow();
    if (left > 0 ? this._hasGap() : this._isShort(first, last)) this._plan();
  }

  /** @returns {boolean} whether the rows do not reach the lower edge: they were guessed higher */
  _hasGap() {
    const end = this._first + this._rows.length;
    return end < this.total && this._yOf(end) < this._height;
  }

  /** @returns {[number, number]} the rows that are to be there */
  _range() {
    const beyond = Math.max(this._height, 400);
    let first = this._line;
    let y = -this._offset;
    while (first > 0 && y > -beyond && this._line - first < MOST_ROWS / 3) {
      first -= 1;
      y -= this._heightOf(first);
    }
    let last = this._line;
    y = -this._offset;
    while (last < this.total && y < this._height + beyond && last - first < MOST_ROWS) {
      y += this._heightOf(last);
      last += 1;
    }
    return [first, last];
  }

  /**
   * Take away the rows that are not to be there any more.
   *
   * @param {number} first
   * @param {number} last
   */
  _trim(first, last) {
    const end = this._first + this._rows.length;
    if (end <= this._line || this._first > this._line || this._rows.length === 0) {
      this._clear();
      return;
    }
    for (let place = this._first; place < first; place += 1) {
      this._rows[place - this._first].element.remove();
    }
    for (let place = Math.max(last, this._first); place < end; place += 1) {
      this._rows[place - this._first].element.remove();
    }
    const from = Math.max(first, this._first);
    this._rows = this._rows.slice(from - this._first, Math.min(last, end) - this._first);
    this._first = from;
  }

  /**
   * Add rows: first what is seen, then what is above it, then what is below.
   *
   * @param {number} first
   * @param {number} last
   * @param {number} budget how many
   * @returns {number} how many more may be made in this frame
   */
  _extend(first, last, budget) {
    let seen = this._line;
    for (let y = -this._offset; seen < last && y < this._height; seen += 1) y += this._guess(seen);
    budget = this._append(seen, budget);
    const above = Math.min(budget, this._first - first);
    if (above > 0) {
      /** @type {Row[]} */
      const made = [];
      for (let place = this._first - 1; made.length < above; place -= 1) {
        if (this._isLate(made.length)) {
          budget = made.length;
          break;
        }
        made.unshift(this._make(place));
      }
      this._list.prepend(...made.map((row) => row.element));
      this._measure(made);
      this._rows.unshift(...made);
      this._first -= made.length;
      budget -= made.length;
    }
    return this._append(last, budget);
  }

  /**
   * @param {number} made how many rows were made at once
   * @returns {boolean} whether the frame has taken long enough: a slow device makes fewer in each
   */
  _isLate(made) {
    return made % 4 === 0 && made > 0 && performance.now() > this._until;
  }

  /**
   * @param {number} last
   * @param {number} budget
   * @returns {number}
   */
  _append(last, budget) {
    const from = this._first + this._rows.length;
    /** @type {Row[]} */
    const made = [];
    for (let place = from; place < last && made.length < budget; place += 1) {
      if (this._isLate(made.length)) {
        budget = made.length;
        break;
      }
      made.push(this._make(place));
    }
    this._list.append(...made.map((row) => row.element));
    this._measure(made);
    this._rows.push(...made);
    return budget - made.length;
  }

  /**
   * Take away blank rows once something is known of them. Rows in their place are new ones: to fill
   * those would move the ones below, which looks like a shift to the reader and to the browser.
   */
  _dropBlanks() {
    const places = this._rows.map((_, i) => this._first + i);
    if (!places.some((place, i) => !this._rows[i].filled && this._source.isKnown(place))) return;
    const kept = this._firstFilled();
    if (kept < 0) {
      this._clear();
      return;
    }
    const y = this._yOf(kept);
    while (!this._rows[0].filled) {
      this._rows.shift()?.element.remove();
      this._first += 1;
    }
    while (!this._rows[this._rows.length - 1].filled) this._rows.pop()?.element.remove();
    if (this._line < this._first) {
      this._line = kept;
      this._offset = -y;
    }
  }

  /** @returns {number} place of the first row that is seen and known; -1 for none */
  _firstFilled() {
    let y = -this._offset;
    for (let i = this._line - this._first; i < this._rows.length && y < this._height; i += 1) {
      if (this._rows[i].filled) return this._first + i;
      y += this._rows[i].height;
    }
    return -1;
  }

  /** @param {number} place */
  _make(place) {
    const element = this._source.make(place);
    const shown = element ?? this._source.makeBlank();
    this._number(shown, place);
    return { element: shown, height: this._average, filled: element !== null };
  }

  /**
   * @param {HTMLElement} element
   * @param {number} place
   */
  _number(element, place) {
    element.setAttribute("aria-setsize", String(this.total));
    element.setAttribute("aria-posinset", String(place + 1));
  }

  /** @param {Row[]} rows whose heights are read, at once */
  _measure(rows) {
    if (rows.length === 0) return;
    let sum = 0;
    for (const row of rows) {
      row.height = row.element.offsetHeight || this._lineHeight;
      sum += row.height;
    }
    const weight = Math.min(0.5, rows.length / 200);
    this._average += (sum / rows.length - this._average) * weight;
    const wide = this.wraps ? 0 : this._list.scrollWidth;
    if (wide > this._widest && wide > this._width) {
      this._widest = wide; // it never shrinks: to jump to the left while scrolling is a nuisance
      this._spacer.style.minWidth = `${wide}px`;
    }
  }

  /** Where the end is reached, it stands at the lower edge. */
  _keepEnd() {
    for (let turn = 0; turn < 3; turn += 1) {
      let y = -this._offset;
      let place = this._line;
      while (place < this.total && y < this._height) {
        y += this._heightOf(place);
        place += 1;
      }
      const short = this._height - y;
      if (place < this.total || short <= 0 || this._isAtStart()) return;
      this._moveBy(-short);
    }
  }

  /**
   * @param {number} first
   * @param {number} last
   * @returns {boolean} whether there are not all rows yet
   */
  _isShort(first, last) {
    if (this._first > first || this._first + this._rows.length < last) return true;
    return this._rows.some((row) => !row.filled);
  }

  _place() {
    const y = Math.round(this._top + this._yOf(this._first));
    this._list.style.transform = `translateY(${y}px)`;
  }

  /** Rows say of how many they are; not at each line that comes. */
  _tellSizes() {
    if (this._sizesAt === this.total) return;
    this._sizesAt = this.total;
    for (const row of this._rows) row.element.setAttribute("aria-setsize", String(this.total));
  }
}
