"""
The page on which a customer links an account: Plaid's Hosted Link, reduced to its decisions.

`?outcome=success|exit` (and `login=`, `account=` as often as wished) decides without a person.
Source: https://plaid.com/docs/link/hosted-link/
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bank_pipeline.sandbox.page import PAGE
from bank_pipeline.sandbox.plaid.errors import PlaidError, plaid_error
from bank_pipeline.sandbox.plaid.link import Choice, finish_session, open_accounts
from bank_pipeline.sandbox.plaid.link_sessions import LinkToken
from bank_pipeline.sandbox.plaid.simulator import Plaid

_Wish = Mapping[str, Sequence[str]]
_SEE_OTHER: Final = 303
_BAD_REQUEST: Final = 400


def hosted_routes(plaid: Plaid) -> list[Route]:
    """Return the route of the page, which is read with GET and decided with POST."""

    async def page(request: Request) -> Response:
        wish = parse_qs(request.url.query)
        if request.method == "POST":
            wish = {**wish, **parse_qs((await request.body()).decode())}
        token = request.path_params["link_token"]
        return await run_in_threadpool(_answer, plaid, token, wish)

    return [Route("/link/hosted/{link_token}", page, methods=["GET", "POST"])]


def _answer(plaid: Plaid, link_token: str, wish: _Wish) -> Response:
    with plaid.lock:
        try:
            token = plaid.links.usable(link_token, plaid.clock.now())
            if "outcome" not in wish:
                return HTMLResponse(_choose(plaid, token))
            finish_session(plaid, token, _choice(plaid, token, wish))
        except PlaidError:
            body = "<h1>This link no longer works</h1><p>Ask the app for a new one.</p>"
            return HTMLResponse(PAGE.format(title="Link", body=body), _BAD_REQUEST)
    if token.completion_uri:
        return RedirectResponse(token.completion_uri, _SEE_OTHER)
    body = "<h1>All done</h1><p>You can close this page.</p>"
    return HTMLResponse(PAGE.format(title="Link", body=body))


def _choice(plaid: Plaid, token: LinkToken, wish: _Wish) -> Choice | None:
    if wish["outcome"][0] != "success":
        return None
    offered = offered_logins(plaid, token)
    login_id = next(iter(wish.get("login", offered)), "")
    if login_id not in offered:
        raise plaid_error("INVALID_CREDENTIALS")
    accounts = open_accounts(plaid, login_id)
    chosen = wish.get("account")
    return Choice(login_id, [one for one in accounts if chosen is None or one in chosen])


def offered_logins(plaid: Plaid, token: LinkToken) -> Sequence[str]:
    """Return the logins the customer can have: the Item's own one when it is repaired."""
    if token.update_item_id is not None:
        return [plaid.item(token.update_item_id).login_id]
    banks = plaid.institutions
    shown = {
        bank.id
        for institution_id, bank in banks.items()
        if bank.country in token.country_codes and token.institution_id in (None, institution_id)
    }
    return [one.id for one in plaid.world.logins.values() if one.bank_id in shown]


def _choose(plaid: Plaid, token: LinkToken) -> str:
    name = escape(token.client_name)
    forms = "".join(_form(plaid, one) for one in offered_logins(plaid, token))
    body = f"""<h1>{name} wants to see your accounts</h1>
<p><small>This is a simulation: no bank is behind it. Choose who you are.</small></p>
{forms or "<p>No bank of these countries has customers here.</p>"}
<form method="post"><input type="hidden" name="outcome" value="exit">
<button class="plain">Leave without connecting</button></form>"""
    return PAGE.format(title=f"Connect to {name}", body=body)


def _form(plaid: Plaid, login_id: str) -> str:
    login, accounts = plaid.world.logins[login_id], plaid.world.accounts
    boxes = "".join(
        f'<label><input type="checkbox" name="account" value="{escape(one)}" checked> '
        f"{escape(accounts[one].name)} <small>{escape(accounts[one].mask or '')}</small></label>"
        for one in open_accounts(plaid, login_id)
    )
    bank = escape(plaid.world.banks[login.bank_id].name)
    return f"""<form method="post"><h2>{escape(login.person_name)} at {bank}</h2>{boxes}
<input type="hidden" name="login" value="{escape(login_id)}">
<input type="hidden" name="outcome" value="success">
<button>Connect {bank}</button></form>"""
