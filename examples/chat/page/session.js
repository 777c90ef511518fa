const STORAGE_KEY = "linkd.chat.session";

export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** sessionStorage alone: two windows can be two users, and nothing outlives the window. */
export function storedSession() {
  try {
    const session = JSON.parse(sessionStorage.getItem(STORAGE_KEY));
    return session && session.token ? session : null;
  } catch {
    return null;
  }
}

export function storeSession(session) {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(session));
}

export function forgetSession() {
  sessionStorage.removeItem(STORAGE_KEY);
}

/** Takes `#token=…` out of the address bar before anything else can read, copy or log it. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return token.trim() || null;
}

export function sessionOfToken(token) {
  const claims = claimsOf(token);
  const id = claims.sub ?? claims.userId ?? claims.user_id ?? "";
  const username = claims.username ?? claims.preferred_username ?? claims.name ?? "";
  return { token, user: { id: String(id), username: String(username) } };
}

/** Only to know whose messages are one's own; it is the server that verifies the token. */
function claimsOf(token) {
  try {
    const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

/** The users of a development server, or null where there are none to choose from (production). */
export async function developmentUsers() {
  const response = await fetch("/chat/users", { cache: "no-store" });
  if (response.status === 404) return null;
  return (await bodyOf(response)).users;
}

export async function signInAs(user) {
  return bodyOf(await fetch("/chat/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
  }));
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
  const body = await bodyOf(await fetch("/chat/rooms", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(room),
  }));
  return body.room;
}

async function bodyOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const message = body?.error?.message ?? body?.message ?? (typeof body?.detail === "string" ? body.detail : null);
  throw new HttpError(response.status, message ?? `The server answered ${response.status}.`);
}
