import { avatar, byId, element } from "./elements.js";

const TYPING_EXPIRES = 5_000;

/** Who belongs to each room, as the chat says, and who of them is there, as the gateway says. */
export class Presence {
  #members = new Map();
  #online = new Map();

  set(roomId, people) {
    this.#members.set(roomId, new Map(people.map(({ userId, username }) => [String(userId), username])));
  }

  add(roomId, userId, username) {
    this.#members.get(roomId)?.set(String(userId), username);
  }

  remove(roomId, userId) {
    this.#members.get(roomId)?.delete(String(userId));
  }

  forget(roomId) {
    this.#members.delete(roomId);
    this.#online.delete(roomId);
  }

  /** `linkd.presence` of the gateway: all members, or what is different now. */
  told(roomId, { members, join, update, leave }) {
    const online = members ? new Map() : new Map(this.#online.get(roomId));
    for (const [userId, member] of Object.entries({ ...members, ...join, ...update })) {
      online.set(userId, member.name);
    }
    for (const userId of leave ?? []) online.delete(userId);
    this.#online.set(roomId, online);
  }

  in(roomId) {
    const members = this.#members.get(roomId) ?? new Map();
    const online = this.#online.get(roomId) ?? new Map();
    return [...new Map([...online, ...members])].map(([userId, username]) =>
      ({ userId, username: username ?? "Someone", online: online.has(userId) }));
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
