import { register, signIn, signInForm } from "./account.js";
import { avatar, byId, element } from "./elements.js";

/** The first screen: a form for a name and a password, and in development people to try the chat as. */
export class SignIn {
  #onAccount;
  #view = byId("signin");
  #lead = byId("signin-lead");
  #problem = byId("signin-problem");
  #form = byId("signin-form");
  #name = byId("signin-name");
  #password = byId("signin-password");
  #submit = byId("signin-submit");
  #register = byId("signin-register");
  #demo = byId("signin-demo");
  #users = byId("signin-users");
  #again = byId("signin-again");

  constructor(onAccount) {
    this.#onAccount = onAccount;
    this.#again.addEventListener("click", () => this.show());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter(event.submitter === this.#register ? register : signIn);
    });
  }

  hide() {
    this.#view.hidden = true;
    this.#password.value = "";
  }

  async show(problem = "") {
    this.#view.hidden = false;
    document.title = "Sign in · Linkd chat";
    this.#say(problem);
    for (const node of [this.#again, this.#form, this.#demo]) node.hidden = true;
    this.#lead.textContent = "One moment…";
    let offer;
    try {
      offer = await signInForm();
    } catch {
      this.#lead.textContent = "The server cannot be reached.";
      this.#again.hidden = false;
      this.#again.focus();
      return null;
    }
    this.#lead.textContent = "Sign in to join the conversation.";
    this.#form.hidden = false;
    this.#register.hidden = !offer.registration;
    if (offer.demo) this.#offerDemo(offer.demo);
    this.#name.focus({ preventScroll: true });
    return offer;
  }

  /** `?user=alice` fills the form in, and sends it: the same door as for everybody, in development alone. */
  async showAs(name) {
    const offer = await this.show();
    const user = offer?.demo?.users.find(({ username }) => username.toLowerCase() === name.toLowerCase());
    if (user) await this.#try(user, offer.demo.password);
    else if (offer) this.#say(`There is no user “${name}” to try here.`);
  }

  #offerDemo({ users, password }) {
    this.#demo.hidden = users.length === 0;
    this.#users.replaceChildren(...users.map((user) => element("li", {},
      element("button", {
        type: "button",
        class: "signin-user",
        "data-testid": `signin-user-${user.username.toLowerCase()}`,
        onclick: () => this.#try(user, password),
      }, avatar(user.id, user.username), element("span", { text: user.username, dir: "auto" })))));
  }

  async #try(user, password) {
    this.#name.value = user.username;
    this.#password.value = password;
    await this.#enter(signIn);
  }

  async #enter(how) {
    const buttons = [...this.#view.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.#say("");
    try {
      this.#onAccount(await how(this.#name.value.trim(), this.#password.value));
    } catch (error) {
      this.#say(error.status ? error.message : "The server cannot be reached.");
      this.#password.select();
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  #say(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
  }
}
