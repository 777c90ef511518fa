import { ConnectionLost, LinkdError } from "/linkd/client.js";
import { Conversation } from "./conversation.js";

const PAGE = 50;
const LEAST_PAUSE = 1_000;

/**
 * A room that the user is a member of: the client's room, which is joined anew and knows what was missed; what was said
 * in it; and who belongs to it.
 */
export class ChatRoom {
  #client;
  #room;
  #handlers;
  #members = new Map();
  #off;
  #wanted = false;

  /** `onMessage`, `onPeople`, `onDrawn`, `onMissed`, `onGone` get the room first; `onAway` hears whether the service answers. */
  constructor(client, id, handlers) {
    this.id = id;
    this.conversation = new Conversation(id);
    this.#client = client;
    this.#handlers = handlers;
    this.#room = client.room(`chat:${id}`, {
      join: (since) => this.#join(since),
      load: () => (this.#wanted ? this.#loadLatest() : handlers.onMissed(this)),
    });
    const { presence } = this.#room;
    this.#off = [
      this.#room.on("chat.message", (message) => handlers.onMessage(this, message)),
      this.#room.on("user.joined", ({ userId, username }) => {
        this.#members.set(userId, username);
        handlers.onPeople(this);
      }),
      this.#room.on("user.left", ({ userId }) => {
        this.#members.delete(userId);
        handlers.onPeople(this);
      }),
      presence.onChange(() => handlers.onPeople(this)),
    ];
  }

  /** Members, those who are there first: the service knows who belongs to the room, the gateway who is there. */
  get people() {
    const there = this.#room.presence.members;
    return [...this.#members].map(([userId, username]) => ({
      userId,
      username,
      state: there.get(userId)?.state ?? "offline",
    }));
  }

  get isStale() {
    return this.#room.presence.stale;
  }

  /** What was said is on the screen from now on. */
  async open() {
    if (this.#wanted) return;
    this.#wanted = true;
    try {
      await this.#loadLatest();
    } catch (error) {
      this.#wanted = false;
      throw error;
    }
  }

  forget() {
    for (const off of this.#off) off();
    this.#room.forget();
  }

  async loadOlder() {
    const { messages, hasMore } = await this.#history({ before: this.conversation.oldest?.id });
    this.conversation.addOlder(messages, hasMore);
    return messages.length > 0;
  }

  send(text) {
    const message = this.conversation.write(text);
    this.transmit(message);
    return message;
  }

  /** It waits for a connection as long as that takes. Its key makes it one message, however often it is sent. */
  async transmit(message) {
    message.state = "sending";
    message.problem = undefined;
    this.#handlers.onDrawn(this);
    const data = { room: this.id, message: message.content, key: message.key };
    try {
      for (;;) {
        try {
          const answer = await this.#client.call("chat.send", data, { idempotent: true, timeout: 0 });
          this.#handlers.onAway(false);
          this.conversation.add(answer.message);
          break;
        } catch (error) {
          if (!this.#isWorthAnotherTry(error)) throw error;
          await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfterMs ?? 0, LEAST_PAUSE)));
        }
      }
    } catch (error) {
      message.state = "failed";
      message.problem = error instanceof ConnectionLost ? "You are not connected." : error.message;
    }
    this.#handlers.onDrawn(this);
  }

  #isWorthAnotherTry(error) {
    if (!(error instanceof LinkdError) || error instanceof ConnectionLost) return false;
    if (error.type === "SERVICE_UNAVAILABLE") this.#handlers.onAway(true);
    return error.type === "SERVICE_UNAVAILABLE" || error.code === 429;
  }

  tellTyping(isTyping) {
    this.#client.send("chat.typing", { room: this.id, isTyping }, { volatile: true });
  }

  async #join(since) {
    try {
      const { members, memberCount } = await this.#client.call("room.join", { room: this.id, since });
      this.#handlers.onAway(false);
      this.#members = new Map(members.map(({ userId, username }) => [userId, username]));
      this.memberCount = memberCount;
      this.#handlers.onPeople(this);
    } catch (error) {
      if (error.type === "SERVICE_UNAVAILABLE") this.#handlers.onAway(true);
      if (error.code === 403 || error.code === 404) this.#handlers.onGone(this);
      else throw error;
    }
  }

  async #loadLatest() {
    const { messages, hasMore } = await this.#history({});
    this.conversation.addLatest(messages, hasMore);
    this.#handlers.onDrawn(this);
  }

  #history(page) {
    return this.#client.call("chat.history", { room: this.id, limit: PAGE, ...page }, { idempotent: true });
  }
}
