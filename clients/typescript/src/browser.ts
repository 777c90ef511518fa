/** What gateways serve at `/linkd/client.js`: everything in one file, but MessagePack. */
export * from "./index.js";
export { upload } from "./streams.js";
