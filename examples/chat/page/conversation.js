import { randomUuid } from "./elements.js";

const KEPT_WHEN_HIDDEN = 200;
const KEPT_WHEN_SHOWN = 5_000;

/**
 * What the page knows of one room: confirmed messages in order, then its own messages not yet confirmed.
 *
 * `syncedOn` is the number of the connection on which the history was last fetched; on any later
 * connection there may be a gap after `newestBeforeGap`.
 */
export class Conversation {
  messages = [];
  pending = [];
  hasMore = true;
  loaded = false;
  syncedOn = 0;
  newestBeforeGap = null;
  readMarker = null;
  draft = "";
  #byId = new Map();

  constructor(roomId) {
    this.roomId = roomId;
  }

  has(messageId) {
    return this.#byId.has(messageId);
  }

  get newest() {
    return this.messages[this.messages.length - 1] ?? null;
  }

  get oldest() {
    return this.messages[0] ?? null;
  }

  add(message) {
    if (this.#byId.has(message.id)) return false;
    const own = this.#settledBy(message);
    // The row of an optimistic message stays the same element when the server confirms it.
    const stored = { ...message, key: own ? own.key : `m-${message.id}` };
    this.#byId.set(stored.id, stored);
    let index = this.messages.length;
    while (index > 0 && isBefore(stored, this.messages[index - 1])) index -= 1;
    this.messages.splice(index, 0, stored);
    return true;
  }

  addOlder(page, hasMore) {
    for (const message of page) this.add(message);
    this.hasMore = hasMore;
  }

  /** Merges the latest page; when it does not reach back to what was known, the older part goes rather than leave a hole. */
  addLatest(page, hasMore, connectionNumber) {
    const known = this.newestBeforeGap;
    const joins = known !== null && page.some((message) => message.id === known);
    for (const message of page) this.add(message);
    if (!joins) {
      if (page.length && hasMore) this.#dropBefore(page[0].id);
      this.hasMore = hasMore;
    }
    this.loaded = true;
    this.syncedOn = connectionNumber;
    this.newestBeforeGap = null;
  }

  /** Call when the connection is lost: from here on messages may be missed. */
  openGap() {
    if (this.newestBeforeGap === null) this.newestBeforeGap = this.newest?.id ?? null;
  }

  write(content) {
    const message = { key: randomUuid(), content, state: "sending", createdAt: new Date().toISOString() };
    this.pending.push(message);
    return message;
  }

  discard(pending) {
    this.pending = this.pending.filter((message) => message !== pending);
  }

  trim(isShown) {
    const excess = this.messages.length - (isShown ? KEPT_WHEN_SHOWN : KEPT_WHEN_HIDDEN);
    if (excess > 0) this.#dropFirst(excess);
  }

  #settledBy(message) {
    const own = this.pending.find((pending) => pending.key === message.key);
    if (own) this.discard(own);
    return own;
  }

  #dropBefore(messageId) {
    const index = this.messages.findIndex((message) => message.id === messageId);
    if (index > 0) this.#dropFirst(index);
  }

  #dropFirst(count) {
    for (const message of this.messages.splice(0, count)) this.#byId.delete(message.id);
    this.hasMore = true;
  }
}

function isBefore(a, b) {
  const difference = Date.parse(a.createdAt) - Date.parse(b.createdAt);
  if (difference !== 0) return difference < 0;
  // Date.parse stops at milliseconds, the server's times may not.
  return a.createdAt < b.createdAt;
}
