/** The client of Linkd. `linkd-client/core` is the same without rooms. */
import { createClient as createCoreClient } from "./client.js";
import { createRooms } from "./rooms.js";
import type { AnyApi, Api, Client, ClientOptions } from "./types.js";

/** Makes a client. Nothing happens before `connect()`. */
export function createClient<A extends Api = AnyApi>(url: string, options?: ClientOptions): Client<A> {
  const client = createCoreClient<A>(url, options) as Client<A>;
  return Object.assign(client, { room: createRooms<A>(client) });
}

export { ConnectionLost, type ErrorBody, LinkdError, Timeout } from "./errors.js";
export type * from "./types.js";
