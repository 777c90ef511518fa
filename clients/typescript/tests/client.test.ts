import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, type ClientOptions, ConnectionLost, createClient, LinkdError, Timeout } from "../src/index.js";
import { FakeSocket, fresh, settled } from "./fakes.js";

let client: Client;
let states: string[];

function make(options: ClientOptions = {}): Client {
  client = createClient("http://localhost:3000/ws/chat", { WebSocket: FakeSocket, ...options });
  states = [];
  client.onState(({ state }) => states.push(state));
  client.onError(() => {});
  return client;
}

async function connected(options: ClientOptions = {}): Promise<FakeSocket> {
  make(options).connect();
  await settled();
  FakeSocket.last.welcome();
  return FakeSocket.last;
}

beforeEach(fresh);
afterEach(() => {
  client?.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("connecting", () => {
  test("nothing happens before connect, and a call waits for it", async () => {
    const answer = make().call("a.b", 1);
    await settled();
    expect(FakeSocket.all).toEqual([]);
    client.connect();
    await settled();
    expect(FakeSocket.last.url).toBe("ws://localhost:3000/ws/chat");
    FakeSocket.last.welcome();
    expect(FakeSocket.last.sent).toEqual([{ type: "a.b", data: 1, id: 1 }]);
    FakeSocket.last.answer(1, "yes");
    expect(await answer).toBe("yes");
  });

  test("connecting twice makes one connection", async () => {
    make().connect();
    client.connect();
    await settled();
    client.connect();
    expect(FakeSocket.all.length).toBe(1);
  });

  test("the first connect is tried again, with growing delays", async () => {
    make().connect();
    await settled();
    for (const delay of [500, 1_000, 2_000, 4_000]) {
      FakeSocket.last.end();
      const before = FakeSocket.all.length;
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(FakeSocket.all.length).toBe(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(FakeSocket.all.length).toBe(before + 1);
    }
  });

  test("a server that accepts and closes is met with growing delays", async () => {
    make().connect();
    await settled();
    for (let minute = 0; minute < 60_000; minute += 50) {
      if (client.state === "connecting") {
        FakeSocket.last.welcome();
        FakeSocket.last.end(1011);
      }
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(FakeSocket.all.length).toBeLessThan(10);
  });

  test("a server that resumes and closes is met with growing delays", async () => {
    await connected();
    await vi.advanceTimersByTimeAsync(10_000);
    FakeSocket.last.end();
    const before = FakeSocket.all.length;
    for (let minute = 0; minute < 60_000; minute += 50) {
      if (client.state === "connecting") {
        FakeSocket.last.welcome({ resumed: true, received: 0 });
        FakeSocket.last.end(1011);
      }
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(FakeSocket.all.length - before).toBeLessThan(10);
  });

  test("delays begin anew after a connection that lasted", async () => {
    await connected();
    for (let round = 0; round < 3; round++) {
      await vi.advanceTimersByTimeAsync(10_000);
      FakeSocket.last.end();
      const before = FakeSocket.all.length;
      await vi.advanceTimersByTimeAsync(500);
      expect(FakeSocket.all.length).toBe(before + 1);
      FakeSocket.last.welcome({ resumed: true, received: 0 });
    }
  });

  test("it gives up after as many attempts as the server says", async () => {
    const socket = await connected();
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.welcome({ retry: { attempts: 2 } });
    for (let round = 0; round < 3; round++) {
      FakeSocket.last.end();
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(client.state).toBe("closed");
  });

  test("a server that closes says when to come back", async () => {
    const socket = await connected();
    socket.say({ type: "linkd.closing", data: { retryAfterMs: 7_000, resumable: false } });
    socket.end(1001);
    await vi.advanceTimersByTimeAsync(6_999);
    expect(FakeSocket.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all.length).toBe(2);
  });

  test("one that says so again and again is met with growing delays all the same", async () => {
    make().connect();
    await settled();
    for (let minute = 0; minute < 60_000; minute += 50) {
      if (client.state === "connecting") {
        FakeSocket.last.say({ type: "linkd.closing", data: { retryAfterMs: 1 } });
        FakeSocket.last.end(1001);
      }
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(FakeSocket.all.length).toBeLessThan(10);
  });

  test("a connection that is given up is not ended with a code that ends the session", async () => {
    const socket = await connected();
    await vi.advanceTimersByTimeAsync(25_000);
    expect(socket.sent.at(-1)).toEqual({ type: "linkd.ack", data: { received: 0, sent: 0, echo: true } });
    await vi.advanceTimersByTimeAsync(8_500);
    expect(socket.closedWith).toBe(4000);
    expect(FakeSocket.last.protocols).toContain("linkd.resume.t.0");
  });

  test("what an old connection still says is not heard", async () => {
    const socket = await connected();
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    const heard = vi.fn();
    client.on("*", heard);
    socket.onmessage?.({ data: JSON.stringify({ type: "x.y" }) });
    expect(heard).not.toHaveBeenCalled();
  });

  test("an address that is none is an error at once", () => {
    make();
    const other = createClient("not an address", { WebSocket: FakeSocket });
    expect(() => other.connect()).toThrow(TypeError);
    expect(other.state).toBe("idle");
  });
});

describe("tokens", () => {
  test("a source is asked once, and again when its token was refused", async () => {
    const source = vi.fn(({ reason }: { reason: string }) => Promise.resolve(`token-${reason}`));
    const socket = await connected({ token: source });
    expect(socket.protocols).toEqual(["linkd.v1+json", "linkd.resume", "linkd.bearer.token-connect"]);
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    expect(source).toHaveBeenCalledTimes(1);
    FakeSocket.last.end(4401);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(source.mock.calls.map(([{ reason }]) => reason)).toEqual(["connect", "refused"]);
    expect(FakeSocket.last.protocols).toContain("linkd.bearer.token-refused");
  });

  test("a token that cannot be had anew ends it", async () => {
    const socket = await connected({ token: "fixed" });
    socket.end(4401, "The token has ended.");
    expect(client.state).toBe("closed");
    expect(FakeSocket.all.length).toBe(1);
  });

  test("no other token ends it, and makes nobody anonymous", async () => {
    const socket = await connected({ token: ({ reason }) => (reason === "connect" ? "first" : null) });
    socket.end(4401);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.state).toBe("closed");
    expect(FakeSocket.all.length).toBe(1);
  });

  test.each([
    ["throws", () => { throw new Error("no"); }],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["hangs", () => new Promise<string>(() => {})],
  ])("a source that %s is asked again, later each time", async (_, source) => {
    const asked = vi.fn(source);
    make({ token: asked }).connect();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(FakeSocket.all.length).toBe(0);
    expect(asked.mock.calls.length).toBeGreaterThan(5);
    expect(asked.mock.calls.length).toBeLessThan(40);
  });

  test("an answer of a source that comes after close is not used", async () => {
    let give = (_: string) => {};
    make({ token: () => new Promise<string>((resolve) => (give = resolve)) }).connect();
    client.close();
    give("late");
    await settled();
    expect(FakeSocket.all).toEqual([]);
  });

  test("a token that ends soon is renewed within the session", async () => {
    const socket = await connected({ token: ({ reason }) => `token-${reason}` });
    socket.say({ type: "linkd.auth.expiring", data: { expiresInMs: 60_000 } });
    await settled();
    expect(socket.sent).toEqual([{ type: "linkd.auth", data: { token: "token-expiring" }, id: 1 }]);
    socket.answer(1, { user: "u" });
    await settled();
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    expect(FakeSocket.last.protocols).toContain("linkd.bearer.token-expiring");
  });
});

describe("calls", () => {
  test("an error answers", async () => {
    const socket = await connected();
    const answer = client.call("a.b");
    socket.say({ type: "error", id: 1, error: { code: 409, type: "ROOM_FULL", message: "full", details: { size: 3 }, retryAfterMs: 5 } });
    await expect(answer).rejects.toMatchObject({ code: 409, type: "ROOM_FULL", message: "full", details: { size: 3 }, retryAfterMs: 5 });
  });

  test("a call that is not answered in time fails, and says whether it was sent", async () => {
    const socket = await connected();
    const sent = expect(client.call("a.b", 1, { timeout: 100 })).rejects.toMatchObject({ name: "Timeout", sent: true });
    await vi.advanceTimersByTimeAsync(100);
    await sent;
    socket.end();
    const waiting = expect(client.call("a.b", 2, { timeout: 100 })).rejects.toBeInstanceOf(Timeout);
    await vi.advanceTimersByTimeAsync(100);
    await waiting;
    await vi.advanceTimersByTimeAsync(400);
    FakeSocket.last.welcome({ resumed: true, received: 1 });
    expect(FakeSocket.last.sent).toEqual([]);
  });

  test("one that is given up by its signal fails with the signal's reason, and is not sent", async () => {
    make();
    const reason = new Error("changed my mind");
    const abort = new AbortController();
    const call = expect(client.call("a.b", 1, { signal: abort.signal })).rejects.toBe(reason);
    abort.abort(reason);
    await call;
    await expect(client.call("a.b", 1, { signal: abort.signal })).rejects.toBe(reason);
    client.connect();
    await settled();
    FakeSocket.last.welcome();
    expect(FakeSocket.last.sent).toEqual([]);
  });

  test("closing fails what has no answer", async () => {
    await connected();
    const sent = expect(client.call("a.b")).rejects.toMatchObject({ type: "CONNECTION_LOST", sent: "unknown" });
    client.close();
    await sent;
    await expect(client.call("a.b")).rejects.toBeInstanceOf(ConnectionLost);
    expect(() => client.send("a.b")).toThrow(ConnectionLost);
    expect(FakeSocket.last.closedWith).toBe(1000);
  });

  test("more than may wait is refused", async () => {
    make({ queue: { messages: 2 } });
    client.send("a.b");
    client.send("a.b");
    expect(() => client.send("a.b")).toThrow(expect.objectContaining({ type: "QUEUE_FULL" }));
    await expect(client.call("a.b")).rejects.toMatchObject({ type: "QUEUE_FULL" });
  });

  test("the protocol's own types are not the application's", async () => {
    const socket = await connected();
    expect(() => client.send("linkd.ack", {})).toThrow(TypeError);
    await expect(client.call("linkd.history", {})).rejects.toBeInstanceOf(TypeError);
    expect(socket.sent).toEqual([]);
  });

  test("a handler of errors may close the client", async () => {
    make();
    client.onError(() => client.close());
    client.send("a.b", "x".repeat(200));
    client.send("a.c", 1);
    client.connect();
    await settled();
    FakeSocket.last.welcome({ maxMessageSize: 100 });
    expect(client.state).toBe("closed");
  });

  test("what is volatile does not wait", async () => {
    make();
    client.send("a.b", 1, { volatile: true });
    client.connect();
    await settled();
    FakeSocket.last.welcome();
    client.send("a.b", 2, { volatile: true });
    expect(FakeSocket.last.sent).toEqual([{ type: "a.b", data: 2 }]);
    expect(client.pending).toBe(1);
  });

  test("data that cannot be written is an error of its sender's", async () => {
    const socket = await connected();
    await expect(client.call("a.b", 1n)).rejects.toBeInstanceOf(TypeError);
    expect(() => client.send("a.b", 1n)).toThrow(TypeError);
    client.send("a.b", 2);
    expect(socket.sent).toEqual([{ type: "a.b", data: 2 }]);
  });
});

describe("events", () => {
  test("handlers get them by type, by prefix and all, whatever another throws", async () => {
    const socket = await connected();
    const heard: string[] = [];
    const failures: unknown[] = [];
    client.onError(({ error, source }) => failures.push([source, (error as Error).message]));
    client.on("chat.message", () => { throw new Error("plain"); });
    client.on("chat.message", async () => { throw new Error("async"); });
    client.on("chat.*", (data) => heard.push(`prefix ${data}`));
    client.on("*", (_, { type }) => heard.push(`all ${type}`));
    client.on("other.*", () => heard.push("other"));
    const off = client.on("chat.message", (data) => heard.push(`type ${data}`));
    socket.say({ type: "chat.message", data: 1 });
    await settled();
    off();
    off();
    socket.say({ type: "chat.message", data: 2 });
    expect(heard).toEqual(["type 1", "all chat.message", "prefix 1", "all chat.message", "prefix 2"]);
    await settled();
    expect(failures).toHaveLength(4);
  });

  test("an iterator gets them one by one, and says how many it was too slow for", async () => {
    const socket = await connected();
    const events = client.events("n.*", { limit: 2 });
    const first = events.next();
    for (let number = 1; number <= 5; number++) socket.say({ type: "n.e", data: number });
    expect((await first).value).toMatchObject({ data: 1 });
    expect((await events.next()).value).toMatchObject({ data: 4, dropped: 2 });
    expect((await events.next()).value).not.toHaveProperty("dropped");
    const waiting = events.next();
    client.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("a signal ends an iterator, and leaving the loop does", async () => {
    const socket = await connected();
    const abort = new AbortController();
    const events = client.events("*", { signal: abort.signal });
    const waiting = events.next();
    abort.abort();
    expect((await waiting).done).toBe(true);
    socket.say({ type: "n.e", data: 1 });
    const more = client.events("*");
    socket.say({ type: "n.e", data: 2 });
    for await (const event of more) {
      expect(event.data).toBe(2);
      break;
    }
    expect((await more.next()).done).toBe(true);
  });

  test("questions are answered by whoever answers them, else by whoever listens", async () => {
    const socket = await connected();
    const off = client.onRequest("game.ready", async (data) => ({ round: data.round }));
    client.onRequest("game.no", () => { throw new LinkdError({ code: 409, type: "NOT_NOW", message: "later" }); });
    client.onRequest("game.bug", () => { throw new Error("secret"); });
    client.onRequest("game.odd", () => 1n);
    client.on("game.seen", () => {});
    for (const type of ["ready", "no", "bug", "odd", "seen", "nobody"]) socket.say({ type: `game.${type}`, id: type, data: { round: 3 } });
    await settled();
    const answers = Object.fromEntries(socket.sent.map(({ id, ...rest }) => [id, rest]));
    expect(answers["ready"]).toEqual({ type: "response", data: { round: 3 } });
    expect(answers["no"]).toEqual({ type: "error", error: { code: 409, type: "NOT_NOW", message: "later" } });
    expect(answers["bug"].error).toEqual({ code: 500, type: "INTERNAL_ERROR", message: "INTERNAL_ERROR" });
    expect(answers["odd"].error.code).toBe(500);
    expect(answers["seen"]).toEqual({ type: "response" });
    expect(answers["nobody"].error.code).toBe(404);
    off();
    off();
  });

  test("an answer that comes when the session is another's is not sent", async () => {
    const socket = await connected();
    let give = (_: unknown) => {};
    client.onRequest("game.slow", () => new Promise((resolve) => (give = resolve)));
    socket.say({ type: "game.slow", id: "s-1" });
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.welcome({ session: "other", resumed: false, reason: "expired" });
    give(1);
    await settled();
    expect(FakeSocket.last.sent).toEqual([]);
  });
});

describe("states", () => {
  test("each is told, with why", async () => {
    const socket = await connected();
    socket.end(1012, "replaced");
    await vi.advanceTimersByTimeAsync(500);
    client.close();
    expect(states).toEqual(["connecting", "open", "waiting", "connecting", "closed"]);
  });

  test("a short loss is not told to whoever wants it settled", async () => {
    const socket = await connected();
    const shown: string[] = [];
    client.onState(({ state }) => shown.push(state), { settle: 3_000 });
    socket.end();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.welcome({ resumed: true, received: 0 });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(shown).toEqual([]);
    FakeSocket.last.end();
    for (let second = 0; second < 4; second++) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (client.state === "connecting") FakeSocket.last.end();
    }
    expect(shown[0]).toBe("waiting");
    while (client.state !== "connecting") await vi.advanceTimersByTimeAsync(100);
    FakeSocket.last.welcome({ resumed: true, received: 0 });
    expect(shown.at(-1)).toBe("open");
  });

  test("a handler of errors that throws is not called with that", async () => {
    const reported = vi.spyOn(console, "error").mockImplementation(() => {});
    const socket = await connected();
    client.onError(() => { throw new Error("mine"); });
    socket.say({ type: "error", error: { code: 429, type: "RATE_LIMITED" } });
    expect(reported).toHaveBeenCalledTimes(1);
  });

  test("closing in every state ends everything", async () => {
    make().close();
    expect(client.state).toBe("idle");
    client.connect();
    client.close();
    expect(client.state).toBe("closed");
    client.connect();
    await settled();
    FakeSocket.last.end();
    expect(client.state).toBe("waiting");
    client.close();
    client.close();
    expect(vi.getTimerCount()).toBe(0);
    client.connect();
    await settled();
    FakeSocket.last.welcome();
    expect(client.state).toBe("open");
    FakeSocket.last.end(4409, "replaced");
    expect(client.state).toBe("closed");
  });

  test("mounting twice, as StrictMode does, makes one connection", async () => {
    make();
    const first = client.retain();
    first();
    const second = client.retain();
    first();
    await settled();
    expect(FakeSocket.all.length).toBe(1);
    second();
    await settled();
    expect(client.state).toBe("closed");
  });
});
