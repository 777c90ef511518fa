import { resume } from "./account.js";
import { notice } from "./elements.js";
import { SignIn } from "./signin.js";
import { followKeyboard } from "./viewport.js";
import { Workspace } from "./workspace.js";

const signIn = new SignIn(enter);
const workspace = new Workspace({ onSignOut: signOut, onRefused: refuse });
let account = null;

function enter(entered) {
  account = entered;
  signIn.hide();
  workspace.open(account);
}

async function signOut() {
  const leaving = account;
  leave("");
  try {
    await leaving.signOut();
  } catch {
    notice("The server cannot be reached: you may still be signed in in this browser.");
  }
}

function refuse(reason) {
  leave(reason ?? "You have been signed out. Please sign in again.");
}

function leave(sentence) {
  workspace.close();
  account = null;
  // With ?user= left in the address a reload would sign in the very user who has just left.
  history.replaceState(null, "", location.pathname);
  signIn.show(sentence);
}

async function start() {
  followKeyboard();
  const user = new URLSearchParams(location.search).get("user");
  if (user) {
    await signIn.showAs(user);
    return;
  }
  try {
    const resumed = await resume();
    if (resumed) enter(resumed);
    else await signIn.show();
  } catch {
    await signIn.show();
  }
}

start();
