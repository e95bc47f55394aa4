"""
The page on which a customer consents: Enable Banking's and the bank's, reduced to the decision.

`?auto=approve|cancel|error` decides without a person: the first with `login=` and as many
`account=` as wished, the last with `error=` and `error_description=`, as banks word them. A
decided link works no more.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response

from bank_pipeline.sandbox.enable_banking.profiles import Aspsp
from bank_pipeline.sandbox.enable_banking.sessions import Session, SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import State
from bank_pipeline.sandbox.page import PAGE

Wish = Mapping[str, Sequence[str]]
_FOUND: Final = 302
_BAD_REQUEST: Final = 400
_CANCELLED: Final = {
    "error": "access_denied",
    "error_description": "Denied data sharing consent",
}
_FAILED: Final = {"error": "server_error", "error_description": "Error interacting with ASPSP"}
_GONE: Final = "<h1>This link no longer works</h1><p>Ask the app for a new one.</p>"


def answer_page(state: State, query: str, form: bytes) -> Response:
    """Show the choice, or carry out what was chosen and send the customer back."""
    wish = {**parse_qs(query), **parse_qs(form.decode(errors="replace"))}
    with state.lock:
        now = state.clock.now()
        session = state.sessions.authorization(_first(wish, "sessionid"))
        if session is None or session.status is not SessionStatus.PENDING_AUTHORIZATION:
            return _page("Consent", _GONE, _BAD_REQUEST)
        if now > session.created_at + state.options.link_ttl:
            session.end(SessionStatus.INVALID, now)
            return _page("Consent", _GONE, _BAD_REQUEST)
        outcome = _first(wish, "outcome") or _first(wish, "auto")
        if outcome == "approve":
            return _approve(state, session, wish)
        if outcome in ("cancel", "error"):
            return _refuse(state, session, wish, is_cancelled=outcome == "cancel")
        return _page(f"Connect {session.aspsp.name}", _choice(state, session))


def _approve(state: State, session: Session, wish: Wish) -> Response:
    login_id = _first(wish, "login") or next(iter(_logins(state, session.aspsp)), "")
    if login_id not in state.world.logins:
        return _page("Consent", f"<h1>Unknown login {escape(login_id)}</h1>", _BAD_REQUEST)
    session.status = SessionStatus.RETURNED_FROM_BANK
    session.login_id = login_id
    session.chosen = list(wish["account"]) if "account" in wish else None
    session.code = state.mint.uuid()
    session.code_at = state.clock.now()
    return _back(session, {"code": session.code})


def _refuse(state: State, session: Session, wish: Wish, *, is_cancelled: bool) -> Response:
    if is_cancelled:
        status, told = SessionStatus.CANCELLED, _CANCELLED
    else:
        named = {name: _first(wish, name) for name in _FAILED if _first(wish, name)}
        status, told = SessionStatus.INVALID, {**_FAILED, **named}
    session.end(status, state.clock.now())
    return _back(session, told)


def _back(session: Session, told: Mapping[str, str]) -> Response:
    joint = "&" if "?" in session.redirect_url else "?"
    query = urlencode({**told, "state": session.state})
    return RedirectResponse(f"{session.redirect_url}{joint}{query}", _FOUND)


def _logins(state: State, aspsp: Aspsp) -> list[str]:
    """Return all logins, those of the world's bank behind this one first."""
    logins = state.world.logins.values()
    return [one.id for one in sorted(logins, key=lambda one: one.bank_id != aspsp.bank_id)]


def _choice(state: State, session: Session) -> str:
    name = escape(state.application(session.application_id).setting.name)
    bank = escape(session.aspsp.name)
    how = (
        "<p>Confirm in your bank's app, then choose here what you would have chosen there.</p>"
        if session.aspsp.profile.approach == "DECOUPLED"
        else ""
    )
    forms = "".join(_form(state, one) for one in _logins(state, session.aspsp))
    return f"""<h1>{name} wants to see your accounts at {bank}</h1>{how}
<p><small>This is a simulation: no bank is behind it. Choose who you are.</small></p>
{forms or "<p>Nobody lives in this world.</p>"}
<form method="post"><input type="hidden" name="outcome" value="cancel">
<button class="plain">Refuse</button></form>
<form method="post"><input type="hidden" name="outcome" value="error">
<button class="plain">Let the bank fail</button></form>"""


def _form(state: State, login_id: str) -> str:
    login: Any = state.world.logins[login_id]
    boxes = "".join(
        f'<label><input type="checkbox" name="account" value="{escape(one.id)}" checked> '
        f"{escape(one.name)} <small>{escape(one.mask or '')}</small></label>"
        for one in state.world.login_accounts(login_id)
    )
    return f"""<form method="post"><h2>{escape(login.person_name)}</h2>{boxes}
<input type="hidden" name="login" value="{escape(login_id)}">
<input type="hidden" name="outcome" value="approve">
<button>Approve</button></form>"""


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(PAGE.format(title=escape(title), body=body), status)


def _first(wish: Wish, name: str) -> str:
    return next(iter(wish.get(name, ())), "")
