// @ts-check
// <slip-pairs>: rows of names and values, and always an empty one at the end.

const MOST = 100;

class SlipPairs extends HTMLElement {
  connectedCallback() {
    this.addEventListener("input", () => this._grow());
  }

  _grow() {
    const fields = [...this.querySelectorAll("input")];
    const count = fields.length / 2;
    if (count >= MOST || fields.slice(-2).every((field) => field.value === "")) return;
    for (const [index, word] of ["Name", "Value"].entries()) {
      const made = /** @type {HTMLInputElement} */ (fields[index].cloneNode());
      made.value = "";
      made.removeAttribute("value");
      made.removeAttribute("aria-invalid");
      made.setAttribute("aria-label", `${word} ${count + 1}`);
      this.append(made);
    }
  }
}

customElements.define("slip-pairs", SlipPairs);
