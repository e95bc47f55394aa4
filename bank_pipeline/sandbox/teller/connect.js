/*
 * A stand-in for Teller Connect: the same `TellerConnect.setup(...)`, but the customer chooses
 * one of the simulated logins instead of giving credentials.
 */
(function () {
  "use strict";

  const base = document.currentScript.src.replace(/\/connect\.js.*$/, "");

  const STYLE = `
    .sim-teller { position: fixed; inset: 0; z-index: 2147483000; display: flex;
      align-items: center; justify-content: center; background: #0008;
      font: 16px/1.5 system-ui, sans-serif; color: #1c1f24 }
    .sim-teller > div { background: #fff; border-radius: 12px; padding: 1.5rem 2rem;
      max-width: 28rem; max-height: 85vh; overflow: auto; box-shadow: 0 1px 12px #0004 }
    .sim-teller h1 { font-size: 1.25rem; margin: 0 0 .5rem }
    .sim-teller h2 { font-size: 1rem; margin: 0 }
    .sim-teller form { border-top: 1px solid #e3e5e8; padding: 1rem 0 }
    .sim-teller label { display: block }
    .sim-teller small { color: #60666e }
    .sim-teller button { font: inherit; padding: .5rem 1rem; border-radius: 8px; cursor: pointer;
      border: 1px solid #1c1f24; background: #1c1f24; color: #fff; margin-top: .75rem }
    .sim-teller button.plain { background: #fff; color: #1c1f24 }`;

  function element(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  function accountBoxes(form, accounts, selectAccount) {
    const kind = { single: "radio", multiple: "checkbox" }[selectAccount];
    return accounts.map(function (account, index) {
      const label = element("label", "", form);
      if (!kind) {
        element("small", account.name, label);
        return null;
      }
      const box = element("input", "", label);
      box.type = kind;
      box.name = "account";
      box.value = account.id;
      box.checked = kind === "checkbox" || index === 0;
      label.append(" " + account.name + " ");
      element("small", account.last_four || "", label);
      return box;
    }).filter(Boolean);
  }

  async function ask(path, options) {
    const answer = await fetch(base + path, options);
    if (!answer.ok) {
      throw new Error("Teller Connect answered " + answer.status);
    }
    return answer.json();
  }

  function setup(config) {
    let overlay = null;
    let isOpening = false;

    function tell(name, value) {
      if (typeof config[name] === "function") {
        config[name](value);
      }
    }

    function close() {
      if (overlay) {
        overlay.remove();
        overlay = null;
      }
    }

    function fail(error) {
      close();
      tell("onFailure", { type: "enrollment", code: "error", message: String(error.message) });
    }

    async function enroll(login, boxes) {
      const picked = boxes.filter((box) => box.checked).map((box) => box.value);
      const payload = await ask("/connect/enrollments", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          login: login.login,
          account: boxes.length ? picked : null,
          enrollment_id: config.enrollmentId || null,
          nonce: config.nonce || null,
        }),
      });
      close();
      tell("onSuccess", payload);
    }

    function showLogin(parent, login) {
      const form = element("form", "", parent);
      element("h2", login.person + " at " + login.institution, form);
      const boxes = accountBoxes(form, login.accounts, config.selectAccount);
      const button = element("button", "Connect " + login.institution, form);
      button.dataset.login = login.login;
      form.addEventListener("submit", function (event) {
        event.preventDefault();
        button.disabled = true;
        enroll(login, boxes).catch(fail);
      });
    }

    async function show() {
      const repaired = config.enrollmentId;
      const query = repaired ? "?enrollment_id=" + encodeURIComponent(repaired) : "";
      const { logins } = await ask("/connect/logins" + query);
      overlay = element("div", "", document.body);
      overlay.className = "sim-teller";
      element("style", STYLE, overlay);
      const dialog = element("div", "", overlay);
      dialog.setAttribute("role", "dialog");
      element("h1", repaired ? "Reconnect your bank" : "Connect your bank", dialog);
      element("small", "This is a simulation: no bank is behind it. Choose who you are.", dialog);
      logins.forEach((login) => showLogin(dialog, login));
      const leave = element("button", "Leave without connecting", dialog);
      leave.className = "plain";
      leave.addEventListener("click", function () {
        close();
        tell("onExit");
      });
    }

    const instance = {
      open: function () {
        if (!overlay && !isOpening) {
          isOpening = true;
          show().catch(fail).finally(() => { isOpening = false; });
        }
      },
      destroy: close,
    };
    setTimeout(() => tell("onInit"), 0);
    return instance;
  }

  window.TellerConnect = { setup: setup };
})();
