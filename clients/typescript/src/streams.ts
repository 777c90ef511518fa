/** Sending what is larger than a message: `await upload(client, "file.upload", { name }, file)`. */
import { coreOf } from "./client.js";
import type { CoreClient, WebSocketLike } from "./types.js";

export interface UploadOptions {
  signal?: AbortSignal;
  /** Called with the bytes that were sent so far. */
  onProgress?: (sent: number) => void;
  /** Milliseconds for all of it; no limit unless given. */
  timeout?: number;
}

/** Bytes of a chunk, where the server takes such messages. */
const CHUNK = 32_768;
/** Bytes that an encoding may add to a chunk. */
const ADDED = 16;
/** Bytes that wait in the socket. More would make progress a fiction, and the answers to other messages late. */
const WAITING = 131_072;
const PAUSE = 20;

/**
 * Announces a stream to a handler that takes streams, sends the chunks, and returns the handler's answer. A session
 * sends one at a time. A stream that was begun does not outlive its connection.
 *
 * @throws LinkdError what the server answered, such as 413, 499 where the connection broke, 409 `STREAM_OPEN`.
 */
export async function upload<R = unknown>(client: CoreClient<any>, type: string, data: unknown, body: Blob | Uint8Array<ArrayBuffer>, options: UploadOptions = {}): Promise<R> {
  const core = coreOf(client);
  const { onProgress, signal, timeout = 0 } = options;
  const blob = body instanceof Blob ? body : new Blob([body]);
  let answered = false;
  let streaming = 0; // over which connection, if the announcement is sent more than once
  try {
    return (await core.ask({ type, data, stream: true }, { timeout, ...(signal && { signal }) }, () => {
      const socket = core.socket()!;
      queueMicrotask(() => void send(socket, ++streaming));
    })) as R;
  } catch (error) {
    if (signal?.aborted) core.request("linkd.abort", undefined).catch(() => {}); // the session may be gone, and the stream with it
    throw error;
  } finally {
    answered = true;
  }

  async function send(socket: WebSocketLike, mine: number): Promise<void> {
    const open = () => !answered && mine === streaming && socket === core.socket();
    const size = Math.max(1, Math.min(CHUNK, core.session.limit() - ADDED));
    try {
      for (let start = 0; start < blob.size; start += size) {
        const chunk = new Uint8Array(await blob.slice(start, start + size).arrayBuffer());
        while (open() && socket.bufferedAmount > WAITING) await new Promise((resolve) => setTimeout(resolve, PAUSE));
        if (!open()) return;
        write(socket, chunk);
        onProgress?.(start + chunk.length);
      }
      if (open()) write(socket, new Uint8Array());
    } catch (error) {
      // The file changed, or cannot be read any more: the server waits for the rest in vain.
      core.report(error, type);
      if (open()) core.request("linkd.abort", undefined).catch(() => {});
    }
  }

  function write(socket: WebSocketLike, chunk: Uint8Array<ArrayBuffer>): void {
    socket.send(core.codec.binary ? core.codec.encode(chunk) : chunk);
  }
}
