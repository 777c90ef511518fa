/** A client: it connects, comes back after each break, and goes on with its session. `protocol.ts` knows what to send. */
import { backoff } from "./backoff.js";
import { ABNORMAL, comesBack, GIVEN_UP, NORMAL, UNAUTHORIZED } from "./close.js";
import { createEmitter } from "./emitter.js";
import { ConnectionLost, LinkdError, Timeout } from "./errors.js";
import { createSession, type Message, type Outgoing, type Welcome } from "./protocol.js";
import type { AnyApi, Api, CallOptions, ClientOptions, Codec, CoreClient, Gap, LinkEvent, StateChange, Token, TokenReason, WebSocketLike } from "./types.js";

/** A connection that lasted so long was a good one; the next failure is the first. */
const STABLE = 10_000;
const STABLE_RESUMED = 2_000;
const WAKE_PAUSE = 2_000;
const HIDDEN_PAUSE = 60_000;
const TOKEN_PATIENCE = 30_000;

const JSON_CODEC: Codec = {
  subprotocol: "linkd.v1+json",
  encode: (message) => JSON.stringify(message),
  decode: (data) => JSON.parse(data as string),
};

/** What rooms and streams need of a client. */
export interface Extension {
  welcome?(welcome: Welcome): void;
  /** The session was lost: `welcome` of the next one follows. */
  gap?(): void;
  lost?(): void;
  /** A control message that is not the core's. */
  control?(message: Message): void;
  /** Whether an event may be handed over now. If not, the extension dispatches it later, or never. */
  admit?(event: Message): boolean;
  /** An event is handed over. Returns whether somebody took it. */
  emit?(event: LinkEvent): boolean;
}

export interface Core {
  readonly codec: Codec;
  readonly session: ReturnType<typeof createSession>;
  extension: Extension;
  dispatch(message: Message): void;
  report(error: unknown, source: string): void;
  gap(gap: Gap): void;
  flush(): void;
  request(type: string, data: unknown): Promise<any>;
  ask(message: Message & { stream?: boolean }, options?: CallOptions, written?: () => void): Promise<any>;
  /** The present connection, for chunks of streams. */
  socket(): WebSocketLike | undefined;
}

const cores = new WeakMap<object, Core>();

/** The parts behind a client. */
export function coreOf(client: object): Core {
  return cores.get(client)!;
}

export function createClient<A extends Api = AnyApi>(url: string, options: ClientOptions = {}): CoreClient<A> {
  const codec = options.codec ?? JSON_CODEC;
  const emitter = createEmitter(report);
  const own = createEmitter(report); // of the client's own events: state, gap
  const errors = createEmitter(reportGlobally);
  const answerers = new Map<string, (data: unknown, event: LinkEvent) => unknown>();
  let change: StateChange = { state: "idle" };
  let wanted = false;
  let holders = 0;
  let generation = 0; // of attempts and their connections: what belongs to an old one is not heard
  let sessions = 0;
  let socket: WebSocketLike | undefined;
  let token: Token;
  let tokenReason: TokenReason | undefined = "connect";
  let failures = 0;
  let attemptedAt = 0;
  let openedAt: number | undefined;
  let stableAfter = STABLE;
  let notBefore = 0;
  let wokenAt = -WAKE_PAUSE;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  let dueTimer: ReturnType<typeof setTimeout> | undefined;
  let attempt = new AbortController();
  let page = new AbortController();
  const now = () => performance.now();

  const session = createSession(
    codec,
    { messages: options.queue?.messages ?? 256, characters: options.queue?.characters ?? 262_144 },
    {
      welcome(welcome) {
        openedAt = now();
        stableAfter = welcome.resumed ? STABLE_RESUMED : STABLE;
        if (!welcome.resumed) sessions++;
        core.extension.welcome?.(welcome);
        set({ state: "open" });
      },
      event: (message) => {
        if (core.extension.admit?.(message) ?? true) dispatch(message);
      },
      control(message) {
        if (message.type === "linkd.auth.expiring") void renew();
        else core.extension.control?.(message);
      },
      gap(reason, events) {
        if (events === undefined) core.extension.gap?.();
        gap({ reason, events });
      },
      failed: (error) => report(error, "send"),
      closing(retryAfter) {
        notBefore = now() + retryAfter;
      },
      broken: (reason, fault) => lost(ABNORMAL, reason, fault ? NORMAL : GIVEN_UP),
    },
    Math.random,
  );

  const core: Core = { codec, session, extension: {}, dispatch, report, gap, flush, request, ask, socket: () => socket };
  const client: CoreClient<any> = {
    get state() {
      return change.state;
    },
    get pending() {
      return session.pending();
    },
    connect,
    close,
    retain,
    wake,
    call: (type: string, data?: unknown, options?: CallOptions) => ask({ type, data }, options),
    send,
    on: emitter.on,
    events: emitter.events,
    onRequest,
    onState,
    onGap: (handler) => own.on("gap", handler),
    onError: (handler) => errors.on("error", handler),
  };
  cores.set(client, core);
  return client;

  // the life of connections

  function connect(): void {
    if (wanted) return;
    address();
    if (!WebSocketClass()) throw new Error("no WebSocket here: pass a class as the option WebSocket");
    wanted = true;
    failures = notBefore = 0;
    tokenReason = "connect";
    watchPage();
    void dial();
  }

  function close(): void {
    if (session.waiting()) flush();
    finish("closed by this client", undefined, true);
  }

  function retain(): () => void {
    let held = true;
    holders++;
    connect();
    return () => {
      if (!held) return;
      held = false;
      holders--;
      setTimeout(() => holders || close());
    };
  }

  async function dial(): Promise<void> {
    abandon(GIVEN_UP);
    const mine = generation;
    attempt = new AbortController();
    clearTimeout(retryTimer);
    attemptedAt = now();
    set({ state: "connecting" });
    if (tokenReason) {
      const reason = tokenReason;
      try {
        const fresh = await askForToken(reason, attempt.signal);
        if (mine !== generation) return;
        if (!fresh && reason === "refused") return finish("no token", UNAUTHORIZED);
        token = fresh;
        tokenReason = undefined;
      } catch (error) {
        if (mine !== generation) return;
        report(error, "token");
        return lost(ABNORMAL, "no token");
      }
    }
    session.dial(now());
    try {
      open(mine);
    } catch (error) {
      report(error, "connect");
      finish("no connection");
    }
  }

  function open(mine: number): void {
    const protocols = session.offers();
    if (token) protocols.push(`linkd.bearer.${token}`);
    const opened = new (WebSocketClass()!)(address(), protocols);
    socket = opened;
    opened.binaryType = "arraybuffer";
    opened.onmessage = ({ data }) => {
      if (mine !== generation) return;
      session.receive(data, now());
      flush();
    };
    opened.onclose = ({ code, reason }) => {
      if (mine === generation) lost(code, reason);
    };
    opened.onerror = () => {}; // `close` follows, and says as much
    arm();
  }

  /** Gives up the present attempt or connection without waiting for it. A dead one may take minutes to close. */
  function abandon(code: number): void {
    generation++;
    attempt.abort();
    clearTimeout(dueTimer);
    session.detach();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    try {
      socket.close(code);
    } catch {
      // it was never open
    }
    socket = undefined;
  }

  function lost(code: number, reason: string, closeWith = GIVEN_UP): void {
    abandon(closeWith);
    core.extension.lost?.();
    if (openedAt !== undefined && now() - openedAt >= stableAfter) failures = 0;
    openedAt = undefined;
    failures++;
    if (code === UNAUTHORIZED && typeof options.token === "function") tokenReason = "refused";
    else if (!comesBack(code)) return finish(reason, code);
    const { retry } = session;
    if (retry.attempts && failures > retry.attempts) return finish("gave up", code);
    const asked = notBefore - now();
    let delay = asked > 0 && failures === 1 ? asked : Math.max(asked, backoff(retry, failures, Math.random));
    // On phones an attempt in the background stalls, and holds up the one that is made when the page is seen again.
    if (failures > 1 && hidden()) delay = Math.max(delay, HIDDEN_PAUSE);
    retryTimer = setTimeout(dial, delay);
    set({ state: "waiting", code, reason, retryAt: Date.now() + delay });
  }

  function finish(reason: string, code?: number, left = false): void {
    wanted = false;
    page.abort();
    clearTimeout(retryTimer);
    abandon(NORMAL);
    openedAt = undefined;
    core.extension.lost?.();
    session.end(reason, left);
    emitter.end();
    if (change.state !== "idle") set({ state: "closed", reason, code });
  }

  function set(next: StateChange): void {
    change = next;
    own.emit("state", next);
  }

  /** Writes what is to be written, and sees to it that what has a time is done then. */
  function flush(): void {
    const current = socket; // a handler of errors may close the client
    for (const payload of session.take(now())) if (current === socket) current!.send(payload);
    arm();
  }

  function arm(): void {
    clearTimeout(dueTimer);
    const due = session.due();
    if (due !== Infinity) dueTimer = setTimeout(flush, Math.max(0, due - now()));
  }

  function address(): string {
    // No more of URL than React Native has.
    const absolute = /^\w+:/.test(url) ? url : new URL(url, globalThis.location?.href).href;
    return absolute.replace(/^http/, "ws").replace(/#.*/, "");
  }

  function WebSocketClass(): ClientOptions["WebSocket"] {
    return options.WebSocket ?? (globalThis.WebSocket as unknown as ClientOptions["WebSocket"]);
  }

  // tokens

  function askForToken(reason: TokenReason, signal: AbortSignal): Promise<Token> {
    const source = options.token;
    return new Promise((resolve, reject) => {
      if (typeof source !== "function") return resolve(source);
      const timer = setTimeout(giveUp, TOKEN_PATIENCE);
      signal.addEventListener("abort", giveUp, { once: true });
      Promise.resolve(source({ reason, signal })).then(resolve, reject).finally(() => clearTimeout(timer));

      function giveUp(): void {
        clearTimeout(timer);
        reject(new Timeout(false));
      }
    });
  }

  async function renew(): Promise<void> {
    if (typeof options.token !== "function") return;
    const mine = generation;
    try {
      const fresh = await askForToken("expiring", attempt.signal);
      if (!fresh || mine !== generation) return;
      await request("linkd.auth", { token: fresh });
      token = fresh;
    } catch (error) {
      if (mine === generation) report(error, "token");
    }
  }

  // the page

  function watchPage(): void {
    page = new AbortController();
    const { signal } = page;
    const { document } = globalThis;
    const listen = (target: EventTarget | undefined, types: string, handler: (event: any) => void) => {
      for (const type of types.split(" ")) target?.addEventListener?.(type, handler, { signal });
    };
    const global = globalThis as unknown as EventTarget;
    listen(global, "online focus", wake);
    listen(document, "visibilitychange resume", () => hidden() || wake());
    listen(global, "offline", probe);
    // From the back/forward cache a page comes back with a connection that was closed when it went there.
    listen(global, "pageshow", ({ persisted }) => {
      if (!persisted) return;
      if (socket) lost(ABNORMAL, "away");
      wake();
    });
    listen(global, "pagehide", ({ persisted }) => persisted || socket?.close(NORMAL));
  }

  function hidden(): boolean {
    return globalThis.document?.visibilityState === "hidden";
  }

  function probe(): void {
    session.probe(now());
    flush();
  }

  function wake(): void {
    const time = now();
    if (!wanted || time - wokenAt < WAKE_PAUSE) return;
    wokenAt = time;
    if (change.state === "open") probe();
    else if (change.state === "waiting" ? time >= notBefore : time - attemptedAt > WAKE_PAUSE) void dial();
  }

  // messages

  function send(type: string, data?: unknown, { volatile = false } = {}): void {
    check(type);
    const entry = session.enqueue({ type, data });
    flush();
    if (volatile) session.giveUp(entry);
  }

  function ask(message: Message & { stream?: boolean }, { timeout = 30_000, signal, idempotent = false }: CallOptions = {}, written?: () => void): Promise<any> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      check(message.type);
      const key = idempotent === true ? `${Math.random()}${Date.now()}` : idempotent || undefined;
      const entry: Outgoing = session.enqueue({ ...message, key }, { idempotent: !!idempotent, written, settle }, true);
      const due = now() + timeout;
      let timer = timeout ? setTimeout(expire, timeout) : undefined;
      signal?.addEventListener("abort", abort);
      flush();

      function settle(error: LinkdError | undefined, data?: unknown): void {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        if (error) reject(error);
        else resolve(data);
      }

      function expire(): void {
        // A timer that is late by far was held up with everything else: the answer may wait to be read.
        if (now() - due > 1_000) timer = setTimeout(giveUp, 1_000);
        else giveUp();
      }

      function giveUp(): void {
        settle(new Timeout(session.giveUp(entry)));
      }

      function abort(): void {
        session.giveUp(entry);
        clearTimeout(timer);
        reject(signal!.reason);
      }
    });
  }

  function check(type: string): void {
    // Control messages are not counted: one among the others, and the two sides count differently.
    if (type.startsWith("linkd.")) throw new TypeError(`${type} is reserved`);
    if (change.state === "closed") throw new ConnectionLost("closed", false);
  }

  function request(type: string, data: unknown): Promise<any> {
    return new Promise((resolve, reject) => {
      session.request(type, data, (error, answer) => (error ? reject(error) : resolve(answer)));
      flush();
    });
  }

  function dispatch(message: Message): void {
    const { type, data, id } = message;
    const event = message as LinkEvent;
    const heard = emitter.emit(type, data, event);
    const taken = core.extension.emit?.(event) || heard;
    if (id === undefined || id === null) return;
    const answerer = answerers.get(type);
    if (answerer) void answer(id, type, () => answerer(data, event));
    else reply({ id, ...(taken ? { type: "response" } : { type: "error", error: { code: 404, type: "NOT_FOUND", message: "unheard" } }) });
  }

  async function answer(id: string | number, source: string, answerer: () => unknown): Promise<void> {
    const asked = sessions;
    let message: Message;
    try {
      message = { type: "response", id, data: await answerer() };
      codec.encode(message);
    } catch (error) {
      if (!(error instanceof LinkdError)) report(error, source);
      const { code, type, message: text, details, retryAfterMs } = error instanceof LinkdError ? error : new LinkdError();
      message = { type: "error", id, error: { code, type, message: text, details, retryAfterMs } };
    }
    if (asked === sessions && wanted) reply(message);
  }

  function reply(message: Message): void {
    try {
      session.enqueue(message, { reply: true });
      flush();
    } catch (error) {
      report(error, message.type);
    }
  }

  // what it says of itself

  function onRequest(type: string, handler: (data: unknown, event: LinkEvent) => unknown): () => void {
    answerers.set(type, handler);
    return () => {
      if (answerers.get(type) === handler) answerers.delete(type);
    };
  }

  function onState(handler: (change: StateChange) => void, { settle = 0 } = {}): () => void {
    let shown = change.state;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      shown = change.state;
      handler(change);
    };
    const off = own.on("state", ({ state }: StateChange) => {
      const lasting = state === "waiting" || state === "connecting";
      if (settle && shown === "open" && lasting) {
        timer ??= setTimeout(show, settle);
        return;
      }
      clearTimeout(timer);
      timer = undefined;
      if (lasting || state !== shown) show();
    });
    return () => {
      clearTimeout(timer);
      off();
    };
  }

  function gap(gap: Gap): void {
    own.emit("gap", gap);
  }

  function report(error: unknown, source: string): void {
    if (!errors.emit("error", { error, source })) reportGlobally(error);
  }

  function reportGlobally(error: unknown): void {
    (globalThis.reportError ?? console.error)(error);
  }
}
