import { avatar, byId, element } from "./elements.js";

const TYPING_EXPIRES = 5_000;

/** Who belongs to each room that the server has told of, and who of them is online. */
export class Presence {
  #rooms = new Map();

  set(roomId, people) {
    this.#rooms.set(roomId, new Map(people.map(({ userId, username, online }) => [String(userId), { username, online }])));
  }

  add(roomId, userId, username, isOnline) {
    const people = this.#rooms.get(roomId);
    if (people) people.set(String(userId), { username, online: isOnline || Boolean(people.get(String(userId))?.online) });
  }

  /** They are a member no more. */
  remove(roomId, userId) {
    this.#rooms.get(roomId)?.delete(String(userId));
  }

  /** They are a member still, and offline. */
  leave(roomId, userId) {
    const person = this.#rooms.get(roomId)?.get(String(userId));
    if (person) person.online = false;
  }

  leaveEverywhere(userId) {
    for (const roomId of this.#rooms.keys()) this.leave(roomId, userId);
  }

  forget(roomId) {
    this.#rooms.delete(roomId);
  }

  in(roomId) {
    const people = this.#rooms.get(roomId) ?? new Map();
    return [...people].map(([userId, { username, online }]) => ({ userId, username: username ?? "Someone", online }));
  }
}

export class PeoplePanel {
  #panel = byId("people");
  #list = byId("online-list");
  #count = byId("online-count");
  #button = byId("people-open");
  #me;

  constructor(me) {
    this.#me = me;
  }

  /** After a loss the list is what was last heard, and is shown as such. */
  setStale(isStale) {
    this.#panel.classList.toggle("stale", isStale);
    this.#button.classList.toggle("stale", isStale);
  }

  hide() {
    this.#button.hidden = true;
    this.#list.replaceChildren();
  }

  draw(people) {
    this.#button.hidden = false;
    const online = people.filter((person) => person.online).length;
    this.#count.textContent = String(online);
    this.#button.setAttribute("aria-label", `${online} online. Show who.`);
    const isMe = (person) => person.userId === String(this.#me.id);
    const sorted = [...people].sort((a, b) => b.online - a.online || isMe(b) - isMe(a) || a.username.localeCompare(b.username));
    this.#list.replaceChildren(...sorted.map((person) => element("li",
      { class: person.online ? "person" : "person offline", "data-user-id": person.userId },
      avatar(person.userId, person.username),
      element("span", { class: "person-name", dir: "auto", text: person.username }),
      isMe(person) ? element("span", { class: "you", text: "you" }) : null,
      person.online ? null : element("span", { class: "you", text: "offline" }))));
  }
}

export class TypingLine {
  #line = byId("typing");
  #text = byId("typing-text");
  #typing = new Map();

  set(userId, username, isTyping) {
    clearTimeout(this.#typing.get(userId)?.timer);
    this.#typing.delete(userId);
    if (isTyping) {
      // A "stopped" lost with a connection must not leave somebody typing for ever.
      const timer = setTimeout(() => this.set(userId, username, false), TYPING_EXPIRES);
      this.#typing.set(userId, { username, timer });
    }
    this.#draw();
  }

  clear() {
    for (const { timer } of this.#typing.values()) clearTimeout(timer);
    this.#typing.clear();
    this.#draw();
  }

  #draw() {
    const names = [...this.#typing.values()].map(({ username }) => username ?? "Someone");
    this.#line.hidden = names.length === 0;
    if (names.length === 1) this.#text.textContent = `${names[0]} is typing…`;
    else if (names.length === 2) this.#text.textContent = `${names[0]} and ${names[1]} are typing…`;
    else if (names.length > 2) this.#text.textContent = "Several people are typing…";
  }
}
