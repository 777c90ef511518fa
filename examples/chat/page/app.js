import { followKeyboard } from "./viewport.js";
import { forgetUser, rememberedUser, resume, signOut } from "./session.js";
import { SignIn } from "./signin.js";
import { Workspace } from "./workspace.js";

const signIn = new SignIn(enter);
const workspace = new Workspace({ onSignOut: leave, onRefused: refuse });
let session = null;

function enter(entered) {
  session = entered;
  signIn.hide();
  workspace.open(session);
}

function leave() {
  // Whether or not the server can be reached, this window is left.
  signOut(session).catch(() => {});
  close("");
}

function refuse() {
  close("Your session has ended. Please sign in again.");
}

function close(sentence) {
  session = null;
  workspace.close();
  forgetUser();
  // With ?user= left in the address a reload would sign in the very user who has just left.
  history.replaceState(null, "", location.pathname);
  signIn.show(sentence);
}

async function start() {
  followKeyboard();
  const wanted = new URLSearchParams(location.search).get("user") ?? "";
  const remembered = rememberedUser();
  const isSame = !wanted || remembered?.username.toLowerCase() === wanted.toLowerCase();
  let resumed = null;
  try {
    // A new window is whoever signed in last in this browser; one with a user of its own stays that.
    if (isSame) resumed = await resume(remembered?.id);
  } catch {
    // The form says that the server cannot be reached.
  }
  if (resumed) enter(resumed);
  else signIn.show("", wanted);
}

start();
