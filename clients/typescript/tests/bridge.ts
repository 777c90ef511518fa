/**
 * A session of the client for a test in another language: each line of standard input is a command, each line of
 * standard output says what came of it. See tests/clients/cores.py.
 */
import { createInterface } from "node:readline";
import type { LinkdError } from "../src/errors.js";
import { comesBack } from "../src/close.js";
import { ConnectionLost } from "../src/errors.js";
import { createSession, type Message, type Session } from "../src/protocol.js";

const JSON_CODEC = {
  subprotocol: "linkd.v1+json",
  encode: (message: unknown) => JSON.stringify(message),
  decode: (data: string | ArrayBuffer) => JSON.parse(data as string) as unknown,
};

let heard: unknown[][] = [];
const sessions = new Map<number, Session>();
const describe = (error: LinkdError | undefined) =>
  error && { code: error.code, type: error.type, sent: error instanceof ConnectionLost ? error.sent : null };

function make(random: number): Session {
  return createSession(
    JSON_CODEC,
    { messages: 256, characters: 262_144 },
    {
      welcome: (welcome) => heard.push(["welcome", welcome]),
      event: (message) => heard.push(["event", message]),
      control: (message) => heard.push(["control", message]),
      gap: (reason, events) => heard.push(["gap", reason, events ?? null]),
      failed: (error) => heard.push(["failed", describe(error)]),
      closing: (retryAfter) => heard.push(["closing", retryAfter]),
      broken: (reason, fault) => heard.push(["broken", reason, fault]),
    },
    () => random,
  );
}

const commands: Record<string, (session: Session, ...rest: any[]) => unknown> = {
  offers: (session) => session.offers(),
  dial: (session, now: number) => session.dial(now),
  detach: (session) => session.detach(),
  end: (session, reason: string) => session.end(reason),
  probe: (session, now: number) => session.probe(now),
  take: (session, now: number) => session.take(now),
  due: (session) => (session.due() === Infinity ? null : session.due()),
  pending: (session) => session.pending(),
  receive: (session, text: string, now: number) => session.receive(text, now),
  send(session, key: number, message: Message, answered: boolean, idempotent: boolean) {
    try {
      session.enqueue(message, { idempotent, settle: (error, data) => heard.push(["settled", key, describe(error) ?? null, data ?? null]) }, answered);
    } catch (error) {
      return describe(error as LinkdError);
    }
    return undefined;
  },
  reply: (session, message: Message) => void session.enqueue(message, { reply: true }),
  request: (session, key: number, type: string, data: unknown) =>
    void session.request(type, data, (error, answer) => heard.push(["settled", key, describe(error) ?? null, answer ?? null])),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const [number, name, ...rest] = JSON.parse(line) as [number, string, ...unknown[]];
  heard = [];
  let result: unknown;
  if (name === "make") sessions.set(number, make(rest[0] as number));
  else if (name === "forget") sessions.delete(number);
  else if (name === "comesBack") result = comesBack(rest[0] as number);
  else result = commands[name]!(sessions.get(number)!, ...rest);
  process.stdout.write(`${JSON.stringify([result ?? null, heard])}\n`);
});
