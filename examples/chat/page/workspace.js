import { Banner } from "./banner.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { avatar, byId, element, notice } from "./elements.js";
import { MessageList } from "./messages.js";
import { Panel } from "./panels.js";
import { PeoplePanel, Presence, TypingLine } from "./people.js";
import { confirmLeaving, NewRoomDialog, RoomList } from "./rooms.js";
import { createRoom } from "./session.js";

const PAGE = 50;
const READ_AFTER = 600;
const ROOM_KEY = "linkd.chat.room";

/** Everything behind the sign-in: it hands what the server says to the views, and what the user does to the server. */
export class Workspace {
  #onSignOut;
  #onRefused;
  #view = byId("workspace");
  #me = { id: "", username: "" };
  #session = null;
  #connection = null;
  #connectionNumber = 0;
  #conversations = new Map();
  #current = null;
  #openNumber = 0;
  #presence = new Presence();
  #readTimer = 0;
  #lastRead = new Map();
  #roomsTimer = 0;

  #rooms = new RoomList((roomId) => this.#choose(roomId));
  #messages = new MessageList(this.#me, {
    onOlderNeeded: (conversation) => this.#loadOlder(conversation),
    onRetry: (conversation, message) => this.#transmit(conversation, message),
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
  #banner = new Banner(() => this.#connection?.retryNow());
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
      create: (room) => createRoom(this.#session.token, room),
      onCreated: (room) => this.#enterNew(room),
    });
    byId("sign-out").addEventListener("click", () => this.#onSignOut());
    byId("leave-room").addEventListener("click", () => this.#leave());
    addEventListener("focus", () => {
      // Nothing came while the window was away, so what comes now is not "new".
      if (this.#current && this.#current.readMarker === this.#current.newest?.id) this.#current.readMarker = null;
      this.#noteSeen();
    });
    addEventListener("blur", () => this.#markUnread());
    document.addEventListener("visibilitychange", () => this.#noteSeen());
    this.#view.addEventListener("keydown", (event) => this.#shortcut(event));
  }

  open(session) {
    const { user } = session;
    this.#session = session;
    // The views hold on to this object, so it is filled rather than replaced.
    Object.assign(this.#me, { id: String(user.id), username: user.username });
    this.#view.hidden = false;
    this.#drawMe();
    this.#drawTitle();
    this.#showNoRoom("Connecting…");
    const connection = new Connection({
      address: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat`,
      session,
      onState: (state) => { if (connection === this.#connection) this.#stateChanged(state); },
      onEvent: (type, data) => this.#handle(type, data),
      probe: (options) => this.#refreshRooms(options),
    });
    this.#connection = connection;
    connection.start();
  }

  close() {
    const connection = this.#connection;
    this.#connection = null;
    connection?.stop();
    clearTimeout(this.#readTimer);
    clearTimeout(this.#roomsTimer);
    for (const panel of [this.#drawer, this.#peoplePanel]) panel.close({ returnFocus: false });
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    this.#conversations.clear();
    this.#lastRead.clear();
    this.#presence = new Presence();
    this.#setCurrent(null);
    this.#rooms.replace([]);
    this.#banner.draw({ phase: "stopped" });
    this.#view.hidden = true;
  }

  #stateChanged(state) {
    this.#banner.draw(state);
    this.#people.setStale(state.phase !== "open");
    if (state.phase === "open") {
      this.#connectionNumber += 1;
      this.#synchronise();
    } else if (state.phase === "waiting" || state.phase === "ended") {
      this.#typing.clear();
      for (const conversation of this.#conversations.values()) conversation.openGap();
    } else if (state.phase === "refused") {
      this.#onRefused();
    }
  }

  async #synchronise() {
    const connection = this.#connection;
    try {
      await this.#refreshRooms();
      // In all of them first: what is said from here on comes as an event, and what was said before is counted below.
      await Promise.all(this.#rooms.all.filter((room) => room.isMember).map((room) => this.#join(room.id)));
      await this.#refreshRooms();
    } catch (error) {
      if (connection === this.#connection && connection.isOpen) notice(`Could not load the rooms: ${error.message}`);
    }
    if (connection !== this.#connection || !connection.isOpen) return;
    const remembered = sessionStorage.getItem(ROOM_KEY);
    const roomId = this.#current?.roomId
      ?? this.#rooms.all.find((room) => String(room.id) === remembered)?.id
      ?? this.#rooms.all[0]?.id;
    if (roomId === undefined) this.#showNoRoom("Make a room to start a conversation.");
    else {
      const opening = this.#openRoom(roomId);
      if (document.activeElement === document.body && !this.#isTouch) this.#composer.focus();
      await opening;
    }
  }

  /** On a touch screen, focusing the composer would raise the keyboard over the messages just asked for. */
  get #isTouch() {
    return this.#drawer.isOverlay || matchMedia("(pointer: coarse)").matches;
  }

  async #refreshRooms(options) {
    const { rooms } = await this.#connection.request("room.list", {}, options);
    this.#rooms.replace(rooms);
    if (this.#current) this.#drawRoomBar();
    this.#drawTitle();
  }

  #refreshRoomsSoon() {
    clearTimeout(this.#roomsTimer);
    this.#roomsTimer = setTimeout(() => this.#refreshRooms().catch(() => {}), 300);
  }

  async #choose(roomId) {
    this.#drawer.close({ returnFocus: false });
    const opening = this.#openRoom(roomId);
    if (this.#isTouch) byId("room-name").focus({ preventScroll: true });
    else this.#composer.focus();
    await opening;
  }

  async #openRoom(roomId) {
    const number = ++this.#openNumber;
    const isSame = this.#current?.roomId === roomId;
    const conversation = this.#conversationOf(roomId);
    if (!isSame) this.#setCurrent(conversation);
    if (!conversation.loaded) this.#showLoading();
    else if (!isSame) this.#messages.show(conversation);

    const isCurrent = () => number === this.#openNumber && conversation === this.#current;
    try {
      await this.#join(roomId);
      if (isCurrent()) this.#drawRoomBar();
      if (conversation.syncedOn !== this.#connectionNumber) {
        const connectionNumber = this.#connectionNumber;
        const { messages, hasMore } = await this.#connection.request("chat.history", { room: roomId, limit: PAGE });
        const isFirst = !conversation.loaded;
        conversation.addLatest(messages, hasMore, connectionNumber);
        if (isFirst) this.#placeReadMarker(conversation);
        if (isCurrent()) {
          if (isFirst) this.#messages.show(conversation);
          else this.#messages.update();
        }
      }
      this.#rooms.change(roomId, { unread: 0 });
      this.#drawTitle();
    } catch (error) {
      // While disconnected the banner speaks, and the next connection opens the room again.
      if (!isCurrent() || !this.#connection?.isOpen) return;
      if (conversation.loaded) notice(`This room may not be up to date: ${error.message}`);
      else this.#showProblem(roomId, error);
    }
  }

  async #join(roomId) {
    const { members, memberCount } = await this.#connection.request("room.join", { room: roomId });
    this.#presence.set(roomId, members);
    this.#rooms.change(roomId, { memberCount, isMember: true });
  }

  #conversationOf(roomId) {
    let conversation = this.#conversations.get(roomId);
    if (!conversation) {
      conversation = new Conversation(roomId);
      this.#conversations.set(roomId, conversation);
    }
    return conversation;
  }

  #setCurrent(conversation) {
    if (this.#current) {
      this.#composer.stopTyping();
      this.#current.draft = this.#composer.text;
      this.#current.readMarker = null;
      this.#current.trim(false);
    }
    this.#current = conversation;
    this.#typing.clear();
    this.#rooms.setCurrent(conversation?.roomId ?? null);
    byId("leave-room").hidden = !conversation;
    if (conversation) {
      sessionStorage.setItem(ROOM_KEY, String(conversation.roomId));
      this.#composer.open(this.#rooms.get(conversation.roomId)?.name ?? "the room", conversation.draft);
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
      const { messages, hasMore } = await this.#connection.request("chat.history",
        { room: conversation.roomId, limit: PAGE, before: conversation.oldest?.id });
      conversation.addOlder(messages, hasMore);
      return messages.length > 0;
    } catch (error) {
      if (error.answered) notice(`Could not load older messages: ${error.message}`);
      return false;
    }
  }

  #send(text) {
    const conversation = this.#current;
    conversation.readMarker = null;
    const message = conversation.write(text);
    this.#messages.jumpToLatest();
    this.#transmit(conversation, message);
  }

  async #transmit(conversation, message) {
    message.state = "sending";
    message.problem = undefined;
    this.#messages.update();
    try {
      const answer = await this.#connection.request("chat.send",
        { room: conversation.roomId, message: message.content, key: message.key });
      conversation.add(answer.message);
    } catch (error) {
      // Sent and never answered: it may well have arrived. With its key it is not said twice.
      message.state = error.sent && !error.answered ? "unconfirmed" : "failed";
      message.problem = error.message;
      if (error.retryAfterMs) this.#hold(message, error.retryAfterMs);
    }
    this.#messages.update();
  }

  #hold(message, delay) {
    message.isHeld = true;
    setTimeout(() => {
      message.isHeld = false;
      this.#messages.update();
    }, delay);
  }

  #tellTyping(isTyping) {
    if (!this.#current || !this.#connection?.isOpen) return;
    this.#connection.request("chat.typing", { room: this.#current.roomId, isTyping }, { suspicious: false }).catch(() => {});
  }

  #noteSeen() {
    clearTimeout(this.#readTimer);
    this.#readTimer = setTimeout(() => this.#tellRead(), READ_AFTER);
  }

  #tellRead() {
    const conversation = this.#current;
    if (!conversation?.loaded || !this.#connection?.isOpen) return;
    if (document.visibilityState !== "visible" || !document.hasFocus()) return;
    const newest = this.#messages.newestVisible();
    if (!newest) return;
    this.#rooms.change(conversation.roomId, { unread: 0 });
    this.#drawTitle();
    const last = this.#lastRead.get(conversation.roomId);
    if (last !== undefined && (last.id === newest.id || Date.parse(newest.createdAt) < Date.parse(last.createdAt))) return;
    this.#lastRead.set(conversation.roomId, newest);
    this.#connection.request("chat.read", { message: newest.id }, { suspicious: false }).catch(() => {
      if (this.#lastRead.get(conversation.roomId) === newest) this.#lastRead.delete(conversation.roomId);
    });
  }

  #markUnread() {
    if (this.#current?.newest && this.#messages.isAtEnd) this.#current.readMarker = this.#current.newest.id;
  }

  #handle(type, data) {
    if (type === "chat.message") this.#receive(data);
    else if (type === "user.typing") this.#receiveTyping(data);
    else if (type === "user.joined") this.#arrived(data);
    else if (type === "user.left") this.#departed(data);
    else if (type === "room.added") this.#added(data);
    else if (type === "room.removed") this.#removed(data.roomId);
    else if (type === "linkd.presence") this.#told(data);
  }

  #receive(message) {
    const { roomId } = message;
    const isOwn = String(message.userId) === this.#me.id;
    const isCurrent = this.#current?.roomId === roomId;
    const conversation = this.#conversations.get(roomId);
    const isNew = conversation ? conversation.add({ ...message, isFresh: true }) : true;
    const room = this.#rooms.get(roomId);
    if (!room) this.#refreshRoomsSoon();
    if (!isNew) return;
    if (isCurrent) {
      this.#typing.set(String(message.userId), message.username, false);
      if (isOwn) this.#messages.update();
      else this.#messages.noteArrival();
    }
    const isWatched = isCurrent && document.visibilityState === "visible" && document.hasFocus();
    if (!isOwn && !isWatched && room) {
      this.#rooms.change(roomId, { unread: room.unread + 1 });
      this.#drawTitle();
    }
    if (!isCurrent) conversation?.trim(false);
  }

  #receiveTyping({ roomId, userId, username, isTyping }) {
    if (this.#current?.roomId !== roomId || String(userId) === this.#me.id) return;
    this.#typing.set(String(userId), username, isTyping);
  }

  #arrived({ userId, username, roomId }) {
    this.#presence.add(roomId, userId, username);
    this.#drawPeople();
  }

  #departed({ userId, roomId }) {
    this.#presence.remove(roomId, userId);
    if (roomId === this.#current?.roomId) this.#typing.set(String(userId), null, false);
    this.#drawPeople();
  }

  /** The gateway calls a room of the chat `chat:` and its id. */
  #told(presence) {
    this.#presence.told(presence.room.replace(/^chat:/, ""), presence);
    this.#drawPeople();
  }

  /** The user is a member of a room since now: by another window, or since somebody let them in. */
  async #added({ room, invitedBy }) {
    this.#rooms.add(room);
    if (invitedBy) notice(`${invitedBy.username} let you into ${room.name}.`);
    try {
      await this.#join(room.id);
    } catch (error) {
      if (error.answered) notice(`Could not join ${room.name}: ${error.message}`);
    }
    this.#refreshRoomsSoon();
  }

  #removed(roomId) {
    this.#conversations.delete(roomId);
    this.#presence.forget(roomId);
    const name = this.#rooms.get(roomId)?.name ?? "the room";
    this.#rooms.remove(roomId);
    if (this.#current?.roomId === roomId) {
      this.#setCurrent(null);
      this.#showNoRoom(`You left ${name}. Choose another room.`);
    }
    this.#refreshRoomsSoon();
  }

  async #enterNew(room) {
    this.#rooms.add({ ...room, memberCount: room.memberCount ?? 1 });
    await this.#choose(room.id);
    this.#refreshRoomsSoon();
  }

  async #leave() {
    const roomId = this.#current?.roomId;
    const room = this.#rooms.get(roomId);
    if (!room || !(await confirmLeaving(room))) return;
    try {
      await this.#connection.request("room.leave", { room: roomId });
    } catch (error) {
      notice(`Could not leave ${room.name}: ${error.message}`);
      return;
    }
    sessionStorage.removeItem(ROOM_KEY);
    this.#removed(roomId);
    if (this.#drawer.isOverlay) this.#drawer.open();
    else document.querySelector("#room-list button")?.focus();
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
    const room = this.#rooms.get(this.#current.roomId);
    byId("room-name").textContent = room?.name ?? "Room";
    const kind = room?.isPrivate ? "Private" : "Public";
    const members = room?.memberCount === undefined ? "" : ` · ${room.memberCount} ${room.memberCount === 1 ? "member" : "members"}`;
    byId("room-meta").textContent = kind + members;
    this.#drawPeople();
  }

  #drawPeople() {
    if (!this.#current) return;
    const people = this.#presence.in(this.#current.roomId);
    this.#people.draw(people);
    const me = people.find((person) => person.userId === this.#me.id);
    if (me && !this.#me.username) {
      // A pasted token need not carry a name.
      this.#me.username = me.username;
      this.#drawMe();
    }
  }

  #drawTitle() {
    const unread = this.#rooms.unread;
    const room = this.#current ? this.#rooms.get(this.#current.roomId)?.name : null;
    document.title = `${unread ? `(${unread}) ` : ""}${room ? `${room} · ` : ""}Linkd chat`;
    byId("menu-dot").hidden = !this.#rooms.all.some((other) => other.unread && other.id !== this.#current?.roomId);
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
