import { byId } from "./elements.js";

export const MESSAGE_LIMIT = 2000;
const COUNTER_FROM = 1800;
const TYPING_EVERY = 2_000;
const TYPING_IDLE = 3_000;
const TALLEST = 168;

export class Composer {
  #form = byId("composer");
  #text = byId("composer-text");
  #counter = byId("composer-counter");
  #send = byId("send");
  #onSend;
  #onTyping;
  #isTyping = false;
  #toldAt = 0;
  #idleTimer = 0;

  constructor({ onSend, onTyping }) {
    this.#onSend = onSend;
    this.#onTyping = onTyping;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => {
      this.#draw();
      this.#noteTyping();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter picks a candidate.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#submit();
    });
    // A tap on the button would otherwise take the focus and fold the keyboard away after every message.
    this.#send.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  get text() {
    return this.#text.value;
  }

  open(roomName, draft) {
    this.stopTyping();
    this.#text.disabled = false;
    this.#text.placeholder = `Message ${roomName}`;
    this.#text.value = draft;
    this.#draw();
  }

  close() {
    this.#isTyping = false;
    clearTimeout(this.#idleTimer);
    this.#text.value = "";
    this.#text.placeholder = "";
    this.#text.disabled = true;
    this.#draw();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  stopTyping() {
    clearTimeout(this.#idleTimer);
    if (!this.#isTyping) return;
    this.#isTyping = false;
    this.#onTyping(false);
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!this.#isSendable(text)) return;
    this.#text.value = "";
    this.#draw();
    this.stopTyping();
    this.#onSend(text);
  }

  #isSendable(text) {
    return text.length > 0 && lengthOf(text) <= MESSAGE_LIMIT && !this.#text.disabled;
  }

  #noteTyping() {
    if (!this.#text.value.trim()) {
      this.stopTyping();
      return;
    }
    const now = Date.now();
    if (now - this.#toldAt >= TYPING_EVERY) {
      this.#toldAt = now;
      this.#isTyping = true;
      this.#onTyping(true);
    }
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => this.stopTyping(), TYPING_IDLE);
  }

  #draw() {
    const text = this.#text.value.trim();
    const length = lengthOf(text);
    this.#send.disabled = !this.#isSendable(text);
    this.#counter.hidden = length < COUNTER_FROM;
    this.#counter.textContent = length > MESSAGE_LIMIT ? `${length - MESSAGE_LIMIT} too many` : `${MESSAGE_LIMIT - length} left`;
    this.#counter.classList.toggle("over", length > MESSAGE_LIMIT);
    this.#text.setAttribute("aria-invalid", String(length > MESSAGE_LIMIT));
    this.#fit();
  }

  /** The form is held still while its text is measured: shrinking even for a moment would scroll the messages. */
  #fit() {
    this.#form.style.height = `${this.#form.offsetHeight}px`;
    this.#text.style.height = "auto";
    const height = Math.min(this.#text.scrollHeight, TALLEST);
    this.#text.style.height = `${height}px`;
    this.#form.style.height = "";
  }
}

/** Code points, as the server counts; String.length would count an emoji twice. */
function lengthOf(text) {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}
