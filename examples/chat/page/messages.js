import { avatar, byId, element } from "./elements.js";
import { dayKey, dayName, fullTimeOf, timeOf } from "./times.js";

const SHOWN_AT_MOST = 500;
const SHOWN_AT_FIRST = 50;
const STEP = 50;
const NEAR_EDGE = 500;
const NEAR_END = 60;
const GROUP_WITHIN = 5 * 60_000;

/**
 * The scrolling log. It shows a window of at most SHOWN_AT_MOST messages of a conversation:
 * from #firstId up to #lastId, or up to the end and beyond (pending ones) when #lastId is null.
 */
export class MessageList {
  #scroll = byId("message-scroll");
  #list = byId("messages");
  #jump = byId("jump");
  #jumpText = byId("jump-text");
  #rows = new Map();
  #conversation = null;
  #me = null;
  #firstId = null;
  #lastId = null;
  #atEnd = true;
  #height = 0;
  #unseen = 0;
  #loadingOlder = false;
  #frame = 0;
  #busyTimer = 0;
  #handlers;

  constructor(me, handlers) {
    this.#me = me;
    this.#handlers = handlers;
    this.#scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => {
      this.jumpToLatest();
      this.#scroll.focus({ preventScroll: true });
    });
    // The keyboard of a phone, a growing composer or the banner must not push the newest message out of sight.
    new ResizeObserver(() => {
      this.#height = this.#scroll.clientHeight;
      if (this.#atEnd) this.#toEnd();
    }).observe(this.#scroll);
  }

  show(conversation) {
    this.#conversation = conversation;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.jumpToLatest();
    this.#draw({ quiet: true });
  }

  showPlaceholder(...nodes) {
    this.#conversation = null;
    this.#rows.clear();
    this.#jump.hidden = true;
    this.#list.replaceChildren(element("div", { class: "placeholder" }, ...nodes));
  }

  jumpToLatest() {
    const messages = this.#messages;
    this.#firstId = messages[Math.max(0, messages.length - SHOWN_AT_FIRST)]?.id ?? null;
    this.#lastId = null;
    this.#atEnd = true;
    this.#unseen = 0;
    this.#conversation?.trim(true);
    this.update();
  }

  /** Bursts of messages cost one drawing a frame; a hidden page has no frames, so a timer stands in. */
  update() {
    if (this.#frame) return;
    this.#frame = 1;
    const draw = () => {
      this.#frame = 0;
      this.#draw();
    };
    if (document.visibilityState === "visible") requestAnimationFrame(draw);
    else setTimeout(draw, 200);
  }

  noteArrival() {
    if (!this.#atEnd) this.#unseen += 1;
    this.update();
  }

  get isAtEnd() {
    return this.#atEnd;
  }

  newestVisible() {
    const messages = this.#messages;
    if (this.#atEnd) return messages[messages.length - 1] ?? null;
    const bottom = this.#scroll.getBoundingClientRect().bottom;
    for (let index = this.#end() - 1; index >= 0; index -= 1) {
      const row = this.#rows.get(messages[index].key);
      if (!row) break;
      if (row.node.getBoundingClientRect().bottom <= bottom + 4) return messages[index];
    }
    return null;
  }

  get #messages() {
    return this.#conversation?.messages ?? [];
  }

  #start() {
    const index = this.#messages.findIndex((message) => message.id === this.#firstId);
    return index >= 0 ? index : Math.max(0, this.#messages.length - SHOWN_AT_FIRST);
  }

  #end() {
    if (this.#lastId === null) return this.#messages.length;
    const index = this.#messages.findIndex((message) => message.id === this.#lastId);
    return index >= 0 ? index + 1 : this.#messages.length;
  }

  #setWindow(start, end) {
    const messages = this.#messages;
    this.#firstId = messages[start]?.id ?? null;
    this.#lastId = end < messages.length ? messages[end - 1].id : null;
  }

  #scrolled() {
    if (!this.#conversation) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroll;
    const below = scrollHeight - scrollTop - clientHeight;
    // A scroll that comes of a resize says nothing about the reader; the observer, which runs next, settles it.
    if (clientHeight !== this.#height) return;
    this.#atEnd = this.#lastId === null && below < NEAR_END;
    if (this.#atEnd) this.#unseen = 0;
    this.#drawJump(below);
    if (scrollTop < NEAR_EDGE) this.#extendUp();
    if (below < NEAR_EDGE && this.#lastId !== null) this.#extendDown();
    this.#handlers.onSeen();
  }

  #extendUp() {
    const start = this.#start();
    if (start > 0) {
      const first = Math.max(0, start - STEP);
      this.#setWindow(first, Math.min(this.#end(), first + SHOWN_AT_MOST));
      this.#draw({ quiet: true });
    } else if (this.#conversation.hasMore && this.#conversation.loaded) {
      this.#loadOlder();
    }
  }

  #extendDown() {
    const end = Math.min(this.#messages.length, this.#end() + STEP);
    this.#setWindow(Math.max(this.#start(), end - SHOWN_AT_MOST), end);
    this.#draw({ quiet: true });
  }

  async #loadOlder() {
    if (this.#loadingOlder) return;
    const conversation = this.#conversation;
    this.#loadingOlder = true;
    this.update();
    const isLoaded = await this.#handlers.onOlderNeeded(conversation);
    this.#loadingOlder = false;
    if (conversation !== this.#conversation) return;
    if (isLoaded) this.#extendUp();
    this.update();
  }

  #draw({ quiet = false } = {}) {
    const conversation = this.#conversation;
    if (!conversation) return;
    const messages = conversation.messages;
    let start = this.#start();
    let end = this.#end();
    if (end - start > SHOWN_AT_MOST) {
      // At the end the oldest rows go; while reading further up, the rows below the reader do.
      if (this.#atEnd) start = end - SHOWN_AT_MOST;
      else end = start + SHOWN_AT_MOST;
    }
    this.#setWindow(start, end);

    const anchor = this.#atEnd ? null : this.#firstVisibleRow();
    const anchorTop = anchor?.getBoundingClientRect().top;
    // Screen readers are told of new messages, not of history being loaded or put away.
    this.#setBusy(quiet || this.#loadingOlder);
    this.#place(this.#wantedRows(start, end));
    if (this.#atEnd) this.#toEnd();
    else if (anchor?.isConnected) this.#scroll.scrollTop += anchor.getBoundingClientRect().top - anchorTop;

    this.#drawJump(this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight);
    this.#handlers.onSeen();
    if (messages.length && this.#scroll.scrollTop < NEAR_EDGE && !this.#loadingOlder && (start > 0 || conversation.hasMore)
        && this.#scroll.scrollHeight <= this.#scroll.clientHeight) {
      // Too little to scroll: without this, older messages could never be asked for.
      this.#extendUp();
    }
  }

  #setBusy(isBusy) {
    clearTimeout(this.#busyTimer);
    this.#scroll.setAttribute("aria-busy", String(isBusy));
    if (isBusy) this.#busyTimer = setTimeout(() => this.#setBusy(this.#loadingOlder), 300);
  }

  #wantedRows(start, end) {
    const conversation = this.#conversation;
    const { messages, readMarker } = conversation;
    const wanted = [];
    if (start === 0 && conversation.loaded) wanted.push(this.#edgeRow(conversation));
    let previous = null;
    const push = (item) => {
      const isNewDay = !previous || dayKey(previous.createdAt) !== dayKey(item.createdAt);
      if (isNewDay) wanted.push(this.#dividerRow(`d-${dayKey(item.createdAt)}`, dayName(item.createdAt), "day"));
      const isFirstNew = readMarker !== null && previous?.id === readMarker && !this.#isOwn(item);
      if (isFirstNew) wanted.push(this.#dividerRow("new", "New", "new"));
      const isGrouped = !isNewDay && !isFirstNew && this.#follows(previous, item);
      wanted.push(this.#messageRow(item, isGrouped));
      previous = item;
    };
    for (let index = start; index < end; index += 1) push(messages[index]);
    if (this.#lastId === null) for (const pending of conversation.pending) push(pending);
    return wanted;
  }

  #follows(previous, item) {
    if (isNotice(previous) || isNotice(item)) return false;
    const isSameAuthor = this.#isOwn(item) ? this.#isOwn(previous) : previous.userId === item.userId;
    return isSameAuthor && Date.parse(item.createdAt) - Date.parse(previous.createdAt) < GROUP_WITHIN;
  }

  #isOwn(item) {
    return item.state !== undefined || (this.#me.id !== "" && String(item.userId) === String(this.#me.id));
  }

  #row(key, create) {
    let row = this.#rows.get(key);
    if (!row) {
      row = create();
      this.#rows.set(key, row);
    }
    row.key = key;
    return row;
  }

  #edgeRow(conversation) {
    const row = this.#row("edge", () => ({ node: element("p", { class: "edge" }) }));
    const isEmpty = !conversation.messages.length && !conversation.pending.length;
    row.node.textContent = this.#loadingOlder ? "Loading older messages…"
      : conversation.hasMore ? "Scroll up for older messages"
        : isEmpty ? "No messages here yet. Say hello." : "This is where the conversation begins.";
    row.node.classList.toggle("empty", isEmpty);
    return row;
  }

  #dividerRow(key, text, kind) {
    return this.#row(key, () => ({
      node: element("div", { class: `divider ${kind}`, role: "separator", "aria-label": text }, element("span", { text })),
    }));
  }

  #messageRow(item, isGrouped) {
    const row = this.#row(item.key, () => isNotice(item) ? noticeRow(item) : this.#createMessageRow(item));
    row.node.classList.toggle("grouped", isGrouped);
    row.paint?.(item, isGrouped);
    return row;
  }

  #createMessageRow(item) {
    const isOwn = this.#isOwn(item);
    const author = isOwn ? "You" : item.username ?? "Someone";
    const time = element("time");
    const byline = element("div", { class: "byline" }, element("span", { class: "author", dir: "auto", text: author }), time);
    const bubble = element("p", { class: "bubble", dir: "auto", text: item.content });
    const status = element("div", { class: "status", hidden: true });
    const node = element("div", { class: `message${isOwn ? " own" : ""}`, "data-testid": "message" },
      isOwn ? null : avatar(item.userId, author),
      element("div", { class: "body" }, byline, bubble, status));
    // Older history appears in place; only what is newly said moves in.
    if (item.isFresh || item.state === "sending") node.classList.add("fresh");
    let painted = "";
    const paint = (current) => {
      const state = current.state ?? "sent";
      const signature = JSON.stringify([state, current.id, current.createdAt, current.problem, current.isHeld]);
      if (signature === painted) return;
      painted = signature;
      node.dataset.state = state;
      node.dataset.messageId = current.id ?? "";
      time.dateTime = current.createdAt;
      time.textContent = timeOf(current.createdAt);
      bubble.title = fullTimeOf(current.createdAt);
      status.replaceChildren(...this.#statusOf(current));
      status.hidden = !status.hasChildNodes();
    };
    return { node, paint };
  }

  #statusOf(item) {
    if (item.state === "sending") return [element("span", { text: "Sending…" })];
    if (item.state !== "failed" && item.state !== "unconfirmed") return [];
    return [
      element("span", { text: item.state === "failed" ? `Not sent. ${item.problem ?? ""}`.trim() : "Not confirmed. Send it again?" }),
      element("span", { class: "status-actions" },
        element("button", {
          type: "button", class: "link", "data-testid": "retry", text: "Retry", disabled: item.isHeld,
          onclick: () => this.#handlers.onRetry(this.#conversation, item),
        }),
        element("button", {
          type: "button", class: "link", "data-testid": "discard", text: "Discard",
          onclick: () => this.#handlers.onDiscard(this.#conversation, item),
        })),
    ];
  }

  #place(wanted) {
    const kept = new Set(wanted.map((row) => row.key));
    for (const [key, row] of this.#rows) {
      if (kept.has(key)) continue;
      row.node.remove();
      this.#rows.delete(key);
    }
    // Nodes already in place are never moved: moving would announce them again and lose the selection.
    let cursor = this.#list.firstChild;
    for (const { node } of wanted) {
      if (node === cursor) cursor = cursor.nextSibling;
      else this.#list.insertBefore(node, cursor);
    }
    while (cursor) {
      const next = cursor.nextSibling;
      cursor.remove();
      cursor = next;
    }
  }

  #firstVisibleRow() {
    const top = this.#scroll.getBoundingClientRect().top;
    for (const node of this.#list.children) {
      if (node.classList.contains("message") && node.getBoundingClientRect().bottom > top) return node;
    }
    return null;
  }

  #toEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  #drawJump(below) {
    const isFar = this.#lastId !== null || below > 300 || (this.#unseen > 0 && !this.#atEnd);
    this.#jump.hidden = !isFar;
    this.#jumpText.textContent = this.#unseen === 0 ? "Latest messages"
      : this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
  }
}

function isNotice(item) {
  return item.messageType === "system";
}

function noticeRow(item) {
  return { node: element("p", { class: "room-notice", "data-testid": "message", "data-message-id": item.id, text: item.content, title: fullTimeOf(item.createdAt) }) };
}
