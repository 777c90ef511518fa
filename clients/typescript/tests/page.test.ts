import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Client, createClient } from "../src/index.js";
import { FakeSocket, fresh, settled } from "./fakes.js";

class Page extends EventTarget {
  visibilityState = "visible";
}

let client: Client;
let page: Page;
let document: Page;

const fire = (target: EventTarget, type: string, more: object = {}) => target.dispatchEvent(Object.assign(new Event(type), more));

beforeEach(async () => {
  fresh();
  page = new Page();
  document = new Page();
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  client = createClient("ws://localhost/ws", { WebSocket: FakeSocket });
  client.connect();
  await settled();
  FakeSocket.last.welcome();
  await vi.advanceTimersByTimeAsync(10_000);
});

afterEach(() => {
  client.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test.each(["online", "focus", "offline"])("%s has the connection prove that it lives", async (type) => {
  fire(page, type);
  const socket = FakeSocket.last;
  expect(socket.sent).toEqual([{ type: "linkd.ack", data: { received: 0, sent: 0, echo: true } }]);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(client.state).toBe("waiting");
});

test("an answer to that is enough", async () => {
  fire(page, "online");
  FakeSocket.last.say({ type: "linkd.ack", data: { received: 0, sent: 0 } });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(client.state).toBe("open");
});

test("a burst of events is one question", () => {
  for (let count = 0; count < 8; count++) fire(document, "visibilitychange");
  expect(FakeSocket.last.sent.length).toBe(1);
});

test("waking up connects at once, but not again and again", async () => {
  FakeSocket.last.end();
  fire(page, "focus");
  await settled();
  expect(FakeSocket.all.length).toBe(2);
  for (let second = 0; second < 100; second++) {
    if (client.state === "connecting") FakeSocket.last.end();
    fire(page, "focus");
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(FakeSocket.all.length).toBeLessThan(10);
});

test("waking up does not come before the time that the server asked for", async () => {
  FakeSocket.last.say({ type: "linkd.closing", data: { retryAfterMs: 60_000 } });
  FakeSocket.last.end(1001);
  fire(page, "focus");
  await vi.advanceTimersByTimeAsync(59_000);
  expect(FakeSocket.all.length).toBe(1);
});

test("an attempt that was begun before the page was seen again is given up for another", async () => {
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(500);
  await vi.advanceTimersByTimeAsync(3_000);
  fire(document, "visibilitychange");
  await settled();
  expect(FakeSocket.all.length).toBe(3);
});

test("a hidden page that failed once waits until it is seen", async () => {
  document.visibilityState = "hidden";
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(500);
  FakeSocket.last.end();
  await vi.advanceTimersByTimeAsync(59_000);
  expect(FakeSocket.all.length).toBe(2);
  fire(document, "visibilitychange");
  expect(FakeSocket.all.length).toBe(2);
  document.visibilityState = "visible";
  fire(document, "visibilitychange");
  await settled();
  expect(FakeSocket.all.length).toBe(3);
});

test("from the back/forward cache it comes back at once, without waiting for the old connection", async () => {
  const old = FakeSocket.last;
  fire(page, "pagehide", { persisted: true });
  expect(old.closedWith).toBe(null);
  fire(page, "pageshow", { persisted: true });
  await settled();
  expect(FakeSocket.all.length).toBe(2);
  expect(FakeSocket.last.protocols).toContain("linkd.resume.t.0");
  old.end();
  expect(FakeSocket.all.length).toBe(2);
});

test("a page that goes for good ends its session", () => {
  fire(page, "pagehide", { persisted: false });
  expect(FakeSocket.last.closedWith).toBe(1000);
});

test("nothing wakes a client that was closed", async () => {
  client.close();
  for (const type of ["online", "focus", "pageshow"]) fire(page, type, { persisted: true });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.all.length).toBe(1);
});

test("a page that slept reads what came before it judges", async () => {
  await vi.advanceTimersByTimeAsync(15_000);
  expect(FakeSocket.last.sent.length).toBe(1); // it has asked for a sign of life
  vi.setSystemTime(Date.now() + 60_000);
  const later = performance.now() + 60_000;
  vi.spyOn(performance, "now").mockImplementation(() => later);
  await vi.advanceTimersByTimeAsync(8_000);
  expect(client.state).toBe("open");
  FakeSocket.last.say({ type: "linkd.ack", data: { received: 0, sent: 0 } });
  expect(client.state).toBe("open");
});

test("a thousand reconnects leave no listener and no timer", async () => {
  const added = vi.spyOn(page, "addEventListener");
  for (let round = 0; round < 1_000; round++) {
    FakeSocket.last.end();
    await vi.advanceTimersByTimeAsync(40_000);
    FakeSocket.last.welcome({ resumed: true, received: 0 });
  }
  expect(added).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(1); // the heartbeat
});
