const STORAGE_KEY = "linkd.chat.user";
const LOCK = "linkd.chat.session";
/** Before a token ends; a request under way should still find it good. */
const MARGIN = 30_000;

export class HttpError extends Error {
  constructor(status, message, type) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

/** Somebody who is signed in: their access token, kept in memory alone, and the way to the next one. */
export class Session {
  #endsAt;

  constructor({ token, expiresInMs, user }) {
    this.user = user;
    this.#take({ token, expiresInMs });
    remember(user);
  }

  /** False when the server signs this user in no more; throws when it cannot be reached. */
  async refresh({ force = false } = {}) {
    if (!force && Date.now() < this.#endsAt - MARGIN) return true;
    const answer = await renewed(this.user.id);
    if (answer) this.#take(answer);
    return answer !== null;
  }

  /** The server has refused the token, whatever its time. */
  doubt() {
    this.#endsAt = 0;
  }

  #take({ token, expiresInMs }) {
    this.token = token;
    this.#endsAt = Date.now() + expiresInMs;
  }
}

/** sessionStorage alone: two windows can be two users, and nothing outlives the window. */
export function rememberedUser() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY));
  } catch {
    return null;
  }
}

function remember(user) {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(user));
}

export function forgetUser() {
  sessionStorage.removeItem(STORAGE_KEY);
}

/** What the form offers: whether one may register, and the demonstration users of a development server. */
export async function signInForm() {
  return bodyOf(await fetch("/chat/sign-in", { cache: "no-store" }));
}

export async function signIn(name, password) {
  return new Session(await post("/chat/session", { name, password }));
}

export async function register(name, password) {
  return new Session(await post("/chat/accounts", { name, password }));
}

/** The session that this browser's cookie keeps, of this user where one is named; null: none. */
export async function resume(userId) {
  const answer = await renewed(userId);
  return answer && new Session(answer);
}

export async function signOut(session) {
  const response = await fetch("/chat/session", { method: "DELETE", headers: { Authorization: `Bearer ${session.token}` } });
  // With a token that has ended the cookie alone says whose session it is.
  if (response.status === 401) await fetch("/chat/session", { method: "DELETE" });
}

/** A browser hides the status of a refused WebSocket upgrade, so the same token is shown to the HTTP side. */
export async function isTokenRefused(token) {
  try {
    const response = await fetch("/chat/rooms", {
      cache: "no-store",
      headers: { Authorization: `Bearer ${token}` },
    });
    return response.status === 401;
  } catch {
    return false;
  }
}

export async function createRoom(token, room) {
  return (await post("/chat/rooms", room, { Authorization: `Bearer ${token}` })).room;
}

/** One window after the other: each changes the cookie that all of them share. Locks need a secure context. */
async function renewed(userId) {
  const renew = () => post("/chat/session/renew", userId === undefined ? {} : { user: userId });
  try {
    return await (navigator.locks ? navigator.locks.request(LOCK, renew) : renew());
  } catch (error) {
    if (error.status === 401 || error.status === 409) return null;
    throw error;
  }
}

async function post(path, body, headers = {}) {
  return bodyOf(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  }));
}

async function bodyOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new HttpError(response.status, body?.error?.message ?? `The server answered ${response.status}.`, body?.error?.type);
}
