import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Client, createClient } from "../src/index.js";
import { msgpack } from "../src/msgpack.js";
import { upload } from "../src/streams.js";
import { FakeSocket, fresh } from "./fakes.js";

let client: Client;
const bytes = new Uint8Array(100_000).map((_, index) => index % 251);
const chunks = () => FakeSocket.last.sent.filter((one) => one instanceof Uint8Array);
const joined = () => chunks().flatMap((chunk) => [...chunk]);
const until = (holds: () => boolean) => vi.waitUntil(holds, { interval: 1, timeout: 8_000 });

beforeEach(async () => {
  fresh();
  vi.useRealTimers();
  client = createClient("ws://localhost/ws", { WebSocket: FakeSocket });
  client.onError(() => {});
  client.connect();
  await until(() => FakeSocket.all.length === 1);
  FakeSocket.last.welcome({ retry: { baseMs: 50, jitter: 0 } });
});

afterEach(() => {
  client.close();
  vi.restoreAllMocks();
});

test("a stream is announced, sent in chunks, ended, and answered", async () => {
  const progress: number[] = [];
  const answer = upload(client, "file.upload", { name: "a" }, new Blob([bytes]), { onProgress: (sent) => progress.push(sent) });
  await until(() => chunks().at(-1)?.length === 0);
  expect(FakeSocket.last.sent[0]).toEqual({ type: "file.upload", data: { name: "a" }, stream: true, id: 1 });
  expect(new Uint8Array(joined())).toEqual(bytes);
  expect(progress).toEqual([32_768, 65_536, 98_304, 100_000]);
  FakeSocket.last.answer(1, { size: 100_000 });
  expect(await answer).toEqual({ size: 100_000 });
});

test("chunks are no larger than the server takes", async () => {
  FakeSocket.last.end();
  await until(() => FakeSocket.all.length === 2);
  FakeSocket.last.welcome({ resumed: true, received: 0, maxMessageSize: 1_000 });
  void upload(client, "file.upload", null, bytes.slice(0, 5_000)).catch(() => {});
  await until(() => chunks().at(-1)?.length === 0);
  expect(Math.max(...chunks().map((chunk) => chunk.length))).toBeLessThan(1_000);
});

test("nothing more is sent once the answer is there", async () => {
  FakeSocket.last.bufferedAmount = 1_000_000;
  const answer = upload(client, "file.upload", null, bytes);
  await until(() => FakeSocket.last.sent.length === 1);
  FakeSocket.last.say({ type: "error", id: 1, error: { code: 413, type: "PAYLOAD_TOO_LARGE" } });
  await expect(answer).rejects.toMatchObject({ code: 413 });
  FakeSocket.last.bufferedAmount = 0;
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(chunks()).toEqual([]);
});

test("giving it up tells the server", async () => {
  const abort = new AbortController();
  const answer = upload(client, "file.upload", null, bytes, { signal: abort.signal });
  await until(() => chunks().length > 0);
  abort.abort(new Error("enough"));
  await expect(answer).rejects.toThrow("enough");
  expect(FakeSocket.last.sent.at(-1).type).toBe("linkd.abort");
});

test("one whose announcement did not come begins anew over the next connection", async () => {
  const answer = upload(client, "file.upload", null, bytes);
  await until(() => chunks().length > 0);
  FakeSocket.last.end();
  await until(() => FakeSocket.all.length === 2);
  FakeSocket.last.welcome({ resumed: true, received: 0 });
  await until(() => chunks().at(-1)?.length === 0);
  expect(new Uint8Array(joined())).toEqual(bytes);
  FakeSocket.last.answer(1, "whole");
  expect(await answer).toBe("whole");
});

test("MessagePack carries what messages carry", () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constant(null), fc.boolean(), fc.integer(), fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)), fc.string({ unit: "grapheme" }),
      fc.uint8Array(), fc.array(tie("value")), fc.dictionary(fc.string().filter((key) => key !== "__proto__"), tie("value"), { noNullPrototype: true }),
    ),
  })).value;
  fc.assert(fc.property(value, (data) => {
    const payload = msgpack.encode({ type: "a.b", data, id: 1, error: undefined }) as Uint8Array<ArrayBuffer>;
    const back = msgpack.decode(payload.buffer.slice(payload.byteOffset, payload.byteOffset + payload.byteLength)) as { data: unknown };
    expect(back).toEqual({ type: "a.b", data, id: 1 });
  }));
});
