import type { RetryPolicy } from "./protocol.js";

/** Milliseconds before the next attempt, after so many failures in a row: within the server's policy, a part random. */
export function backoff({ base, cap, jitter }: RetryPolicy, failures: number, random: () => number): number {
  return Math.min(cap, base * 2 ** Math.min(failures - 1, 30)) * (1 - jitter * random());
}
