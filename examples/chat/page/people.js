import { avatar, byId, element } from "./elements.js";

const TYPING_EXPIRES = 5_000;
const STATES = ["online", "away", "offline"];

export class PeoplePanel {
  #panel = byId("people");
  #list = byId("online-list");
  #count = byId("online-count");
  #button = byId("people-open");
  #actions = [byId("invite"), byId("leave-room")];
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
    for (const action of this.#actions) action.hidden = true;
  }

  draw(people, { isPrivate }) {
    this.#button.hidden = false;
    byId("leave-room").hidden = false;
    byId("invite").hidden = !isPrivate;
    const online = people.filter((person) => person.state !== "offline").length;
    this.#count.textContent = String(online);
    this.#button.setAttribute("aria-label", `${online} online. Show the members.`);
    const isMe = (person) => person.userId === this.#me.id;
    const place = (person) => STATES.indexOf(person.state);
    const sorted = [...people].sort((a, b) =>
      place(a) - place(b) || isMe(b) - isMe(a) || a.username.localeCompare(b.username));
    this.#list.replaceChildren(...sorted.map((person) => element("li",
      { class: `person ${person.state}`, "data-user-id": person.userId },
      avatar(person.userId, person.username),
      element("span", { class: "person-name", dir: "auto", text: person.username }),
      isMe(person) ? element("span", { class: "you", text: "you" }) : null,
      person.state === "online" ? element("span", { class: "visually-hidden", text: "online" })
        : element("span", { class: "you", text: person.state }))));
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
