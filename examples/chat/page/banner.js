import { announce, byId } from "./elements.js";

/** An ordinary first connection, and an ordinary blip, are over before anybody should read about them. */
const PATIENCE = 1_500;
const SERVICE_AWAY = 1013;

/** What stands between the user and the others: it lies over the conversation, and moves nothing. */
export class Banner {
  #banner = byId("banner");
  #text = byId("banner-text");
  #retry = byId("retry-now");
  #timer = 0;
  #change = { state: "idle" };
  #away = false;
  #lostAt = 0;
  #wasOpen = false;
  #announced = "";

  constructor(onRetry) {
    this.#retry.addEventListener("click", onRetry);
  }

  /** The client's state is another one. */
  draw(change) {
    const wasOpen = this.#change.state === "open";
    this.#change = change;
    if (change.state === "open") this.#wasOpen = true;
    if (change.state === "idle") this.#wasOpen = this.#away = false;
    if (wasOpen || this.#lostAt === 0) this.#lostAt = Date.now();
    this.#paint();
  }

  /** Whether the service behind the gateway answers. */
  setAway(isAway) {
    if (this.#away === isAway) return;
    this.#away = isAway;
    this.#paint();
  }

  #paint() {
    clearTimeout(this.#timer);
    const { state } = this.#change;
    if (state === "idle") return this.#hide();
    if (state === "open") {
      this.#lostAt = 0;
      if (this.#away) return this.#show("The chat is being restarted. Your messages wait.", null);
      return this.#hide();
    }
    if (state === "closed") return this.#show(this.#reason(), "Connect");
    const patience = this.#lostAt + PATIENCE - Date.now();
    if (patience > 0) {
      this.#timer = setTimeout(() => this.#paint(), patience);
      return undefined;
    }
    const seconds = Math.ceil(((this.#change.retryAt ?? 0) - Date.now()) / 1000);
    this.#show(`${this.#what()} ${state === "waiting" && seconds > 0 ? `in ${seconds} s…` : "now…"}`, "Retry now");
    this.#retry.setAttribute("aria-disabled", String(state === "connecting"));
    if (state === "waiting") this.#timer = setTimeout(() => this.#paint(), 250);
    return undefined;
  }

  #what() {
    if (this.#change.code === SERVICE_AWAY) return "The chat is being restarted. Trying again";
    return this.#wasOpen ? "Disconnected. Your messages wait. Reconnecting" : "Cannot connect. Trying again";
  }

  #reason() {
    const { reason } = this.#change;
    return reason ? `Disconnected: ${reason.replace(/\.$/, "")}.` : "Disconnected.";
  }

  #hide() {
    if (!this.#banner.hidden && this.#change.state === "open") this.#say("Connected again.");
    this.#banner.hidden = true;
    this.#announced = "";
  }

  #show(text, action) {
    this.#banner.hidden = false;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#retry.hidden = action === null;
    if (action !== null) this.#retry.textContent = action;
    // The countdown changes every second; a live region would read each of them out.
    this.#say(text.split(" in ")[0].replace(/ now…$/, ""));
  }

  #say(text) {
    if (this.#announced !== text) announce(text);
    this.#announced = text;
  }
}
