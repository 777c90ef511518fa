/** The client without rooms, for whom every kilobyte counts. */
export { createClient } from "./client.js";
export { ConnectionLost, type ErrorBody, LinkdError, Timeout } from "./errors.js";
export type * from "./types.js";
