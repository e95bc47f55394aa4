"""
The endpoints around Link tokens, and what happens when a customer finishes with one.

Source: https://plaid.com/docs/api/link/, https://plaid.com/docs/link/hosted-link/,
https://plaid.com/docs/link/update-mode/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.plaid.accounts import is_listed, link_account
from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.plaid.items import Item, NewItem
from bank_pipeline.sandbox.plaid.link_sessions import AddedItem, LinkSession, LinkToken
from bank_pipeline.sandbox.plaid.link_shape import LINK_TOKEN_SHAPE
from bank_pipeline.sandbox.plaid.shapes import Shape, Text
from bank_pipeline.sandbox.plaid.simulator import Call, Endpoint, Plaid
from bank_pipeline.sandbox.plaid.vocabulary import UNLINKABLE_PRODUCTS
from bank_pipeline.sandbox.wire import moment_text

_LIFE: Final = timedelta(hours=4)
_SHORT_LIFE: Final = timedelta(minutes=30)  # in update mode and for hosted pages
_DAYS_USUAL: Final = 90
_PRODUCT_LISTS: Final = (
    "products",
    "required_if_supported_products",
    "optional_products",
    "additional_consented_products",
)


@dataclass(frozen=True)
class Choice:
    """What the customer chose: a login and some of its accounts, by the world's ids."""

    login_id: str
    account_ids: Sequence[str]


def create(call: Call) -> dict[str, Any]:
    """Make a link token, for a new Item or to repair one."""
    token = _new_token(call)
    call.plaid.links.add(token)
    body: dict[str, Any] = {
        "link_token": token.token,
        "expiration": moment_text(token.expires_at),
    }
    if token.hosted:
        base = call.plaid.options.public_url or call.base_url
        body["hosted_link_url"] = f"{base.rstrip('/')}/link/hosted/{token.token}"
    return body


def get(call: Call) -> dict[str, Any]:
    """Tell what became of a link token."""
    token = call.plaid.links.find(call.body["link_token"])
    return {
        "created_at": moment_text(token.created_at),
        "expiration": moment_text(token.expires_at),
        "link_sessions": [one.to_json() for one in token.sessions],
        "link_token": token.token,
        "metadata": {
            "client_name": token.client_name,
            "country_codes": list(token.country_codes),
            "initial_products": list(token.products),
            "language": token.language,
            "redirect_uri": token.redirect_uri,
            "webhook": token.webhook,
        },
    }


def exchange(call: Call) -> dict[str, Any]:
    """Turn a public token into the access token of its Item, once."""
    item = call.plaid.items.exchange(call.body["public_token"], call.now)
    return {"access_token": item.access_token, "item_id": item.item_id}


def finish_session(plaid: Plaid, token: LinkToken, choice: Choice | None) -> LinkSession:
    """
    End a customer's visit: with success when something was chosen, else without.

    In update mode the Item keeps its id and its access token, loses its error and gets a new
    consent; the public token that is handed out is one that nobody needs.
    """
    now = plaid.clock.now()
    session_id = plaid.mint.uuid()
    added = None
    if choice is not None:
        item = _repaired(plaid, token, choice, now) if token.update_item_id else None
        item = item or plaid.items.create(_wanted(plaid, token, choice), now)
        added = _added(plaid, item, now)
    events = _events(plaid, added, now)
    session = LinkSession(session_id, now, now, events, added)
    token.sessions.append(session)
    _announce(plaid, token, session)
    return session


def open_accounts(plaid: Plaid, login_id: str) -> Sequence[str]:
    """Return the accounts a customer can choose from, by the world's ids."""
    now, accounts = plaid.clock.now(), plaid.world.accounts
    ids = plaid.world.logins[login_id].account_ids
    return [one for one in ids if is_listed(accounts[one], now)]


def consent_of(plaid: Plaid, institution_id: str) -> timedelta | None:
    """Return how long a new consent lasts at an institution; None is for ever."""
    if _is_north_american(plaid, institution_id):
        return plaid.options.consent_us
    return plaid.options.consent_europe


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "/link/token/create": Endpoint(create, LINK_TOKEN_SHAPE),
    "/link/token/get": Endpoint(get, Shape({"link_token": Text(required=True)})),
    "/item/public_token/exchange": Endpoint(exchange, Shape({"public_token": Text(required=True)})),
}


def _is_north_american(plaid: Plaid, institution_id: str) -> bool:
    return plaid.institutions[institution_id].country in ("US", "CA")


def _new_token(call: Call) -> LinkToken:
    body = call.body
    hosted = body.get("hosted_link")
    item = call.plaid.items.open(body["access_token"]) if body.get("access_token") else None
    _check(call, updating=item is not None)
    if hosted and hosted.get("url_lifetime_seconds"):
        life = timedelta(seconds=hosted["url_lifetime_seconds"])
    else:
        life = _LIFE if item is None and hosted is None else _SHORT_LIFE
    lists = {name: body.get(name) or [] for name in _PRODUCT_LISTS}
    products = [*lists["products"], *lists["required_if_supported_products"]]
    return LinkToken(
        token=call.plaid.mint.token("link"),
        created_at=call.now,
        expires_at=call.now + life,
        client_name=body["client_name"],
        country_codes=body["country_codes"],
        language=body["language"],
        products=products,
        consented_products=[one for names in lists.values() for one in names],
        days_requested=(body.get("transactions") or {}).get("days_requested", _DAYS_USUAL),
        webhook=body.get("webhook") if item is None else item.webhook,
        redirect_uri=body.get("redirect_uri"),
        completion_uri=(hosted or {}).get("completion_redirect_uri"),
        institution_id=body.get("institution_id"),
        update_item_id=None if item is None else item.item_id,
        account_selection=bool((body.get("update") or {}).get("account_selection_enabled")),
        several_items=bool(body.get("enable_multi_item_link")),
        hosted=hosted is not None,
    )


def _check(call: Call, *, updating: bool) -> None:
    body = call.body
    asked = [one for name in _PRODUCT_LISTS for one in body.get(name) or []]
    if not (body.get("user") or body.get("user_id")):
        raise plaid_error(
            "MISSING_FIELDS", "the following required fields are missing: user.client_user_id"
        )
    if not asked and not updating:
        raise plaid_error("INVALID_FIELD", "products must have at least one element")
    if len(asked) != len(set(asked)):
        raise plaid_error("INVALID_FIELD", "a product must stand in one product array only")
    if unfit := sorted(UNLINKABLE_PRODUCTS.intersection(asked)):
        raise plaid_error(
            "INVALID_PRODUCT",
            f"client is not authorized to access the following products: {unfit}",
        )
    if "?" in (body.get("redirect_uri") or ""):
        raise plaid_error("INVALID_FIELD", "redirect_uri must not contain a query string")
    if body.get("institution_id", None) not in (None, *call.plaid.institutions):
        raise plaid_error("INVALID_INSTITUTION")


def _wanted(plaid: Plaid, token: LinkToken, choice: Choice) -> NewItem:
    institution_id = plaid.institution_id_of(plaid.world.logins[choice.login_id].bank_id)
    return NewItem(
        login_id=choice.login_id,
        institution_id=institution_id,
        account_ids=choice.account_ids,
        products=token.products,
        consented_products=token.consented_products,
        webhook=token.webhook,
        days_requested=token.days_requested,
        consent=consent_of(plaid, institution_id),
    )


def _repaired(plaid: Plaid, token: LinkToken, choice: Choice, now: datetime) -> Item:
    item = plaid.item(token.update_item_id or "")
    if item.login_id != choice.login_id:
        raise plaid_error("INVALID_UPDATED_USERNAME")
    plaid.announcer.repair(item, now)
    consent = consent_of(plaid, item.institution_id)
    item.consent_ends_at = None if consent is None else now + consent
    item.consented_products = sorted({*item.consented_products, *token.consented_products})
    if token.account_selection and _is_north_american(plaid, item.institution_id):
        plaid.items.select_accounts(item, choice.account_ids, now)
    plaid.announcer.look_at(item, now)
    return item


def _added(plaid: Plaid, item: Item, now: datetime) -> AddedItem:
    accounts = plaid.world.accounts
    name = plaid.institutions[item.institution_id].name
    return AddedItem(
        item_id=item.item_id,
        public_token=plaid.items.new_public_token(item, now),
        institution={"institution_id": item.institution_id, "name": name},
        accounts=[
            link_account(accounts[one.world_account_id], one.account_id)
            for one in item.active_grants()
        ],
    )


def _events(plaid: Plaid, added: AddedItem | None, now: datetime) -> list[dict[str, Any]]:
    about: dict[str, Any] = {}
    names: tuple[str, ...] = ("EXIT",)
    if added is not None:
        names = ("SELECT_INSTITUTION", "SUBMIT_CREDENTIALS", "HANDOFF")
        institution = added.institution
        about = {
            "institution_id": institution["institution_id"],
            "institution_name": institution["name"],
        }
    return [
        {
            "event_id": plaid.mint.uuid(),
            "event_metadata": {**about, "request_id": plaid.mint.request_id()},
            "event_name": name,
            "timestamp": moment_text(now),
        }
        for name in ("OPEN", *names)
    ]


def _announce(plaid: Plaid, token: LinkToken, session: LinkSession) -> None:
    """Send a session's webhooks; plain Link in a browser has none."""
    if not (token.hosted or token.several_items):
        return
    ids = {"link_session_id": session.session_id, "link_token": token.token}
    added = session.added
    send = plaid.announcer.send_link
    if added is not None:
        send(token.webhook, "ITEM_ADD_RESULT", {**ids, "public_token": added.public_token})
    tokens = [] if added is None else [added.public_token]
    finished = {"status": "EXITED" if added is None else "SUCCESS", **ids, "public_tokens": tokens}
    if added is not None:
        finished["public_token"] = added.public_token
    send(token.webhook, "SESSION_FINISHED", finished)
    send(token.webhook, "EVENTS", {**ids, "events": list(session.events)})
