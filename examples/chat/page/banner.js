import { announce, byId } from "./elements.js";

/** An ordinary first connection is over before anybody should read about it. */
const FIRST_CONNECTION_PATIENCE = 1_500;

export class Banner {
  #banner = byId("banner");
  #text = byId("banner-text");
  #retry = byId("retry-now");
  #timer = 0;
  #wasLost = false;

  constructor(onRetry) {
    this.#retry.addEventListener("click", onRetry);
  }

  draw(state) {
    clearTimeout(this.#timer);
    if (state.phase === "waiting") {
      // The countdown changes every second; a live region would read each of them out.
      if (!this.#wasLost) announce("Disconnected. Reconnecting.");
      this.#wasLost = true;
      this.#count(state);
    } else if (state.phase === "ended") {
      announce("Disconnected.");
      this.#wasLost = true;
      this.#show(state.reason ? `Disconnected: ${state.reason}.` : "Disconnected.", false);
    } else if (state.phase === "connecting") {
      if (this.#wasLost) this.#show("Reconnecting…", true);
      else this.#timer = setTimeout(() => this.#show("Connecting…", true), FIRST_CONNECTION_PATIENCE);
    } else {
      if (this.#wasLost && state.phase === "open") announce("Connected again.");
      this.#wasLost = false;
      this.#banner.hidden = true;
    }
  }

  #count(state) {
    const seconds = Math.ceil((state.retryAt - Date.now()) / 1000);
    const how = state.reconnecting ? "Disconnected. Reconnecting" : "Cannot connect. Trying again";
    this.#show(seconds > 0 ? `${how} in ${seconds} s…` : `${how}…`, false);
    if (seconds > 0) this.#timer = setTimeout(() => this.#count(state), 250);
  }

  #show(text, isTrying) {
    this.#banner.hidden = false;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    // aria-disabled and not disabled: a disabled button would drop the keyboard's focus.
    this.#retry.setAttribute("aria-disabled", String(isTrying));
  }
}
