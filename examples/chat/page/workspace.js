import { createClient } from "/linkd/client.js";
import { Banner } from "./banner.js";
import { ChatRoom } from "./chatroom.js";
import { Composer } from "./composer.js";
import { avatar, byId, element, notice } from "./elements.js";
import { MessageList } from "./messages.js";
import { Panel } from "./panels.js";
import { PeoplePanel, TypingLine } from "./people.js";
import { confirmLeaving, InviteDialog, NewRoomDialog, RoomList } from "./rooms.js";

const READ_AFTER = 600;
const ROOM_KEY = "linkd.chat.room";
const UNAUTHORIZED = 4401;
const MOST_LISTED = 500;

/** Everything behind the sign-in: it hands what the server says to the views, and what the user does to the server. */
export class Workspace {
  #onSignOut;
  #onRefused;
  #view = byId("workspace");
  #me = { id: "", username: "" };
  #account = null;
  #client = null;
  #chatRooms = new Map();
  #current = null;
  #readTimer = 0;
  #lastRead = new Map();
  #roomsTimer = 0;

  #handlers = {
    onMessage: (room, message) => this.#receive(room, message),
    onPeople: (room) => this.#drawPeople(room),
    onDrawn: (room) => room === this.#current && this.#messages.update(),
    onMissed: () => this.#refreshRoomsSoon(),
    onGone: (room) => this.#roomGone(room.id),
    onAway: (isAway) => this.#banner.setAway(isAway),
  };
  #rooms = new RoomList((roomId) => this.#choose(roomId));
  #messages = new MessageList(this.#me, {
    onOlderNeeded: (conversation) => this.#loadOlder(conversation),
    onRetry: (conversation, message) => this.#chatRooms.get(conversation.roomId)?.transmit(message),
    onDiscard: (conversation, message) => {
      conversation.discard(message);
      this.#messages.update();
      this.#composer.focus();
    },
    onSeen: () => this.#noteSeen(),
  });
  #composer = new Composer({
    onSend: (text) => this.#send(text),
    onTyping: (isTyping) => this.#tellTyping(isTyping),
  });
  #people = new PeoplePanel(this.#me);
  #typing = new TypingLine();
  #banner = new Banner(() => (this.#client?.state === "closed" ? this.#client.connect() : this.#client?.wake()));
  #invite = new InviteDialog((user) => this.#inviteToCurrent(user));
  #drawer = new Panel({
    panel: byId("drawer"),
    opener: byId("menu"),
    closer: byId("drawer-close"),
    others: [byId("conversation"), byId("people")],
    narrow: "(max-width: 759px)",
    focusTarget: () => document.querySelector("#room-list [aria-current]") ?? document.querySelector("#room-list button"),
  });
  #peoplePanel = new Panel({
    panel: byId("people"),
    opener: byId("people-open"),
    closer: byId("people-close"),
    others: [byId("conversation"), byId("drawer")],
    narrow: "(max-width: 1079px)",
    focusTarget: () => byId("people-close"),
  });

  constructor({ onSignOut, onRefused }) {
    this.#onSignOut = onSignOut;
    this.#onRefused = onRefused;
    new NewRoomDialog({
      create: (room) => this.#account.createRoom(room),
      onCreated: (room) => this.#enterNew(room),
    });
    byId("sign-out").addEventListener("click", () => this.#onSignOut());
    byId("leave-room").addEventListener("click", () => this.#leave());
    byId("invite").addEventListener("click", () => this.#invite.open(this.#rooms.get(this.#current.id)));
    addEventListener("focus", () => {
      // Nothing came while the window was away, so what comes now is not "new".
      const conversation = this.#current?.conversation;
      if (conversation && conversation.readMarker === conversation.newest?.id) conversation.readMarker = null;
      this.#noteSeen();
    });
    addEventListener("blur", () => this.#markUnread());
    document.addEventListener("visibilitychange", () => this.#noteSeen());
    this.#view.addEventListener("keydown", (event) => this.#shortcut(event));
  }

  open(account) {
    this.#account = account;
    // The views hold on to this object, so it is filled rather than replaced.
    Object.assign(this.#me, account.user);
    this.#view.hidden = false;
    this.#drawMe();
    this.#drawTitle();
    this.#showNoRoom("Connecting…");
    const client = createClient("/ws/chat", { token: account.token });
    this.#client = client;
    client.onState((change) => this.#stateChanged(change));
    client.onError(({ error, source }) => console.warn(source, error));
    client.on("user.typing", (typing) => this.#receiveTyping(typing)); // it is volatile, and in no room's history
    client.on("room.added", ({ room, invitedBy }) => this.#roomAdded(room, invitedBy));
    client.on("room.removed", ({ roomId }) => this.#roomGone(roomId));
    client.onGap(({ events }) => events === undefined && this.#refreshRoomsSoon());
    client.connect();
    this.#begin();
  }

  close() {
    const client = this.#client;
    this.#client = null;
    this.#account = null;
    client?.close();
    clearTimeout(this.#readTimer);
    clearTimeout(this.#roomsTimer);
    for (const panel of [this.#drawer, this.#peoplePanel]) panel.close({ returnFocus: false });
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    this.#chatRooms.clear();
    this.#lastRead.clear();
    this.#setCurrent(null);
    this.#rooms.replace([]);
    this.#banner.draw({ state: "idle" });
    this.#view.hidden = true;
  }

  #stateChanged(change) {
    if (!this.#client) return;
    this.#banner.draw(change);
    this.#people.setStale(change.state !== "open");
    if (change.state !== "open") this.#typing.clear();
    if (change.state === "closed" && change.code === UNAUTHORIZED) this.#onRefused();
  }

  /** The first list of rooms: it waits for the connection, however long that takes. */
  async #begin() {
    const client = this.#client;
    for (;;) {
      try {
        await this.#refreshRooms({ timeout: 0 });
        break;
      } catch (error) {
        if (client !== this.#client) return;
        if (client.state === "closed") return;
        this.#banner.setAway(error.type === "SERVICE_UNAVAILABLE");
        await new Promise((resolve) => setTimeout(resolve, error.retryAfterMs ?? 1_000));
      }
    }
    if (client !== this.#client) return;
    const remembered = sessionStorage.getItem(ROOM_KEY);
    const room = this.#rooms.mine.find(({ id }) => id === remembered) ?? this.#rooms.mine[0];
    if (!room) this.#showNoRoom("Join a room, or make one, to start a conversation.");
    else {
      this.#openRoom(room.id);
      if (document.activeElement === document.body && !this.#isTouch) this.#composer.focus();
    }
  }

  /** On a touch screen, focusing the composer would raise the keyboard over the messages just asked for. */
  get #isTouch() {
    return this.#drawer.isOverlay || matchMedia("(pointer: coarse)").matches;
  }

  async #refreshRooms(options) {
    const { rooms } = await this.#client.call("room.list", undefined, { idempotent: true, ...options });
    if (!this.#client) return;
    this.#banner.setAway(false);
    this.#rooms.replace(rooms);
    const mine = new Set(this.#rooms.mine.map(({ id }) => id));
    for (const id of mine) this.#chatRoom(id);
    for (const id of [...this.#chatRooms.keys()]) if (!mine.has(id)) this.#roomGone(id);
    if (this.#current) this.#drawRoomBar();
    this.#drawTitle();
  }

  #refreshRoomsSoon() {
    clearTimeout(this.#roomsTimer);
    this.#roomsTimer = setTimeout(() => this.#refreshRooms().catch(() => {}), 300);
  }

  #chatRoom(id) {
    let room = this.#chatRooms.get(id);
    if (!room) {
      room = new ChatRoom(this.#client, id, this.#handlers);
      this.#chatRooms.set(id, room);
    }
    return room;
  }

  #choose(roomId) {
    this.#drawer.close({ returnFocus: false });
    this.#openRoom(roomId);
    if (this.#isTouch || !this.#rooms.get(roomId)?.isMember) byId("room-name").focus({ preventScroll: true });
    else this.#composer.focus();
  }

  async #openRoom(roomId) {
    const entry = this.#rooms.get(roomId);
    if (!entry?.isMember) {
      this.#offerToJoin(entry);
      return;
    }
    const room = this.#chatRoom(roomId);
    const { conversation } = room;
    const isSame = this.#current === room;
    if (!isSame) this.#setCurrent(room);
    const isFirst = !conversation.loaded;
    if (isFirst) this.#showLoading();
    else if (!isSame) this.#messages.show(conversation);
    try {
      await room.open();
      if (this.#current !== room) return;
      if (isFirst) {
        this.#placeReadMarker(conversation);
        this.#messages.show(conversation);
      }
      this.#rooms.change(roomId, { unread: 0 });
      this.#drawTitle();
    } catch (error) {
      if (this.#current === room && this.#client?.state !== "closed") this.#showProblem(roomId, error);
    }
  }

  #offerToJoin(entry) {
    this.#setCurrent(null);
    if (!entry) return;
    this.#rooms.setCurrent(entry.id);
    byId("room-name").textContent = entry.name;
    byId("room-meta").textContent = describe(entry);
    const join = element("button", { type: "button", class: "button primary", "data-testid": "join-room", text: `Join ${entry.name}` });
    join.addEventListener("click", () => {
      this.#rooms.change(entry.id, { isMember: true });
      this.#choose(entry.id);
      this.#refreshRoomsSoon();
    });
    this.#messages.showPlaceholder(
      element("p", { class: "placeholder-text", text: "You are not in this room. Members read what was said, and talk." }), join);
  }

  #setCurrent(room) {
    if (this.#current) {
      const { conversation } = this.#current;
      this.#composer.stopTyping();
      conversation.draft = this.#composer.text;
      conversation.readMarker = null;
      conversation.trim(false);
    }
    this.#current = room;
    this.#typing.clear();
    this.#rooms.setCurrent(room?.id ?? null);
    if (room) {
      sessionStorage.setItem(ROOM_KEY, room.id);
      this.#composer.open(this.#rooms.get(room.id)?.name ?? "the room", room.conversation.draft);
      this.#drawRoomBar();
    } else {
      this.#composer.close();
      this.#people.hide();
      byId("room-name").textContent = "";
      byId("room-meta").textContent = "";
    }
    this.#drawTitle();
  }

  #placeReadMarker(conversation) {
    const room = this.#rooms.get(conversation.roomId);
    const { messages } = conversation;
    const unread = room?.unread ?? 0;
    if (room?.lastReadMessageId === conversation.newest?.id) return;
    if (room?.lastReadMessageId && conversation.has(room.lastReadMessageId)) conversation.readMarker = room.lastReadMessageId;
    else if (unread > 0 && unread < messages.length) conversation.readMarker = messages[messages.length - 1 - unread].id;
  }

  async #loadOlder(conversation) {
    try {
      return await this.#chatRooms.get(conversation.roomId).loadOlder();
    } catch (error) {
      notice(`Could not load older messages: ${error.message}`);
      return false;
    }
  }

  #send(text) {
    this.#current.conversation.readMarker = null;
    this.#current.send(text);
    this.#messages.jumpToLatest();
  }

  #tellTyping(isTyping) {
    this.#current?.tellTyping(isTyping);
  }

  #noteSeen() {
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => this.#tellRead(), READ_AFTER);
  }

  #tellRead() {
    const room = this.#current;
    if (!room?.conversation.loaded || this.#client?.state !== "open") return;
    if (document.visibilityState !== "visible" || !document.hasFocus()) return;
    const newest = this.#messages.newestVisible();
    if (!newest) return;
    this.#rooms.change(room.id, { unread: 0 });
    this.#drawTitle();
    const last = this.#lastRead.get(room.id);
    if (last !== undefined && (last.id === newest.id || Date.parse(newest.createdAt) < Date.parse(last.createdAt))) return;
    this.#lastRead.set(room.id, newest);
    this.#client.call("chat.read", { message: newest.id }, { idempotent: true }).catch(() => {
      if (this.#lastRead.get(room.id) === newest) this.#lastRead.delete(room.id);
    });
  }

  #markUnread() {
    const conversation = this.#current?.conversation;
    if (conversation?.newest && this.#messages.isAtEnd) conversation.readMarker = conversation.newest.id;
  }

  #receive(room, message) {
    const isOwn = message.userId === this.#me.id;
    const isCurrent = this.#current === room;
    const isNew = room.conversation.add({ ...message, isFresh: true });
    if (!isNew) return;
    if (isCurrent) {
      this.#typing.set(message.userId, message.username, false);
      if (isOwn) this.#messages.update();
      else this.#messages.noteArrival();
    } else {
      room.conversation.trim(false);
    }
    const entry = this.#rooms.get(room.id);
    const isWatched = isCurrent && document.visibilityState === "visible" && document.hasFocus();
    if (!isOwn && !isWatched && entry) {
      this.#rooms.change(room.id, { unread: entry.unread + 1 });
      this.#drawTitle();
    }
  }

  #receiveTyping({ roomId, userId, username, isTyping }) {
    if (this.#current?.id === roomId && userId !== this.#me.id) this.#typing.set(userId, username, isTyping);
  }

  #roomAdded(room, invitedBy) {
    this.#rooms.add(room);
    this.#chatRoom(room.id);
    if (invitedBy) notice(`${invitedBy.username} let you into ${room.name}.`);
    this.#drawTitle();
  }

  #roomGone(roomId) {
    this.#chatRooms.get(roomId)?.forget();
    this.#chatRooms.delete(roomId);
    const entry = this.#rooms.get(roomId);
    if (entry?.isPrivate) this.#rooms.remove(roomId);
    else if (entry) this.#rooms.change(roomId, { isMember: false, unread: 0 });
    if (this.#current?.id === roomId) {
      this.#setCurrent(null);
      sessionStorage.removeItem(ROOM_KEY);
      this.#showNoRoom(entry ? `You left ${entry.name}. Choose another room.` : "Choose another room.");
    }
    this.#drawTitle();
  }

  #enterNew(room) {
    this.#rooms.add(room);
    this.#choose(room.id);
  }

  async #leave() {
    const roomId = this.#current?.id;
    const room = this.#rooms.get(roomId);
    this.#peoplePanel.close({ returnFocus: false });
    if (!room || !(await confirmLeaving(room))) return;
    try {
      await this.#client.call("room.leave", { room: roomId });
    } catch (error) {
      notice(`Could not leave ${room.name}: ${error.message}`);
      return;
    }
    this.#roomGone(roomId);
    if (this.#drawer.isOverlay) this.#drawer.open();
    else document.querySelector("#room-list button")?.focus();
  }

  async #inviteToCurrent(user) {
    const { user: invited, isNew } = await this.#client.call("room.invite", { room: this.#current.id, user });
    notice(isNew ? `${invited.username} is a member now.` : `${invited.username} is a member already.`);
  }

  #shortcut(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.altKey || event.ctrlKey || event.metaKey) return;
    const roomId = this.#rooms.neighbour(step);
    if (roomId === null) return;
    event.preventDefault();
    this.#choose(roomId);
  }

  #drawMe() {
    byId("me").replaceChildren(
      avatar(this.#me.id, this.#me.username),
      element("span", { class: "me-name", dir: "auto", text: this.#me.username || "Signed in" }));
  }

  #drawRoomBar() {
    const room = this.#rooms.get(this.#current.id);
    byId("room-name").textContent = room?.name ?? "Room";
    byId("room-meta").textContent = room ? describe(room) : "";
    this.#drawPeople(this.#current);
  }

  #drawPeople(room) {
    if (this.#current !== room) return;
    const { people } = room;
    this.#people.draw(people, this.#rooms.get(room.id) ?? {});
    this.#people.setStale(room.isStale);
    if (people.length && this.#rooms.get(room.id)?.memberCount !== people.length && people.length < MOST_LISTED) {
      this.#rooms.change(room.id, { memberCount: people.length });
      byId("room-meta").textContent = describe(this.#rooms.get(room.id));
    }
  }

  #drawTitle() {
    const unread = this.#rooms.unread;
    const room = this.#current ? this.#rooms.get(this.#current.id)?.name : null;
    document.title = `${unread ? `(${unread}) ` : ""}${room ? `${room} · ` : ""}Linkd chat`;
    byId("menu-dot").hidden = !this.#rooms.mine.some((other) => other.unread && other.id !== this.#current?.id);
  }

  #showLoading() {
    const lines = [0, 1, 2, 3].map((index) => element("div", { class: `skeleton skeleton-${index}` }));
    this.#messages.showPlaceholder(element("span", { class: "visually-hidden", text: "Loading messages…" }), ...lines);
  }

  #showNoRoom(sentence) {
    this.#composer.close();
    this.#people.hide();
    this.#messages.showPlaceholder(element("p", { class: "placeholder-text", text: sentence }));
  }

  #showProblem(roomId, error) {
    this.#messages.showPlaceholder(
      element("p", { class: "placeholder-text", text: `This room could not be opened. ${error.message}` }),
      element("button", { type: "button", class: "button", text: "Try again", onclick: () => this.#openRoom(roomId) }));
  }
}

function describe({ isPrivate, memberCount }) {
  const kind = isPrivate ? "Private" : "Public";
  return memberCount === undefined ? kind : `${kind} · ${memberCount} ${memberCount === 1 ? "member" : "members"}`;
}
