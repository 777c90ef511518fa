/** A network of the test's own: sockets that open, speak and break when the test says so. */
import { vi } from "vitest";
import type { WebSocketLike } from "../src/types.js";

export class FakeSocket implements WebSocketLike {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }

  binaryType = "blob";
  bufferedAmount = 0;
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  sent: any[] = [];
  closedWith: number | undefined | null = null;

  constructor(readonly url: string, readonly protocols: string[]) {
    FakeSocket.all.push(this);
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  /** The server sends a message. */
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  welcome(more: object = {}): void {
    this.say({ type: "linkd.welcome", data: { session: "s", resume: "t", ...more } });
  }

  answer(id: number, data: unknown): void {
    this.say({ type: "response", id, data });
  }

  /** The connection ends. */
  end(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

/** Waits until what was promised is done, without letting time pass. */
export const settled = () => vi.advanceTimersByTimeAsync(0);

export function fresh(): void {
  FakeSocket.all = [];
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  vi.spyOn(Math, "random").mockReturnValue(0);
}
