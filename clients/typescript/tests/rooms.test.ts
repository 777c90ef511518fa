import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Client, createClient, type Gap, LinkdError, type Position } from "../src/index.js";
import { FakeSocket, fresh, settled } from "./fakes.js";

let client: Client;
let gaps: Gap[];

const room = (offset: number, more: object = {}) => ({ type: "linkd.room", data: { room: "lobby", epoch: "e", offset, ...more } });
const event = (offset: number, epoch = "lobby") => ({ type: "chat.message", data: offset, room: epoch, offset });
const presence = (data: object) => ({ type: "linkd.presence", data: { room: "lobby", ...data } });
const online = (sessions = 1) => ({ state: "online", sessions });

async function again(more: object): Promise<void> {
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(30_000);
  FakeSocket.last.welcome(more);
  await settled();
}

beforeEach(async () => {
  fresh();
  client = createClient("ws://localhost/ws", { WebSocket: FakeSocket });
  gaps = [];
  client.onGap((gap) => gaps.push(gap));
  client.onError(({ error }) => { throw error; });
  client.connect();
  await settled();
  FakeSocket.last.welcome();
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a room is joined, its state read, and then its events handed over", async () => {
  const order: unknown[] = [];
  let read = () => {};
  const lobby = client.room("lobby", {
    join: (since) => void order.push(["join", since]),
    load: (position) => {
      order.push(["load", position]);
      return new Promise<void>((resolve) => (read = resolve));
    },
  });
  lobby.on("chat.*", (data) => order.push(data));
  client.on("chat.message", (data) => order.push(`any ${data}`));
  FakeSocket.last.say(room(4));
  FakeSocket.last.say(event(5));
  FakeSocket.last.say(event(6));
  expect(order).toEqual([["join", undefined], ["load", { epoch: "e", offset: 4 }]]);
  expect(lobby.position).toEqual({ epoch: "e", offset: 6 });
  read();
  await settled();
  FakeSocket.last.say(event(7));
  expect(order.slice(2)).toEqual(["any 5", 5, "any 6", 6, "any 7", 7]);
});

test("in a new session it is joined from where it was", async () => {
  const joined: (Position | undefined)[] = [];
  const load = vi.fn();
  const lobby = client.room("lobby", { join: (since) => void joined.push(since), load });
  const heard = vi.fn();
  lobby.on("*", heard);
  FakeSocket.last.say(room(4));
  await settled();
  FakeSocket.last.say(event(5));
  await again({ session: "b", resumed: false, reason: "expired" });
  expect(joined).toEqual([undefined, { epoch: "e", offset: 5 }]);
  FakeSocket.last.say(room(7, { recovered: true, replayed: 2 }));
  FakeSocket.last.say(event(6));
  FakeSocket.last.say(event(6));
  FakeSocket.last.say(event(7));
  expect(heard.mock.calls.map(([data]) => data)).toEqual([5, 6, 7]);
  expect(load).toHaveBeenCalledTimes(1);
  await again({ session: "c", resumed: false, reason: "expired" });
  FakeSocket.last.say({ type: "linkd.room", data: { room: "lobby", epoch: "f", offset: 2, recovered: false } });
  await settled();
  expect(load).toHaveBeenCalledTimes(2);
  expect(lobby.position).toEqual({ epoch: "f", offset: 2 });
  expect(gaps.map(({ room }) => room)).toEqual([undefined, undefined]);
});

test("a session that goes on joins nothing, but what was being joined", async () => {
  const joined = vi.fn();
  client.room("lobby", { join: joined });
  FakeSocket.last.say(room(1));
  await again({ resumed: true, received: 0, rooms: { lobby: { epoch: "e", offset: 1 } } });
  expect(joined).toHaveBeenCalledTimes(1);
  const other = vi.fn(() => new Promise(() => {}));
  client.room("other", { join: other });
  await again({ resumed: true, received: 0, rooms: {} });
  expect(other).toHaveBeenCalledTimes(2);
  expect(joined).toHaveBeenCalledTimes(1);
});

test("where nothing is read anew, the application hears of the gap", async () => {
  client.room("lobby", { join: () => {} });
  FakeSocket.last.say(room(1));
  FakeSocket.last.say({ type: "linkd.gap", data: { room: "lobby", epoch: "f", offset: 0, reason: "evicted" } });
  FakeSocket.last.say({ type: "linkd.gap", data: { room: "unheard of", epoch: "f", offset: 0, reason: "changed" } });
  await again({ session: "b", resumed: false, reason: "unknown" });
  FakeSocket.last.say(room(9, { epoch: "f" }));
  expect(gaps).toEqual([
    { reason: "evicted", room: "lobby" },
    { reason: "changed", room: "unheard of" },
    { reason: "unknown", events: undefined },
    { reason: "missed", room: "lobby" },
  ]);
});

test("joining is tried again when the server says when", async () => {
  let failures = 2;
  const join = vi.fn(() => {
    if (failures-- > 0) throw new LinkdError({ code: 503, retryAfterMs: 1_000 });
  });
  client.room("lobby", { join });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(join).toHaveBeenCalledTimes(3);
});

test("more events than may be held while the state is read have it read once more", async () => {
  const load = vi.fn(() => new Promise<void>(() => {}));
  client.room("lobby", { load });
  FakeSocket.last.say(room(0));
  for (let offset = 1; offset <= 2_500; offset++) FakeSocket.last.say(event(offset));
  expect(load).toHaveBeenCalledTimes(3);
});

test("pages of members come together, and differences are applied in order", () => {
  const { presence: there } = client.room("lobby");
  const changes = vi.fn();
  there.onChange(changes);
  expect(there.stale).toBe(true);
  FakeSocket.last.say(presence({ seq: 7, count: 3, members: { a: online(), b: online() }, more: true }));
  expect(changes).not.toHaveBeenCalled();
  FakeSocket.last.say(presence({ seq: 7, count: 3, members: { ["__proto__"]: online() } }));
  FakeSocket.last.say(presence({ seq: 8, count: 3, join: { c: online() }, update: { a: online(2) }, leave: ["b"] }));
  expect(changes.mock.calls[1]![0]).toEqual({ joined: ["c"], updated: ["a"], left: ["b"] });
  const before = there.members;
  FakeSocket.last.say(presence({ seq: 8, count: 3, leave: ["c"] }));
  expect(there.members).toBe(before);
  expect(there.stale).toBe(false);
});

test("a hole has it ask, and what comes then is taken", () => {
  const { presence: there } = client.room("lobby");
  FakeSocket.last.say(presence({ seq: 1, count: 1, members: { a: online() } }));
  FakeSocket.last.say(presence({ seq: 3, count: 2, join: { c: online() } }));
  FakeSocket.last.say(presence({ seq: 4, count: 3, join: { d: online() } }));
  expect(FakeSocket.last.sent.filter(({ type }) => type === "linkd.presence.sync")).toEqual([
    { type: "linkd.presence.sync", data: { room: "lobby", since: 1 }, id: 1 },
  ]);
  FakeSocket.last.say(presence({ seq: 4, since: 1, count: 4, update: { b: online(), c: online(), d: online() } }));
  expect([...there.members.keys()].sort()).toEqual(["a", "b", "c", "d"]);
});

test("a broken connection keeps the list, marked as stale, until the state is known again", async () => {
  const { presence: there } = client.room("lobby");
  FakeSocket.last.say(presence({ seq: 5, count: 1, members: { a: online() } }));
  const changes = vi.fn();
  there.onChange(changes);
  FakeSocket.last.end();
  expect([there.stale, there.members.size]).toEqual([true, 1]);
  expect(changes.mock.lastCall![0]).toEqual({ joined: [], updated: [], left: [] });
  await vi.advanceTimersByTimeAsync(30_000);
  FakeSocket.last.welcome({ resumed: true, received: 0, presence: { lobby: 5 } });
  expect([there.stale, FakeSocket.last.sent]).toEqual([false, []]);
  await again({ resumed: true, received: 0, presence: { lobby: 6 } });
  expect(FakeSocket.last.sent[0].data).toEqual({ room: "lobby", since: 5 });
});

test("what one said of oneself is said again in the next session", async () => {
  const { presence: there } = client.room("lobby");
  FakeSocket.last.say(presence({ seq: 1, count: 1, members: { a: online() } }));
  void there.set({ data: { mood: "ok" } });
  void there.set({ away: true });
  FakeSocket.last.answer(1, null);
  FakeSocket.last.answer(2, null);
  await again({ session: "b", resumed: false, reason: "expired" });
  expect(FakeSocket.last.sent).toEqual([]);
  FakeSocket.last.say(presence({ seq: 1, count: 1, members: { a: online() } }));
  expect(FakeSocket.last.sent[0]).toMatchObject({ type: "linkd.presence.set", data: { room: "lobby", data: { mood: "ok" }, away: true } });
});

test("where there are too many only their number is known", () => {
  const { presence: there } = client.room("lobby");
  FakeSocket.last.say(presence({ seq: 1, count: 1, members: { a: online() } }));
  FakeSocket.last.say(presence({ seq: 2, count: 2_000, mode: "count" }));
  expect([there.count, there.members.size]).toEqual([2_000, 0]);
});

test("any order of differences and lists that a server can send leads to its list", () => {
  const keys = fc.constantFrom("a", "b", "c", "d");
  const change = fc.record({ join: fc.dictionary(keys, fc.nat({ max: 9 }).map(online)), leave: fc.uniqueArray(keys) });
  fc.assert(
    fc.property(fc.array(fc.tuple(change, fc.constantFrom("sent", "lost", "listed", "asked")), { maxLength: 30 }), (steps) => {
      client.room("property").forget();
      const { presence: own } = client.room("property");
      const say = (data: object) => FakeSocket.last.say({ type: "linkd.presence", data: { room: "property", ...data } });
      const truth = new Map<string, object>();
      let seq = 1;
      let known = 1;
      const list = () => say({ seq, count: truth.size, members: Object.fromEntries(truth) });
      list();
      for (const [{ join, leave }, fate] of steps) {
        const entries = Object.entries(join).filter(([key]) => !leave.includes(key as "a"));
        for (const [key, member] of entries) truth.set(key, member);
        for (const key of leave) truth.delete(key);
        seq++;
        if (fate === "asked") say({ seq, since: known, count: truth.size, update: Object.fromEntries(truth), leave: ["a", "b", "c", "d"].filter((key) => !truth.has(key)) });
        if (fate === "sent") say({ seq, count: truth.size, join: Object.fromEntries(entries), leave });
        if (fate === "listed") list();
        if (fate === "listed" || fate === "asked" || (fate === "sent" && known === seq - 1)) known = seq;
      }
      list();
      expect(Object.fromEntries(own.members)).toEqual(Object.fromEntries(truth));
      expect(own.count).toBe(truth.size);
    }),
  );
});
