import { byId, element, icon } from "./elements.js";

/** The user's rooms, and below them those that are open to everybody. */
export class RoomList {
  #list = byId("room-list");
  #others = byId("other-rooms");
  #othersHeading = byId("other-rooms-heading");
  #onOpen;
  #rooms = new Map();
  #entries = new Map();
  #empty = element("li", { class: "no-rooms", text: "You are in no room yet. Make one with the plus." });
  #currentId = null;

  constructor(onOpen) {
    this.#onOpen = onOpen;
    for (const list of [this.#list, this.#others]) list.addEventListener("keydown", (event) => this.#moveFocus(event));
  }

  get(roomId) {
    return this.#rooms.get(roomId);
  }

  get all() {
    return [...this.#rooms.values()];
  }

  get mine() {
    return this.all.filter((room) => room.isMember);
  }

  get unread() {
    return this.mine.reduce((sum, room) => sum + room.unread, 0);
  }

  /** The list as the server gives it; unread counts it does not give, and that of the room on screen, are kept as counted here. */
  replace(rooms) {
    const previous = this.#rooms;
    this.#rooms = new Map(rooms.map((room) => [room.id, {
      ...room,
      unread: (room.id === this.#currentId ? null : room.unread) ?? previous.get(room.id)?.unread ?? 0,
    }]));
    this.#draw();
  }

  add(room) {
    this.#rooms.set(room.id, { unread: 0, ...this.#rooms.get(room.id), ...room });
    this.#draw();
  }

  change(roomId, changes) {
    const room = this.#rooms.get(roomId);
    if (!room) return;
    Object.assign(room, changes);
    this.#draw();
  }

  remove(roomId) {
    this.#rooms.delete(roomId);
    this.#draw();
  }

  setCurrent(roomId) {
    this.#currentId = roomId;
    this.#draw();
  }

  neighbour(step) {
    const ids = this.mine.map((room) => room.id);
    if (!ids.length) return null;
    const index = ids.indexOf(this.#currentId);
    return ids[(index + step + ids.length) % ids.length];
  }

  /** Entries are repainted in place: replacing a button between press and release would swallow the click. */
  #draw() {
    for (const [roomId, entry] of this.#entries) {
      if (this.#rooms.has(roomId)) continue;
      entry.node.remove();
      this.#entries.delete(roomId);
    }
    const mine = this.mine;
    const others = this.all.filter((room) => !room.isMember);
    this.#empty.hidden = mine.length > 0;
    this.#othersHeading.hidden = this.#others.hidden = others.length === 0;
    this.#fill(this.#list, mine);
    this.#fill(this.#others, others);
    if (!this.#empty.isConnected) this.#list.append(this.#empty);
  }

  #fill(list, rooms) {
    let cursor = list.firstChild;
    for (const room of rooms) {
      const entry = this.#entries.get(room.id) ?? this.#createEntry(room);
      entry.paint(room);
      if (entry.node === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(entry.node, cursor);
    }
  }

  #createEntry({ id }) {
    const kind = element("span", { class: "room-kind" });
    const label = element("span", { class: "room-label", dir: "auto" });
    const privacy = element("span", { class: "visually-hidden", text: " (private)" });
    const number = element("span", { "aria-hidden": "true" });
    const spoken = element("span", { class: "visually-hidden" });
    const badge = element("span", { class: "badge" }, number, spoken);
    const button = element("button", {
      type: "button",
      class: "room",
      "data-testid": `room-${id}`,
      "data-room-id": id,
      onclick: () => this.#onOpen(id),
    }, kind, label, privacy, badge);
    const paint = (room) => {
      if (kind.dataset.private !== String(room.isPrivate)) {
        kind.dataset.private = String(room.isPrivate);
        kind.replaceChildren(icon(room.isPrivate ? "lock" : "hash"));
      }
      if (label.textContent !== room.name) label.textContent = room.name;
      privacy.hidden = !room.isPrivate;
      const isUnread = room.isMember && room.unread > 0;
      button.classList.toggle("unread", isUnread);
      button.classList.toggle("other", !room.isMember);
      badge.hidden = !isUnread;
      number.textContent = room.unread > 99 ? "99+" : String(room.unread);
      spoken.textContent = ` ${room.unread} unread`;
      if (id === this.#currentId) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    };
    const entry = { node: element("li", {}, button), paint };
    this.#entries.set(id, entry);
    return entry;
  }

  #moveFocus(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.altKey) return;
    const buttons = [...this.#list.querySelectorAll("button"), ...this.#others.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

export class NewRoomDialog {
  #dialog = byId("new-room-dialog");
  #form = byId("new-room-form");
  #name = byId("new-room-name");
  #private = byId("new-room-private");
  #problem = byId("new-room-problem");
  #create;
  #onCreated;

  constructor({ create, onCreated }) {
    this.#create = create;
    this.#onCreated = onCreated;
    byId("new-room").addEventListener("click", () => this.open());
    byId("new-room-cancel").addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  open() {
    this.#form.reset();
    this.#problem.hidden = true;
    this.#dialog.showModal();
    this.#name.focus();
  }

  async #submit() {
    const name = this.#name.value.trim();
    if (!name) return;
    const submit = this.#form.querySelector("[type=submit]");
    submit.disabled = true;
    this.#problem.hidden = true;
    try {
      const room = await this.#create({ name, isPrivate: this.#private.checked });
      // Closing gives the focus back to the opener, so the room may take it only afterwards.
      this.#dialog.close();
      this.#onCreated(room);
    } catch (error) {
      this.#problem.textContent = error.status ? error.message : "The server cannot be reached.";
      this.#problem.hidden = false;
    } finally {
      submit.disabled = false;
    }
  }
}

/** Asks whom to let into a private room. */
export class InviteDialog {
  #dialog = byId("invite-dialog");
  #form = byId("invite-form");
  #name = byId("invite-name");
  #lead = byId("invite-lead");
  #problem = byId("invite-problem");
  #invite;

  constructor(invite) {
    this.#invite = invite;
    byId("invite-cancel").addEventListener("click", () => this.#dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  open(room) {
    this.#form.reset();
    this.#problem.hidden = true;
    this.#lead.textContent = `Whoever you invite can read everything that was said in ${room.name}.`;
    this.#dialog.showModal();
    this.#name.focus();
  }

  async #submit() {
    const name = this.#name.value.trim();
    if (!name) return;
    const submit = this.#form.querySelector("[type=submit]");
    submit.disabled = true;
    this.#problem.hidden = true;
    try {
      await this.#invite(name);
      this.#dialog.close();
    } catch (error) {
      this.#problem.textContent = error.message;
      this.#problem.hidden = false;
    } finally {
      submit.disabled = false;
    }
  }
}

export function confirmLeaving(room) {
  const dialog = byId("leave-dialog");
  byId("leave-text").textContent = room.isPrivate
    ? `${room.name} is private: somebody has to let you in again.`
    : `You can come back to ${room.name} at any time.`;
  dialog.returnValue = "stay";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "leave"), { once: true });
  });
}
