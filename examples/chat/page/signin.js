import { avatar, byId, element } from "./elements.js";
import { developmentUsers, sessionOfToken, signInAs } from "./session.js";

export class SignIn {
  #onSession;
  #view = byId("signin");
  #lead = byId("signin-lead");
  #problem = byId("signin-problem");
  #users = byId("signin-users");
  #form = byId("signin-token");
  #field = byId("signin-token-text");
  #again = byId("signin-again");

  constructor(onSession) {
    this.#onSession = onSession;
    this.#again.addEventListener("click", () => this.show());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.#field.value.trim();
      if (!token) return;
      this.#field.value = "";
      this.#onSession(sessionOfToken(token));
    });
  }

  hide() {
    this.#view.hidden = true;
  }

  async show(problem = "") {
    this.#view.hidden = false;
    document.title = "Sign in · Linkd chat";
    this.#say(problem);
    this.#again.hidden = true;
    this.#form.hidden = true;
    this.#users.replaceChildren();
    this.#lead.textContent = "One moment…";
    let users;
    try {
      users = await developmentUsers();
    } catch {
      this.#lead.textContent = "The server cannot be reached.";
      this.#again.hidden = false;
      this.#again.focus();
      return;
    }
    if (users === null) this.#offerToken();
    else this.#offerUsers(users);
  }

  /** Resolves to false when the server does not sign this user in; the view then says why. */
  async signIn(user) {
    try {
      const session = await signInAs(user);
      this.#onSession(session);
      return true;
    } catch (error) {
      const sentence = error.status === 404
        ? `There is no user “${user}” to sign in as here.`
        : `Could not sign in: ${error.message}`;
      await this.show(sentence);
      return false;
    }
  }

  #offerToken() {
    this.#lead.textContent = "Paste an access token to join the conversation.";
    this.#form.hidden = false;
    this.#field.focus();
  }

  #offerUsers(users) {
    this.#lead.textContent = users.length ? "Who are you today?" : "There are no users yet.";
    this.#users.replaceChildren(...users.map((user) => element("li", {},
      element("button", {
        type: "button",
        class: "signin-user",
        "data-testid": `signin-user-${user.username.toLowerCase()}`,
        onclick: () => this.#choose(user),
      }, avatar(user.id, user.username), element("span", { text: user.username, dir: "auto" })))));
    this.#users.querySelector("button")?.focus({ preventScroll: true });
  }

  async #choose(user) {
    const buttons = [...this.#users.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.#say("");
    await this.signIn(user.id);
  }

  #say(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
  }
}
