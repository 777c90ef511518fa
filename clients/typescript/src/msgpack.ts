/** Messages in MessagePack: `createClient(url, { codec: msgpack })`. */
import { decode, encode } from "@msgpack/msgpack";
import type { Codec } from "./types.js";

export const msgpack: Codec = {
  subprotocol: "linkd.v1+msgpack",
  binary: true,
  encode: (message) => encode(message, { ignoreUndefined: true }),
  decode: (data) => decode(data as ArrayBuffer),
};
