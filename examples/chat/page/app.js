import { followKeyboard } from "./viewport.js";
import { forgetSession, sessionOfToken, storedSession, storeSession, takeTokenFromAddress } from "./session.js";
import { SignIn } from "./signin.js";
import { Workspace } from "./workspace.js";

const signIn = new SignIn(enter);
const workspace = new Workspace({ onSignOut: signOut, onRefused: refuse });

function enter(session) {
  storeSession(session);
  signIn.hide();
  workspace.open(session);
}

function signOut() {
  leave("");
}

function refuse() {
  leave("Your session has ended or was refused. Please sign in again.");
}

function leave(sentence) {
  workspace.close();
  forgetSession();
  // With ?user= left in the address a reload would sign in the very user who has just left.
  history.replaceState(null, "", location.pathname);
  signIn.show(sentence);
}

function start() {
  followKeyboard();
  const token = takeTokenFromAddress();
  const user = new URLSearchParams(location.search).get("user");
  const stored = storedSession();
  if (token) enter(sessionOfToken(token));
  else if (user) signIn.signIn(user);
  else if (stored) enter(stored);
  else signIn.show();
}

addEventListener("hashchange", () => {
  const token = takeTokenFromAddress();
  if (!token) return;
  workspace.close();
  enter(sessionOfToken(token));
});

start();
