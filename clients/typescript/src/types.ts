/** Names and types of what an application sends and gets: `createClient<Api>()`. Generated from a service, or by hand. */
export interface Api {
  /** Messages that are answered, by type: what goes out, and what comes back. */
  calls?: Record<string, { data: unknown; result: unknown }>;
  /** Events, by type. */
  events?: Record<string, unknown>;
}

/** An application that declares nothing: every type may be called, and every event may come. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyApi = { calls: Record<string, { data: any; result: any }>; events: Record<string, any> };

type Calls<A extends Api> = NonNullable<A["calls"]>;
type Events<A extends Api> = NonNullable<A["events"]>;
export type CallType<A extends Api> = keyof Calls<A> & string;
export type CallData<A extends Api, T extends CallType<A>> = Calls<A>[T]["data"];
export type CallResult<A extends Api, T extends CallType<A>> = Calls<A>[T]["result"];
/** A type of events; `chat.*` stands for all that begin with `chat.`, and `*` for all. */
export type EventType<A extends Api> = (keyof Events<A> & string) | `${string}.*` | "*";
export type EventData<A extends Api, T extends string> = T extends keyof Events<A> ? Events<A>[T] : unknown;

/** An event as it came. */
export interface LinkEvent<D = unknown> {
  type: string;
  data: D;
  /** Of one that wants an answer. */
  id?: number | string;
  /** Of rooms with a history: the room, and the event's number in it. */
  room?: string;
  offset?: number;
  /** Of `events()`: how many events before this one were thrown away, since they were read too slowly. */
  dropped?: number;
}

/**
 * - `idle`: never connected.
 * - `connecting`: an attempt is under way.
 * - `open`: messages go to and fro.
 * - `waiting`: the next attempt is made at `retryAt`, or when the page is used again.
 * - `closed`: by `close()`, or by a server that does not want the client back; `connect()` begins anew.
 */
export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

export interface StateChange {
  state: State;
  /** Why, for people who debug: of a close frame, or of the client's own. */
  reason?: string;
  /** The close code of the last connection; 1006: it broke, or was refused. */
  code?: number | undefined;
  /** When the next attempt is made, as `Date.now()` counts. */
  retryAt?: number;
}

/** Why a token is wanted: for the first connection, since the last one was refused, or since it ends soon. */
export type TokenReason = "connect" | "refused" | "expiring";

export type Token = string | null | undefined;
export type TokenSource = Token | ((request: { reason: TokenReason; signal: AbortSignal }) => Token | Promise<Token>);

/** How messages are written. JSON unless given; `linkd-client/msgpack` has another. */
export interface Codec {
  readonly subprotocol: string;
  /** Messages travel in binary frames. */
  readonly binary?: boolean;
  encode(message: unknown): string | Uint8Array<ArrayBuffer>;
  decode(data: string | ArrayBuffer): unknown;
}

/** What the client needs of a WebSocket class. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export interface ClientOptions {
  /** A token, or what gets one. It is asked only when a token is needed, and told why. */
  token?: TokenSource;
  codec?: Codec;
  /** The class, where there is no global one (Node before 22), or another is wanted. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  /** What may wait while there is no connection: messages, and characters of them. */
  queue?: { messages?: number; characters?: number };
}

export interface CallOptions {
  /** Milliseconds, 30,000 unless given; 0: no limit. */
  timeout?: number;
  signal?: AbortSignal;
  /**
   * It may come twice: where a session is lost and nobody knows whether the message came, it is sent again, with the same
   * key. A handler with `once` handles it once; others have to bear a repetition. A text is the key; `true` makes one.
   */
  idempotent?: boolean | string;
}

/** Events were lost: read the state anew. */
export interface Gap {
  /**
   * `dropped`: they were read too slowly. With a room: why its history began anew, or `missed`. Else why the session
   * was lost, as `linkd.welcome` says it; `not_kept`: the server keeps none, `fault`: it sent what cannot be.
   */
  reason: string;
  /** The room of which they were. Rooms with `load` read their state by themselves, and are not named here. */
  room?: string;
  /** Of `dropped`: how many. */
  events?: number | undefined;
}

export interface ClientError {
  error: unknown;
  /** What failed: a handler's message type, `send`, `token` and so on. */
  source: string;
}

export interface Position {
  epoch: string;
  offset: number;
}

export interface RoomOptions {
  /**
   * Asks the service to let the session join the room, from a position where one is known: usually a call. It is made
   * when the client is connected for the first time, and for each new session. Without it the service has sessions
   * join by itself.
   */
  join?: (since: Position | undefined) => unknown;
  /**
   * Reads the state of the room. It is called when the room was joined and after each gap; events that come meanwhile
   * are handed over behind it, and may be part of what it read.
   */
  load?: (position: Position | undefined) => unknown;
}

export interface Member<D = unknown> {
  state: "online" | "away";
  sessions: number;
  user?: string;
  name?: string;
  data?: D;
}

export interface PresenceChange {
  joined: string[];
  updated: string[];
  left: string[];
}

/** Who is in a room. */
export interface Presence<D = unknown> {
  /** Members by key: the user's id. The same map until something changes, then another. */
  readonly members: ReadonlyMap<string, Member<D>>;
  /** How many members there are, also where these are too many to be listed. */
  readonly count: number;
  /** The list is as it was before the connection broke, or none has come yet. */
  readonly stale: boolean;
  /** Calls the handler with each change; with an empty one where the list has become stale, or has not changed since. */
  onChange(handler: (change: PresenceChange) => void): () => void;
  /** Says something of oneself to the others, where the service allows that. It is said again in the next session. */
  set(said: { data?: D; away?: boolean }): Promise<void>;
}

export interface HistoryPage {
  room: string;
  epoch: string;
  offset: number;
  events: LinkEvent[];
  more: boolean;
}

export interface Room<A extends Api = AnyApi> {
  readonly name: string;
  /** How far the room's events have been handed over. */
  readonly position: Position | undefined;
  readonly presence: Presence;
  on<T extends EventType<A>>(type: T, handler: (data: EventData<A, T>, event: LinkEvent<EventData<A, T>>) => void): () => void;
  events<T extends EventType<A>>(type: T, options?: EventsOptions): AsyncIterableIterator<LinkEvent<EventData<A, T>>>;
  history(page?: { before?: number; limit?: number }): Promise<HistoryPage>;
  /** Forgets the room: nothing is joined, loaded or handed over for it any more. The service is not told. */
  forget(): void;
}

export interface EventsOptions {
  signal?: AbortSignal;
  /** How many events may wait, 1,000 unless given. Beyond it the oldest is thrown away. */
  limit?: number;
}

/** A client without rooms: `linkd-client/core`. */
export interface CoreClient<A extends Api = AnyApi> {
  readonly state: State;
  /** How many messages the server has not confirmed yet. */
  readonly pending: number;
  /** Connects, and keeps connected. Does nothing where that is so already. */
  connect(): void;
  /** Ends the session, behind what was sent. `connect()` begins another. */
  close(): void;
  /** Connects while somebody holds it: returns what lets go. For components that are mounted twice. */
  retain(): () => void;
  /** Finds out whether the connection is alive, or connects at once. Call it when an application comes to the front. */
  wake(): void;
  /**
   * Sends a message and returns its answer.
   *
   * @throws LinkdError what the server answered; `Timeout`; `ConnectionLost`, with `sent`.
   */
  call<T extends CallType<A>>(type: T, ...rest: undefined extends CallData<A, T> ? [data?: CallData<A, T>, options?: CallOptions] : [data: CallData<A, T>, options?: CallOptions]): Promise<CallResult<A, T>>;
  /**
   * Sends a message that is not answered, now or when there is a connection; one that is `volatile` now or never.
   *
   * @throws LinkdError `QUEUE_FULL`.
   */
  send(type: string, data?: unknown, options?: { volatile?: boolean }): void;
  on<T extends EventType<A>>(type: T, handler: (data: EventData<A, T>, event: LinkEvent<EventData<A, T>>) => void): () => void;
  events<T extends EventType<A>>(type: T, options?: EventsOptions): AsyncIterableIterator<LinkEvent<EventData<A, T>>>;
  /** Answers what the server asks. A LinkdError that is thrown is the answer. One handler a type. */
  onRequest(type: string, handler: (data: any, event: LinkEvent<any>) => unknown): () => void;
  /** Calls the handler with each change. With `settle`, losses are told once they have lasted for so many milliseconds. */
  onState(handler: (change: StateChange) => void, options?: { settle?: number }): () => void;
  onGap(handler: (gap: Gap) => void): () => void;
  /** Errors that nobody waits for: of `send`, of handlers, of the token source. Without a handler they are reported. */
  onError(handler: (error: ClientError) => void): () => void;
}

export interface Client<A extends Api = AnyApi> extends CoreClient<A> {
  /** The room of this name, the same object each time. */
  room(name: string, options?: RoomOptions): Room<A>;
}
