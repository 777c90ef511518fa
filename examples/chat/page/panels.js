import { byId } from "./elements.js";

const scrim = byId("scrim");

/**
 * A side panel that, below the width where it fits beside the conversation, slides over it.
 * Open over it, it takes the focus and makes the rest inert; Escape and the scrim close it.
 */
export class Panel {
  #panel;
  #opener;
  #others;
  #narrow;
  #focusTarget;

  constructor({ panel, opener, closer, others, narrow, focusTarget }) {
    this.#panel = panel;
    this.#opener = opener;
    this.#others = others;
    this.#narrow = matchMedia(narrow);
    this.#focusTarget = focusTarget;
    opener.addEventListener("click", () => this.toggle());
    closer.addEventListener("click", () => this.close());
    scrim.addEventListener("click", () => this.close());
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    this.#narrow.addEventListener("change", () => this.#settle());
    this.#settle();
  }

  get isOverlay() {
    return this.#narrow.matches;
  }

  get isOpen() {
    return this.#panel.classList.contains("open");
  }

  toggle() {
    if (this.isOverlay) {
      if (this.isOpen) this.close();
      else this.open();
    } else {
      const isFolded = this.#panel.classList.toggle("folded");
      this.#opener.setAttribute("aria-expanded", String(!isFolded));
    }
  }

  open() {
    if (!this.isOverlay || this.isOpen) return;
    this.#panel.classList.add("open");
    scrim.classList.add("open");
    for (const other of this.#others) other.inert = true;
    this.#opener.setAttribute("aria-expanded", "true");
    this.#focusTarget()?.focus({ preventScroll: true });
  }

  close({ returnFocus = true } = {}) {
    if (!this.isOpen) return;
    this.#shut();
    if (returnFocus) this.#opener.focus({ preventScroll: true });
  }

  #shut() {
    this.#panel.classList.remove("open");
    scrim.classList.remove("open");
    for (const other of this.#others) other.inert = false;
    this.#opener.setAttribute("aria-expanded", "false");
  }

  #settle() {
    this.#shut();
    if (!this.isOverlay) this.#opener.setAttribute("aria-expanded", String(!this.#panel.classList.contains("folded")));
  }
}
