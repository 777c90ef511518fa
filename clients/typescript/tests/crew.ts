/**
 * Many clients in one process, for the benchmark `chaos`: each line of standard input is a command, each line of standard
 * output says what came. See benchmarks/chaos_libraries.py.
 */
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { type Client, ConnectionLost, createClient, LinkdError } from "../src/index.js";

const [url] = process.argv.slice(2) as [string];
const clients = new Map<number, Client>();
const say = (client: number, ...what: unknown[]) => process.stdout.write(`${JSON.stringify([client, ...what])}\n`);

function make(number: number): void {
  const client = createClient(url, { WebSocket: WebSocket as never, queue: { messages: 1_000 } });
  clients.set(number, client);
  client.on("*", (data, { type }) => say(number, "event", type, data));
  client.onGap(({ reason, events }) => say(number, "gap", reason, events ?? null));
  client.onState(({ state, code }) => say(number, "state", state, code ?? null));
  client.onError(({ error, source }) => say(number, "failed", source, String(error)));
  client.connect();
}

function ask(number: number, request: number, data: unknown): void {
  clients.get(number)!.call("chaos.ask", data, { timeout: 0 }).then(
    (answer) => say(number, "answer", request, answer),
    (error: LinkdError) => {
      if (error instanceof ConnectionLost) say(number, "lost", request, error.message);
      else say(number, "error", request, { code: error.code, type: error.type });
    },
  );
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, number, ...rest] = JSON.parse(line) as [string, number, ...any[]];
  if (name === "make") make(number);
  else if (name === "ask") ask(number, rest[0], rest[1]);
  else if (name === "wake") clients.get(number)!.wake();
  else if (name === "connect") clients.get(number)!.connect();
  else if (name === "close") clients.get(number)!.close();
});
