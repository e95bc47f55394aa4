"""
The pages on which a user gives consent: GoCardless's own and the bank's, reduced to decisions.

Opened step by step they walk a requisition from CR over GC, UA, SA (where accounts are chosen)
and GA to LN. `?auto=approve|cancel|error` decides without a person, as does posting `outcome`
with the same words: `login=` says who, `account=` (as often as wished) which accounts of anyone,
`code=` which error. Then the browser is sent to the requisition's redirect.
Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bank_pipeline.sandbox.broken_answers import AFTERWARDS, INSTEAD, break_answer
from bank_pipeline.sandbox.gocardless.agreements import reconfirm
from bank_pipeline.sandbox.gocardless.call import root_of
from bank_pipeline.sandbox.gocardless.requisitions import link_of
from bank_pipeline.sandbox.gocardless.state import GoCardlessState, Requisition
from bank_pipeline.sandbox.ledger import BankAccount
from bank_pipeline.sandbox.page import PAGE

_Wish = Mapping[str, Sequence[str]]
_FOUND: Final = 302
_SEE_OTHER: Final = 303
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400
_OPEN: Final = ("CR", "GC", "UA", "SA", "GA", "ID")
_WAY: Final = ("CR", "GC", "UA", "SA", "GA", "LN")
REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "UserCancelledSession": ("RJ", "User cancelled the session"),
    "UserSessionRejected": ("RJ", "The session was rejected by the institution"),
    "RequisitionLinkReused": ("", "This requisition link was used already"),
    "InstitutionTechnicalError": ("ER", "The institution has a technical problem"),
    "GoCardlessTechnicalError": ("ER", "GoCardless has a technical problem"),
    "CompanyRequisitionLimitReached": ("ER", "The company reached its limit of requisitions"),
    "UnknownError": ("ER", "Something went wrong"),
}
"""What the redirect's `error` may say: the status it leaves behind, and its `details`."""

_CANCEL: Final = """<form method="post"><input type="hidden" name="outcome" value="cancel">
<button class="plain">Cancel</button></form>"""


def page_routes(state: GoCardlessState) -> list[Route]:
    """Return the routes of the pages, which are read with GET and decided with POST."""

    async def start(request: Request) -> ASGIApp:
        wish = parse_qs(request.url.query)
        if request.method == "POST":
            wish = {**wish, **parse_qs((await request.body()).decode())}
        root = state.options.public_url or root_of(request)
        link_id = request.path_params["link_id"]
        return await run_in_threadpool(_answer, state, link_id, wish, root)

    async def confirm(request: Request) -> Response:
        agreement_id = request.path_params["agreement_id"]
        return await run_in_threadpool(_confirm, state, agreement_id, request.method)

    methods = ["GET", "POST"]
    return [
        Route("/ob-psd2/start/{link_id}/{institution_id}", start, methods=methods),
        Route("/ob-psd2/reconfirm/{agreement_id}", confirm, methods=methods),
    ]


def _answer(state: GoCardlessState, link_id: str, wish: _Wish, root: str) -> ASGIApp:
    with state.lock:
        requisition = state.by_link(link_id)
        if requisition is None:
            body = "<h1>This link does not exist</h1><p>Ask the app for a new one.</p>"
            return HTMLResponse(PAGE.format(title="Consent", body=body), _NOT_FOUND)
        fault = state.faults.take("gocardless:consent_page", requisition.id)
        if fault is not None and fault.kind in INSTEAD:
            return break_answer(fault, Response(), state.released)
        answer = _decide(state, requisition, wish, root)
    if fault is not None and fault.kind in AFTERWARDS:
        return break_answer(fault, answer, state.released)
    return answer


def _decide(state: GoCardlessState, requisition: Requisition, wish: _Wish, root: str) -> Response:
    if requisition.status not in _OPEN:
        return _refuse(requisition, "RequisitionLinkReused")
    if requisition.status == "CR":
        requisition.walk("GC")
    match next(iter(wish.get("outcome") or wish.get("auto") or ()), None):
        case "approve":
            return _approve(state, requisition, wish)
        case "cancel":
            return _refuse(requisition, "UserCancelledSession")
        case "error":
            code = next(iter(wish.get("code", ())), "UnknownError")
            return _refuse(requisition, code)
        case None:
            return _step(state, requisition, wish, root)
        case other:
            body = f"<h1>There is no outcome {escape(other)}</h1>"
            return HTMLResponse(PAGE.format(title="Consent", body=body), _BAD_REQUEST)


def _approve(state: GoCardlessState, requisition: Requisition, wish: _Wish) -> Response:
    """Link the accounts chosen, whoever's they are; all of the login's when none is named."""
    now = state.clock.now()
    login_id = next(iter(wish.get("login", offered_logins(state, requisition))), "")
    known = state.world.accounts
    chosen = wish.get("account")
    if login_id not in state.world.logins or set(chosen or ()) - set(known):
        body = "<h1>There is no such customer or account</h1>"
        return HTMLResponse(PAGE.format(title="Consent", body=body), _BAD_REQUEST)
    offered = [one.id for one in offered_accounts(state, requisition, login_id)]
    agreement = state.agreement(requisition.agreement_id)
    if agreement is None:
        return _refuse(requisition, "UnknownError")
    agreement.accepted = agreement.accepted or now
    requisition.walk(*_way_from(requisition))
    accounts = list(chosen or offered)
    if state.institution(requisition.institution_id).one_account:
        accounts = accounts[:1]
    state.link_accounts(requisition, login_id, accounts, now)
    return _back(requisition, {"ref": requisition.reference})


def _way_from(requisition: Requisition) -> Sequence[str]:
    """Return the statuses that still lie before a requisition."""
    way = [one for one in _WAY if one != "SA" or requisition.account_selection]
    return way[way.index(requisition.status) + 1 :] if requisition.status in way else way[1:]


def _refuse(requisition: Requisition, code: str) -> Response:
    status, details = REFUSALS.get(code, ("ER", code))
    if status:
        requisition.walk(status)
    return _back(requisition, {"ref": requisition.reference, "error": code, "details": details})


def _back(requisition: Requisition, told: Mapping[str, str]) -> Response:
    parts = urlsplit(requisition.redirect)
    query = "&".join(one for one in (parts.query, urlencode(told)) if one)
    return RedirectResponse(urlunsplit(parts._replace(query=query)), _FOUND)


def offered_logins(state: GoCardlessState, requisition: Requisition) -> Sequence[str]:
    """Return all logins, those of the institution's own bank first."""
    bank_id = state.institution(requisition.institution_id).bank_id
    logins = state.world.logins.values()
    own = [one.id for one in logins if one.bank_id == bank_id]
    return own + [one.id for one in logins if one.bank_id != bank_id]


def offered_accounts(
    state: GoCardlessState, requisition: Requisition, login_id: str
) -> Sequence[BankAccount]:
    """Return the accounts that the bank shows of a login; some show closed ones."""
    if not state.institution(requisition.institution_id).profile.lists_closed:
        return state.world.login_accounts(login_id)
    accounts = state.world.accounts
    return [accounts[one] for one in state.world.logins[login_id].account_ids]


def _step(state: GoCardlessState, requisition: Requisition, wish: _Wish, root: str) -> Response:
    """Show the page of the present step, or take the step that was asked for."""
    step = next(iter(wish.get("step", ())), None)
    if step == "agree" and requisition.status == "GC":
        agreement = state.agreement(requisition.agreement_id)
        if agreement is not None:
            agreement.accepted = agreement.accepted or state.clock.now()
        requisition.walk("UA")
    elif step == "login" and requisition.status == "UA" and requisition.account_selection:
        login_id = next(iter(wish.get("login", ())), "")
        if login_id in state.world.logins:
            requisition.login_id = login_id
            requisition.walk("SA")
    elif step in ("login", "accounts"):
        login = {"login": [requisition.login_id]} if requisition.login_id else {}
        return _approve(state, requisition, {**login, **wish})
    else:
        return HTMLResponse(_shown(state, requisition))
    return RedirectResponse(link_of(root, requisition), _SEE_OTHER)


def _shown(state: GoCardlessState, requisition: Requisition) -> str:
    institution = state.institution(requisition.institution_id)
    name = escape(institution.name)
    if requisition.status == "GC":
        agreement = state.agreement(requisition.agreement_id)
        days = "" if agreement is None else f" for {agreement.access_valid_for_days} days"
        body = f"""<h1>Share your accounts at {name}?</h1>
<p><small>This is a simulation: no bank is behind it.</small></p>
<form method="post"><p>Access is given{days}.</p><input type="hidden" name="step" value="agree">
<button>I agree</button></form>{_CANCEL}"""
    elif requisition.status == "SA" and requisition.login_id:
        boxes = _boxes(state, requisition, requisition.login_id)
        body = f"""<h1>Choose accounts</h1><form method="post">{boxes}
<input type="hidden" name="step" value="accounts"><button>Share</button></form>{_CANCEL}"""
    else:
        logins = offered_logins(state, requisition)
        forms = "".join(_login_form(state, requisition, one) for one in logins)
        body = f"<h1>{name}: log in</h1>{forms or '<p>Nobody lives here.</p>'}{_CANCEL}"
    return PAGE.format(title=f"Connect to {name}", body=body)


def _login_form(state: GoCardlessState, requisition: Requisition, login_id: str) -> str:
    login = state.world.logins[login_id]
    bank = state.world.banks[login.bank_id]
    boxes = "" if requisition.account_selection else _boxes(state, requisition, login_id)
    return f"""<form method="post"><h2>{escape(login.person_name)}</h2>
<small>{escape(login.username)}, customer of {escape(bank.name)}</small>{boxes}
<input type="hidden" name="login" value="{escape(login_id)}">
<input type="hidden" name="step" value="login"><button>Log in</button></form>"""


def _boxes(state: GoCardlessState, requisition: Requisition, login_id: str) -> str:
    return "".join(
        f'<label><input type="checkbox" name="account" value="{escape(one.id)}" checked> '
        f"{escape(one.name)} <small>{escape(one.mask or '')}</small></label>"
        for one in offered_accounts(state, requisition, login_id)
    )


def _confirm(state: GoCardlessState, agreement_id: str, method: str) -> Response:
    if method == "GET":
        body = """<h1>Keep sharing your accounts?</h1>
<form method="post"><button>Yes, for another 90 days</button></form>"""
        return HTMLResponse(PAGE.format(title="Reconfirm", body=body))
    with state.lock:
        try:
            redirect = reconfirm(state, agreement_id)
        except KeyError:
            body = "<h1>Nothing is to be confirmed here</h1>"
            return HTMLResponse(PAGE.format(title="Reconfirm", body=body), _NOT_FOUND)
    return RedirectResponse(redirect or "/", _FOUND)
