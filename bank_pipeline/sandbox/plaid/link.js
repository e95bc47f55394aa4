/*
 * A stand-in for Plaid Link in a page: the same `Plaid.create(...)`, but the customer chooses one
 * of the simulated logins instead of giving credentials.
 */
(function () {
  "use strict";

  const base = document.currentScript.src.replace(/\/link\/v2\/stable\/.*$/, "");

  function element(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  async function ask(path, body) {
    const answer = await fetch(base + path, {
      method: "POST",
      headers: { "Content-Type": "text/plain" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (!answer.ok) {
      throw told;
    }
    return told;
  }

  function create(config) {
    let overlay = null;

    function close() {
      if (overlay) {
        overlay.remove();
        overlay = null;
      }
    }

    async function decide(login) {
      const told = await ask("/link/widget/finish", { link_token: config.token, login: login });
      close();
      if (login === null) {
        config.onExit(null, { status: "institution_not_found" });
      } else {
        config.onSuccess(told.public_token, told.metadata);
      }
    }

    async function show() {
      const { logins } = await ask("/link/widget/logins", { link_token: config.token });
      overlay = element("div", "", document.body);
      overlay.className = "sim-plaid";
      overlay.setAttribute("role", "dialog");
      element("h1", "Connect your bank", overlay);
      element("small", "This is a simulation: no bank is behind it. Choose who you are.", overlay);
      logins.forEach(function (login) {
        const button = element("button", "Connect " + login.bank + " as " + login.person, overlay);
        button.addEventListener("click", () => decide(login.login));
      });
      const leave = element("button", "Leave without connecting", overlay);
      leave.addEventListener("click", () => decide(null));
    }

    return {
      open() {
        show().catch((error) => config.onExit(error, {}));
      },
      exit: close,
      destroy: close,
    };
  }

  window.Plaid = { create };
})();
