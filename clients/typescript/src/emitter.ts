import type { EventsOptions, LinkEvent } from "./types.js";

type Handler = (data: any, event: any) => unknown;

/** Handlers by type; `chat.*` stands for all types that begin with `chat.`, and `*` for all. */
export function createEmitter(report: (error: unknown, source: string) => void) {
  const handlers = new Map<string, Set<Handler>>();
  const iterators = new Set<() => void>();
  return { on, emit, events, end };

  function on(type: string, handler: Handler): () => void {
    const own: Handler = (data, event) => handler(data, event); // the same function may be given twice
    const set = handlers.get(type) ?? new Set();
    handlers.set(type, set.add(own));
    return () => {
      set.delete(own);
      if (!set.size && handlers.get(type) === set) handlers.delete(type);
    };
  }

  /** Calls the handlers of a type, whatever each of them throws. Returns whether there was one. */
  function emit(type: string, data: unknown, event?: unknown): boolean {
    const patterns = [type, "*"];
    for (let dot = type.indexOf("."); dot >= 0; dot = type.indexOf(".", dot + 1)) patterns.push(`${type.slice(0, dot)}.*`);
    const called = patterns.flatMap((pattern) => [...(handlers.get(pattern) ?? [])]);
    for (const handler of called) {
      try {
        const result = handler(data, event) as Promise<unknown> | undefined;
        if (typeof result?.then === "function") result.then(undefined, (error: unknown) => report(error, type));
      } catch (error) {
        report(error, type);
      }
    }
    return called.length > 0;
  }

  /** Events of a type, one after the other, until `end` or the signal. */
  function events(type: string, { signal, limit = 1_000 }: EventsOptions = {}): AsyncIterableIterator<LinkEvent<any>> {
    const buffer: LinkEvent[] = [];
    const readers: ((result: IteratorResult<LinkEvent>) => void)[] = [];
    let ended = false;
    let dropped = 0;
    const off = on(type, (_data, event: LinkEvent) => {
      const reader = readers.shift();
      if (reader) return reader({ done: false, value: event });
      buffer.push(event);
      if (buffer.length > limit) {
        buffer.shift();
        dropped++;
      }
    });
    iterators.add(stop);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    return {
      next() {
        const event = buffer.shift();
        if (event) {
          const value = dropped ? { ...event, dropped } : event;
          dropped = 0;
          return Promise.resolve({ done: false, value });
        }
        return ended ? Promise.resolve({ done: true, value: undefined }) : new Promise((resolve) => readers.push(resolve));
      },
      return() {
        stop();
        buffer.length = 0;
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };

    function stop(): void {
      ended = true;
      off();
      iterators.delete(stop);
      signal?.removeEventListener("abort", stop);
      for (const reader of readers.splice(0)) reader({ done: true, value: undefined });
    }
  }

  /** Nothing more will come: those who wait for events get the end. */
  function end(): void {
    for (const stop of [...iterators]) stop();
  }
}
