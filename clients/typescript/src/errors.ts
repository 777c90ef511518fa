/** What an error says, on the wire and in a handler's answer. */
export interface ErrorBody {
  /** As in HTTP, 400 to 599. */
  code?: number;
  /** Upper case, such as `ROOM_FULL`. */
  type?: string;
  message?: string;
  details?: unknown;
  /** Milliseconds after which a repetition may succeed. */
  retryAfterMs?: number | undefined;
}

/** An answer that is an error, or a failure of the client's own. */
export class LinkdError extends Error {
  readonly code: number;
  readonly type: string;
  readonly details: unknown;
  readonly retryAfterMs: number | undefined;

  constructor({ code = 500, type = "INTERNAL_ERROR", message = type, details, retryAfterMs }: ErrorBody = {}) {
    super(message);
    this.name = "LinkdError";
    this.code = code;
    this.type = type;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The session was lost before the answer came. */
export class ConnectionLost extends LinkdError {
  /** Whether the message reached the server, which then may have handled it. */
  readonly sent: boolean | "unknown";

  constructor(reason: string, sent: boolean | "unknown") {
    super({ code: 503, type: "CONNECTION_LOST", message: reason });
    this.name = "ConnectionLost";
    this.sent = sent;
  }
}

/** No answer came in time. */
export class Timeout extends LinkdError {
  /** Whether the message was sent. One that was not will not be. */
  readonly sent: boolean;

  constructor(sent: boolean) {
    super({ code: 408, type: "TIMEOUT", message: "no answer in time" });
    this.name = "Timeout";
    this.sent = sent;
  }
}
