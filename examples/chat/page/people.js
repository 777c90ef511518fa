import { avatar, byId, element } from "./elements.js";

const TYPING_EXPIRES = 5_000;

/** Who is online in each room the server has told of. */
export class Presence {
  #rooms = new Map();

  set(roomId, people) {
    this.#rooms.set(roomId, new Map(people.map((person) => [String(person.userId), person.username])));
  }

  add(roomId, userId, username) {
    this.#rooms.get(roomId)?.set(String(userId), username);
  }

  remove(roomId, userId) {
    this.#rooms.get(roomId)?.delete(String(userId));
  }

  removeEverywhere(userId) {
    for (const people of this.#rooms.values()) people.delete(String(userId));
  }

  forget(roomId) {
    this.#rooms.delete(roomId);
  }

  in(roomId) {
    const people = this.#rooms.get(roomId) ?? new Map();
    return [...people].map(([userId, username]) => ({ userId, username: username ?? "Someone" }));
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
    this.#count.textContent = String(people.length);
    this.#button.setAttribute("aria-label", `${people.length} online. Show who.`);
    const isMe = (person) => person.userId === String(this.#me.id);
    const sorted = [...people].sort((a, b) => isMe(b) - isMe(a) || a.username.localeCompare(b.username));
    this.#list.replaceChildren(...sorted.map((person) => element("li", { class: "person", "data-user-id": person.userId },
      avatar(person.userId, person.username),
      element("span", { class: "person-name", dir: "auto", text: person.username }),
      isMe(person) ? element("span", { class: "you", text: "you" }) : null)));
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
