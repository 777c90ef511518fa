import { avatar, byId, element } from "./elements.js";
import { register, signIn, signInForm } from "./session.js";

export class SignIn {
  #onSession;
  #view = byId("signin");
  #lead = byId("signin-lead");
  #problem = byId("signin-problem");
  #users = byId("signin-users");
  #form = byId("signin-form");
  #name = byId("signin-name");
  #password = byId("signin-password");
  #register = byId("signin-register");
  #again = byId("signin-again");
  #demo = null;

  constructor(onSession) {
    this.#onSession = onSession;
    this.#again.addEventListener("click", () => this.show());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const make = event.submitter === this.#register ? register : signIn;
      this.#enter(make, this.#name.value, this.#password.value);
    });
  }

  hide() {
    this.#view.hidden = true;
    this.#password.value = "";
  }

  /** `user` is somebody to sign in as, if the server has a demonstration in which they are; else their name is filled in. */
  async show(problem = "", user = "") {
    this.#view.hidden = false;
    document.title = "Sign in · Linkd chat";
    this.#say(problem);
    this.#again.hidden = true;
    this.#form.hidden = true;
    this.#users.replaceChildren();
    this.#lead.textContent = "One moment…";
    let offered;
    try {
      offered = await signInForm();
    } catch {
      this.#lead.textContent = "The server cannot be reached.";
      this.#again.hidden = false;
      this.#again.focus();
      return;
    }
    this.#demo = offered.demo;
    this.#draw(offered);
    const wanted = this.#demo?.users.find((each) => each.id === user || each.username.toLowerCase() === user.toLowerCase());
    if (wanted) await this.#enter(signIn, wanted.username, this.#demo.password);
    else if (user) this.#name.value = user;
  }

  #draw({ registration, demo }) {
    this.#lead.textContent = demo ? "Sign in, or try the chat as somebody else." : "Sign in to join the conversation.";
    this.#form.hidden = false;
    this.#register.hidden = !registration;
    this.#users.replaceChildren(...(demo?.users ?? []).map((user) => element("li", {},
      element("button", {
        type: "button",
        class: "signin-user",
        "data-testid": `signin-user-${user.username.toLowerCase()}`,
        onclick: () => this.#enter(signIn, user.username, demo.password),
      }, avatar(user.id, user.username), element("span", { text: user.username, dir: "auto" })))));
    this.#name.focus({ preventScroll: true });
  }

  async #enter(make, name, password) {
    const controls = [...this.#view.querySelectorAll("button, input")];
    for (const control of controls) control.disabled = true;
    this.#say("");
    try {
      this.#onSession(await make(name, password));
    } catch (error) {
      this.#say(error.status ? error.message : "The server cannot be reached.");
    } finally {
      for (const control of controls) control.disabled = false;
    }
  }

  #say(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
  }
}
