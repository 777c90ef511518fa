/** Signing in, staying signed in and signing out, over HTTP. The access token is kept here, in memory, and nowhere else. */

export class HttpError extends Error {
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export class Account {
  #token;
  #endsAt;

  constructor({ token, expiresInMs, user }) {
    this.user = user;
    this.#keep({ token, expiresInMs });
  }

  #keep({ token, expiresInMs }) {
    this.#token = token;
    this.#endsAt = performance.now() + expiresInMs;
  }

  /** The client asks for a token when it needs one: for its first connection, when one was refused, when one ends soon. */
  token = async ({ reason, signal }) => {
    if (reason === "connect" && performance.now() < this.#endsAt) return this.#token;
    try {
      this.#keep(await renewSession(this.user.id, signal));
    } catch (error) {
      // Signed out, here or elsewhere: there is no other token. Anything else may be over in a moment.
      if (error.status === 401 || error.status === 409) return null;
      throw error;
    }
    return this.#token;
  };

  async createRoom(room) {
    const answer = await request("POST", "/chat/rooms", room, { Authorization: `Bearer ${this.#token}` });
    return answer.room;
  }

  async signOut() {
    await request("DELETE", "/chat/session", undefined, { Authorization: `Bearer ${this.#token}` });
  }
}

/** What the form offers: whether one may register, and in development whom one may try. */
export const signInForm = () => request("GET", "/chat/sign-in");

export const signIn = async (name, password) => new Account(await request("POST", "/chat/session", { name, password }));

export const register = async (name, password) => new Account(await request("POST", "/chat/accounts", { name, password }));

/** Whoever is signed in in this browser, or null. */
export async function resume() {
  try {
    return new Account(await renewSession(null));
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

const renewSession = (user, signal) => request("POST", "/chat/session/renew", { user }, {}, signal);

async function request(method, path, body, headers = {}, signal) {
  const response = await fetch(path, {
    method,
    signal,
    cache: "no-store",
    headers: body === undefined ? headers : { ...headers, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  const { type, message } = answer?.error ?? {};
  throw new HttpError(response.status, type, message ?? `The server answered ${response.status}.`);
}
