/**
 * A session without its socket: what is written, counted, acknowledged and kept, and how it goes on after a break
 * (docs/protocol.md). Times are milliseconds of a clock that never goes back.
 */
import { ConnectionLost, type ErrorBody, LinkdError } from "./errors.js";
import type { Codec } from "./types.js";

export type Payload = string | Uint8Array<ArrayBuffer>;

export interface Message {
  type: string;
  data?: any;
  id?: number | string;
  key?: string | undefined;
  error?: ErrorBody;
  room?: string;
  offset?: number;
}

/** A message on its way to the server. */
export interface Outgoing {
  readonly payload: Payload;
  readonly id?: number;
  readonly idempotent?: boolean;
  /** It is an answer, and means nothing to another session. */
  readonly reply?: boolean;
  /** It is `linkd.*`, which is not counted: it is written again over each connection of the session until it is answered. */
  readonly control?: boolean;
  /** Called with the outcome, once; removed where nobody waits any more. */
  settle?: ((error: LinkdError | undefined, data?: unknown) => void) | undefined;
  /** Called each time it is written. */
  written?: (() => void) | undefined;
}

export interface Welcome {
  session: string;
  resumed?: boolean;
  rooms?: Record<string, { epoch: string; offset: number }>;
  presence?: Record<string, number>;
  [field: string]: unknown;
}

/** How to come back: delays in milliseconds, the random part of them, failures after which to give up (0: never). */
export interface RetryPolicy {
  base: number;
  cap: number;
  jitter: number;
  attempts: number;
}

export const DEFAULT_RETRY: RetryPolicy = { base: 500, cap: 30_000, jitter: 0.5, attempts: 0 };

/** What a session tells its owner. */
export interface SessionOwner {
  /** The connection may be used. Before anything else of it; `gap` comes first where a session was lost. */
  welcome(welcome: Welcome): void;
  event(message: Message): void;
  control(message: Message): void;
  gap(reason: string, events?: number): void;
  /** An error that nobody waits for. */
  failed(error: LinkdError): void;
  /** The server stops, and wants to be left alone for so long. */
  closing(retryAfter: number): void;
  /** The connection is of no use: nothing comes, or what comes is wrong. Whether the session goes with it. */
  broken(reason: string, fault: boolean): void;
}

const UNCONFIRMED = 256;
/** Calls and control messages together; those of an application are fewer by the bounds of the queue. */
const UNANSWERED = 1_024;
/** Within it a server that lives says something, when asked and in the beginning. */
const ALIVE = 8_000;
const ALIVE_WHEN_FULL = 40_000;
/** The same for one whose network may have changed. */
const ALIVE_AFTER_WAKE = 4_000;
const NEVER = Infinity;
/** What a subprotocol may be made of (RFC 6455 §4.1). */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]{1,512}$/;

const size = (payload: Payload) => payload.length;
const bytes = (payload: Payload) => (typeof payload === "string" ? new TextEncoder().encode(payload).length : payload.length);

/** A number that a server sent, or `otherwise` where it is none of this range. */
const number = (value: unknown, otherwise: number, low = 0, high = 1e9): number =>
  typeof value === "number" && value >= low && value <= high ? value : otherwise;

export type Session = ReturnType<typeof createSession>;

export function createSession(
  codec: Codec,
  { messages, characters }: { messages: number; characters: number },
  owner: SessionOwner,
  random: () => number,
) {
  let token = "";
  let known = false; // there was a session
  let lossReason = "not_kept"; // why it cannot go on, where no server says it
  let welcomed = false; // this connection had its welcome
  let live = false; // messages may be written to it
  let lastId = 0;
  let received = 0; // counted messages of the server's
  let dropped = 0;
  let acked = 0; // of ours, how many the server has; kept begins behind them
  let written = 0; // of ours, how many were written
  let kept: Outgoing[] = [];
  let keptSize = 0;
  let calls = new Map<number, Outgoing>(); // unanswered
  let inFlight = 0; // of these, written
  let controls: Outgoing[] = [];
  let unacknowledged = 0;
  let unacknowledgedSize = 0;
  let ackAt = NEVER;
  let pingAt = NEVER;
  let deadAt = NEVER;
  let paceAt = NEVER;
  let ackMessages: number, ackSize: number, ackDelay: number, silence: number, window: number, largest: number;
  let burst: number, rate: number, allowance: number, pacedAt: number;
  const part = 0.5 + random() / 2; // of the delay of acknowledgements, so that those of one room do not all come at once
  const session = { retry: DEFAULT_RETRY, offers, dial, detach, end, receive, take, due, probe, enqueue, request, giveUp, waiting, pending, limit };
  return session;

  /** The subprotocols of the next handshake, beside a token's. */
  function offers(): string[] {
    return [codec.subprotocol, token ? `linkd.resume.${token}.${received}` : "linkd.resume"];
  }

  /** A connection is being made. */
  function dial(now: number): void {
    detach();
    deadAt = now + ALIVE + 2_000;
  }

  /** The connection is lost. */
  function detach(): void {
    welcomed = live = false;
    controls = [];
    ackAt = pingAt = deadAt = paceAt = NEVER;
  }

  /** Nothing more will come. Everything that waits fails; where the client has left, what was written goes before that. */
  function end(reason: string, left = false): void {
    if (left) for (const entry of kept.slice(0, written - acked)) if (entry.id === undefined) entry.settle ??= () => {};
    lose(reason, undefined, true);
    detach();
    known = false;
    token = "";
  }

  /** What was not written yet. */
  function waiting(): number {
    return kept.length - (written - acked);
  }

  function pending(): number {
    return kept.length;
  }

  /** Bytes of the largest message that the server takes. */
  function limit(): number {
    return largest;
  }

  /** Adds a message to what is sent. Throws `QUEUE_FULL`. */
  function enqueue(message: Message, outgoing: Omit<Outgoing, "payload" | "id"> = {}, answered = false): Outgoing {
    const id = answered ? ++lastId : undefined;
    const payload = codec.encode(id === undefined ? message : { ...message, id });
    const backlog = waiting();
    if (backlog >= messages || (backlog > 0 && keptSize + size(payload) > characters)) {
      throw full();
    }
    const entry: Outgoing = id === undefined ? { ...outgoing, payload } : { ...outgoing, payload, id };
    kept.push(entry);
    keptSize += size(payload);
    if (id !== undefined) calls.set(id, entry);
    return entry;
  }

  /** Sends a control message that is answered, over as many connections as it takes. */
  function request(type: string, data: unknown, settle: Outgoing["settle"]): Outgoing {
    if (calls.size >= UNANSWERED) throw full();
    const id = ++lastId;
    const entry: Outgoing = { id, control: true, settle, payload: codec.encode({ type, data, id }) };
    calls.set(id, entry);
    controls.push(entry);
    return entry;
  }

  /** Nobody waits for an answer any more. Returns whether the message was sent; if not it will not be. */
  function giveUp(entry: Outgoing): boolean {
    entry.settle = undefined;
    const index = kept.indexOf(entry);
    if (entry.control) calls.delete(entry.id!);
    if (index < written - acked) return true;
    remove(index);
    calls.delete(entry.id!);
    return false;
  }

  function full(): LinkdError {
    return new LinkdError({ code: 503, type: "QUEUE_FULL", message: "queue full" });
  }

  function remove(index: number): Outgoing {
    const [entry] = kept.splice(index, 1) as [Outgoing];
    keptSize -= size(entry.payload);
    return entry;
  }

  /** Asks for a sign of life. */
  function probe(now: number): void {
    if (!live) return;
    pingAt = now;
    deadAt = Math.min(deadAt, now + ALIVE_AFTER_WAKE);
  }

  /** When to call `take` at the latest. */
  function due(): number {
    return Math.min(ackAt, pingAt, deadAt, paceAt);
  }

  /** What is to be written now, in order. */
  function take(now: number): Payload[] {
    const out: Payload[] = [];
    if (now >= deadAt) {
      // A timer that is late by far was held up with everything else: what came meanwhile has to be read first.
      if (now - deadAt < 1_000) {
        deadAt = NEVER;
        owner.broken("no sign of life", false);
        return out;
      }
      deadAt = now + 999;
    }
    if (!live) return out;
    paceAt = NEVER;
    allowance = Math.min(burst, allowance + (now - pacedAt) * rate);
    pacedAt = now;
    while (waiting() > 0 && inFlight < window && written - acked < UNCONFIRMED) {
      if (allowance < 1) {
        paceAt = now + Math.ceil((1 - allowance) / rate);
        break;
      }
      const entry = kept[written - acked]!;
      if (size(entry.payload) * 3 > largest && bytes(entry.payload) > largest) {
        remove(written - acked);
        calls.delete(entry.id!);
        fail(entry, new LinkdError({ code: 413, type: "PAYLOAD_TOO_LARGE", message: `larger than ${largest} bytes` }));
        continue;
      }
      allowance--;
      written++;
      if (entry.id !== undefined) inFlight++;
      out.push(entry.payload);
      entry.written?.();
    }
    out.push(...controls.map((entry) => entry.payload));
    controls = [];
    const echo = now >= pingAt;
    if (echo || now >= ackAt) {
      const data = { received, sent: written };
      out.push(codec.encode({ type: "linkd.ack", data: echo ? { ...data, echo } : data }));
      unacknowledged = unacknowledgedSize = 0;
      ackAt = NEVER;
      if (echo) {
        pingAt = NEVER;
        deadAt = Math.min(deadAt, now + (inFlight < window ? ALIVE : ALIVE_WHEN_FULL));
      }
    }
    return out;
  }

  /** A message came. */
  function receive(data: string | ArrayBuffer, now: number): void {
    let message: Message;
    try {
      message = codec.decode(data) as Message;
      if (typeof message.type !== "string") throw 0;
    } catch {
      return fault("no message");
    }
    const { type, data: body } = message;
    if (live) {
      pingAt = now + silence;
      deadAt = NEVER;
    } else if (welcomed) {
      deadAt = now + ALIVE_WHEN_FULL; // it stops, and nothing is written to it
    }
    if (!type.startsWith("linkd.")) return welcomed ? count(message, typeof data === "string" ? data.length : data.byteLength, now) : fault("no welcome");
    if (type === "linkd.closing") {
      live = false;
      ackAt = pingAt = paceAt = NEVER;
      deadAt = now + ALIVE_WHEN_FULL;
      return owner.closing(number(body?.retryAfterMs, 0, 0, 600_000));
    }
    if (type === "linkd.welcome") return welcomed || typeof body?.session !== "string" ? fault("a welcome out of place") : begin(body, now);
    if (!welcomed) return;
    if (type === "linkd.ack") return body?.sent === received && confirm(body.received) ? undefined : fault("the counts differ");
    if (type === "linkd.dropped") return drop(body?.total);
    owner.control(message);
  }

  function count(message: Message, length: number, now: number): void {
    received++;
    unacknowledged++;
    unacknowledgedSize += length;
    if (live && (unacknowledged >= ackMessages || unacknowledgedSize >= ackSize)) ackAt = now;
    else if (live && unacknowledged === 1) ackAt = now + ackDelay * part;
    const { type, id } = message;
    if (type !== "response" && type !== "error") return owner.event(message);
    const error = type === "error" ? new LinkdError(message.error ?? {}) : undefined;
    if (id === undefined || id === null) {
      if (error) owner.failed(error);
      return;
    }
    const entry = calls.get(id as number);
    if (!entry) return;
    const index = kept.indexOf(entry);
    if (index >= written - acked) return; // it was not asked yet
    if (!entry.control) inFlight--;
    calls.delete(id as number);
    confirm(acked + index + 1); // what is answered has come, and what was sent before it
    entry.settle?.(error, message.data);
  }

  /** The server has so many of ours. */
  function confirm(count: unknown): boolean {
    if (!Number.isInteger(count) || (count as number) < acked || (count as number) > written) return false;
    for (; acked < (count as number); acked++) remove(0);
    return true;
  }

  function drop(total: unknown): void {
    const events = number(total, dropped, dropped, 2 ** 53) - dropped;
    dropped += events;
    if (events) owner.gap("dropped", events);
  }

  function begin(welcome: Welcome, now: number): void {
    if (welcome.resumed) {
      if (!token || !confirm(welcome["received"])) return fault("the counts differ");
      written = acked;
      inFlight = 0;
      for (const entry of calls.values()) if (!entry.control && !kept.includes(entry)) inFlight++;
    } else {
      if (known) {
        const reason = typeof welcome["reason"] === "string" ? welcome["reason"] : lossReason;
        const came = welcome["received"];
        owner.gap(reason);
        lose(reason, Number.isInteger(came) && (came as number) >= acked && (came as number) <= written ? (came as number) : undefined);
      }
      received = acked = written = inFlight = dropped = 0;
    }
    welcomed = live = known = true;
    lossReason = "not_kept";
    token = TOKEN.test(String(welcome["resume"] ?? "")) ? (welcome["resume"] as string) : "";
    const { retry = {}, ack = {} } = welcome as unknown as Record<string, Record<string, unknown>>;
    const base = number(retry["baseMs"], 500, 50);
    const cap = number(retry["capMs"], 30_000, base);
    session.retry = { base, cap: Math.max(base, cap), jitter: number(retry["jitter"], 0.5, 0, 1), attempts: number(retry["attempts"], 0) };
    ackMessages = number(ack["messages"], 64, 1);
    ackSize = number(ack["bytes"], 65_536, 1);
    ackDelay = number(ack["ms"], 5_000, 0, 600_000);
    silence = number(welcome["pingMs"], 25_000, 1_000);
    window = number(welcome["window"], 64, 1);
    largest = number(welcome["maxMessageSize"], 65_536, 1);
    // `100/s`, `600/1m`: so many at once, and then one after the other. A tenth less, since networks bunch what was
    // evenly spaced.
    const [, most, length, unit] = /^(\d+)\/(\d*)(ms|s|m|h)$/.exec(welcome["messageRate"] as string) ?? [];
    burst = allowance = most ? Math.max(1, Number(most) * 0.9) : NEVER;
    rate = most ? burst / (Number(length || 1) * { ms: 1, s: 1e3, m: 6e4, h: 36e5 }[unit!]!) : 0;
    pacedAt = now;
    unacknowledged = unacknowledgedSize = 0;
    ackAt = deadAt = NEVER;
    pingAt = now + silence;
    if (welcome.resumed) drop(welcome["dropped"]);
    controls = [...calls.values()].filter((entry) => entry.control);
    owner.welcome(welcome);
  }

  /** The session is gone. `came`: how many of its messages the server had; unknown where undefined. */
  function lose(reason: string, came: number | undefined, ended = false): void {
    const gone = (came ?? written) - acked;
    const unanswered = [...calls.values()].filter((entry) => !kept.includes(entry));
    const entries = [...unanswered, ...kept];
    kept = [];
    keptSize = 0;
    calls = new Map();
    acked = written = 0;
    entries.forEach((entry, index) => {
      const place = index - unanswered.length;
      const sent = entry.control ? "unknown" : place < 0 ? true : place >= gone ? false : came === undefined ? "unknown" : true;
      const waited = entry.id === undefined || entry.settle !== undefined;
      if (!ended && waited && (sent ? entry.idempotent : !entry.reply)) {
        if (entry.id !== undefined) calls.set(entry.id, entry);
        kept.push(entry);
        keptSize += size(entry.payload);
      } else if (sent !== true || entry.settle) {
        fail(entry, new ConnectionLost(reason, sent));
      }
    });
  }

  function fail(entry: Outgoing, error: LinkdError): void {
    const { settle, id, reply } = entry;
    entry.settle = undefined;
    if (settle) settle(error);
    else if (id === undefined && !reply) owner.failed(error);
  }

  /** One side is at fault. Both begin anew. */
  function fault(reason: string): void {
    token = "";
    lossReason = "fault";
    owner.broken(reason, true);
  }
}
