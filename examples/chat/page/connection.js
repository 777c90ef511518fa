import { isTokenRefused } from "./session.js";

const REQUEST_TIMEOUT = 10_000;
const CONNECT_TIMEOUT = 10_000;
const PROBE_TIMEOUT = 4_000;
const BACKOFF_BASE = 500;
const BACKOFF_CEILING = 15_000;
const STABLE_AFTER = 5_000;
// After these a client comes back by itself (docs/protocol.md#closing); after the others it would only be sent away again.
const RECONNECT_CODES = new Set([1001, 1006, 1011, 1012, 1013, 4408, 4410]);
const REFUSED_CODES = new Set([4401, 4403]);

export class RequestError extends Error {
  /** `answered` is false when it is unknown whether the server handled the request. */
  constructor({ code, type, message, details, retryAfterMs }, { sent = true, answered = true } = {}) {
    super(message || code || "The request failed.");
    Object.assign(this, { code, type, details, retryAfterMs, sent, answered });
  }
}

/**
 * One WebSocket at a time, replaced whenever it is lost.
 *
 * `onState` gets {phase, retryAt?, reason?, reconnecting}: "connecting", "open", "waiting", "ended" (until somebody
 * wants to try again), "refused" or "stopped".
 * `session` has the token, and gets others; `probe` is a cheap request to test a silent socket.
 */
export class Connection {
  #address;
  #onState;
  #onEvent;
  #session;
  #probe;
  #socket = null;
  #requests = new Map();
  #nextId = 1;
  #attempts = 0;
  #failures = 0;
  #everOpen = false;
  #retryTimer = 0;
  #connectTimer = 0;
  #stableTimer = 0;
  #closingDelay = null;
  #probing = false;
  #stopped = false;
  #listeners = new AbortController();
  state = { phase: "stopped", reconnecting: false };

  constructor({ address, onState, onEvent, session, probe }) {
    this.#address = address;
    this.#onState = onState;
    this.#onEvent = onEvent;
    this.#session = session;
    this.#probe = probe;
  }

  start() {
    const { signal } = this.#listeners;
    addEventListener("online", () => this.#wake({ urgent: true }), { signal });
    addEventListener("offline", () => this.#check(), { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#wake({ urgent: false });
    }, { signal });
    this.#open();
  }

  stop(phase = "stopped") {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#listeners.abort();
    this.#clearTimers();
    this.#abandonSocket();
    this.#rejectAll();
    this.#setState({ phase });
  }

  get isOpen() {
    return this.state.phase === "open";
  }

  retryNow() {
    if (this.state.phase === "waiting" || this.state.phase === "ended") this.#open();
  }

  request(type, data = {}, { timeout = REQUEST_TIMEOUT, suspicious = true } = {}) {
    if (!this.isOpen) {
      return Promise.reject(new RequestError(
        { code: "DISCONNECTED", message: "You are not connected." }, { sent: false, answered: false }));
    }
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new RequestError({ code: "TIMEOUT", message: "The server did not answer." }, { answered: false }));
        if (suspicious) this.#check();
      }, timeout);
      this.#requests.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, data, id }));
    });
  }

  async #open() {
    clearTimeout(this.#retryTimer);
    this.#closingDelay = null;
    this.#setState({ phase: "connecting" });
    try {
      if (!(await this.#session.refresh())) {
        this.stop("refused");
        return;
      }
    } catch {
      this.#lose();
      return;
    }
    if (this.#stopped) return;
    // With a subprotocol the gateway tells who is there, and when the token ends.
    const socket = new WebSocket(this.#address, ["linkd.v1+json", `linkd.bearer.${this.#session.token}`]);
    this.#socket = socket;
    this.#connectTimer = setTimeout(() => this.#lose(), CONNECT_TIMEOUT);
    socket.onopen = () => {
      clearTimeout(this.#connectTimer);
      this.#everOpen = true;
      this.#failures = 0;
      // A server that accepts and closes at once must still be met with growing delays.
      this.#stableTimer = setTimeout(() => { this.#attempts = 0; }, STABLE_AFTER);
      this.#setState({ phase: "open" });
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => {
      if (REFUSED_CODES.has(event.code)) {
        this.#session.doubt();
        this.#lose();
      } else if (RECONNECT_CODES.has(event.code)) this.#lose();
      else this.#end(event.reason);
    };
  }

  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame === null || typeof frame !== "object") return;
    if (frame.type === "response" || frame.type === "error") this.#settle(frame);
    else if (frame.type === "linkd.closing") this.#closingDelay = Number(frame.data?.retryAfterMs) || 0;
    else if (frame.type === "linkd.auth.expiring") this.#renew();
    else this.#onEvent(frame.type, frame.data ?? {});
  }

  #settle(frame) {
    const request = this.#requests.get(String(frame.id));
    if (!request) return;
    this.#requests.delete(String(frame.id));
    clearTimeout(request.timer);
    if (frame.type === "response") request.resolve(frame.data ?? {});
    else request.reject(new RequestError(frame.error ?? {}));
  }

  #lose() {
    const wasOpen = this.isOpen;
    this.#clearTimers();
    this.#abandonSocket();
    if (!wasOpen) this.#failures += 1;
    const ceiling = Math.min(BACKOFF_CEILING, BACKOFF_BASE * 2 ** this.#attempts);
    this.#attempts += 1;
    const delay = Math.max(Math.random() * ceiling, (this.#closingDelay ?? 0) + Math.random() * BACKOFF_BASE);
    this.#setState({ phase: "waiting", retryAt: Date.now() + delay });
    this.#rejectAll();
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    if (this.#failures > 0 && this.#failures % 2 === 0) this.#askWhetherRefused();
  }

  #end(reason) {
    this.#clearTimers();
    this.#abandonSocket();
    this.#setState({ phase: "ended", reason });
    this.#rejectAll();
  }

  async #askWhetherRefused() {
    if (await isTokenRefused(this.#session.token)) this.#session.doubt();
  }

  /** What fails here shows when the token has ended, and the gateway closes the connection. */
  async #renew() {
    try {
      if (await this.#session.refresh({ force: true })) await this.request("linkd.auth", { token: this.#session.token });
    } catch (error) {
      console.info("The token was not renewed:", error.message);
    }
  }

  /** `urgent` may cut short even a delay the server asked for; coming back to a tab may not. */
  #wake({ urgent }) {
    if (this.state.phase === "waiting") {
      if (urgent || this.#closingDelay === null) this.#open();
    } else {
      this.#check();
    }
  }

  /** A dead network closes no socket by itself, so a doubtful one has to answer or go. */
  async #check() {
    if (!this.isOpen || this.#probing) return;
    this.#probing = true;
    const socket = this.#socket;
    try {
      await this.#probe({ timeout: PROBE_TIMEOUT, suspicious: false });
    } catch (error) {
      if (error.code === "TIMEOUT" && socket === this.#socket) this.#lose();
    } finally {
      this.#probing = false;
    }
  }

  #abandonSocket() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #rejectAll() {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject, timer } of requests) {
      clearTimeout(timer);
      reject(new RequestError(
        { code: "DISCONNECTED", message: "The connection was lost." }, { answered: false }));
    }
  }

  #clearTimers() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#stableTimer);
  }

  #setState(state) {
    this.state = { ...state, reconnecting: this.#everOpen };
    this.#onState(this.state);
  }
}
