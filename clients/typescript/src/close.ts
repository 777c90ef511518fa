/**
 * Close codes after which a client comes back by itself (RFC 6455 §7.4, docs/protocol.md "Closing"). After 4401 it does
 * with another token, and after every other one of the table not at all.
 */
const COME_BACK = [1001, 1006, 1011, 1012, 1013, 4408, 4410];
const STAY_AWAY = [1000, 1002, 1003, 1007, 1008, 1009];

export const ABNORMAL = 1006;
export const NORMAL = 1000;
export const UNAUTHORIZED = 4401;
/** A client's own, for a connection that it gives up; the server keeps the session then. */
export const GIVEN_UP = 4000;

export const comesBack = (code: number): boolean => COME_BACK.includes(code) || (code < 3000 && !STAY_AWAY.includes(code));
