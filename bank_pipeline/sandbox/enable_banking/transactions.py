"""
An account's transactions: what may be asked for, how far back, and in which pages.

Source: https://enablebanking.com/docs/api/reference/
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.account_endpoints import ask_bank, seen_at
from bank_pipeline.sandbox.enable_banking.account_json import account_id
from bank_pipeline.sandbox.enable_banking.errors import (
    EnableBankingError,
    api_error,
    wrong_parameters,
)
from bank_pipeline.sandbox.enable_banking.ids import derive_transaction_id
from bank_pipeline.sandbox.enable_banking.listing import rows_shown
from bank_pipeline.sandbox.enable_banking.profiles import (
    FRESH_FOR,
    PendingFilter,
    Profile,
    Refusal,
)
from bank_pipeline.sandbox.enable_banking.sessions import Grant, Session
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint, PagePlace
from bank_pipeline.sandbox.enable_banking.transaction_json import Row, Telling, transaction_json
from bank_pipeline.sandbox.faults import FaultKind

Json = dict[str, Any]
_STATUSES: Final = ("BOOK", "CNCL", "HOLD", "OTHR", "PDNG", "RJCT", "SCHD")
_USUAL_DAYS: Final = 90  # what is told to those who name no date
_LONGEST_DAYS: Final = 730
_LONGEST_COST: Final = 2  # looking for the longest period takes another access
_STALE_DAYS: Final = 30
_PLACES_MAX: Final = 20_000  # the oldest key is forgotten first
_BOUND: Final = ("date_from", "date_to", "transaction_status", "strategy")


@dataclass(frozen=True)
class Asked:
    """The checked query of a listing."""

    date_from: date | None
    date_to: date | None
    status: str | None
    is_longest: bool
    continuation_key: str | None


def list_transactions(call: Call) -> Json:
    """Tell one page of an account's rows, newest first."""
    session, grant = call.account()
    if not session.access["transactions"]:
        raise api_error("ACCESS_DENIED")
    asked = _read(call.query, call.now.date())
    profile = session.aspsp.profile
    place = _known_place(call, asked) if asked.continuation_key else None
    _ask(call, session, grant, asked, is_first=place is None)
    if place is None:
        place = _first_place(call, session, grant, asked)
        if profile.empty_first_page or _is(call, FaultKind.EMPTY_PAGE):
            return {"transactions": [], "continuation_key": _keep(call, place)}
    elif profile.pages_lose_filter and asked.status is not None:
        raise _changed("transaction_status")
    elif _is(call, FaultKind.EMPTY_PAGE):
        return {"transactions": [], "continuation_key": _keep(call, place)}
    return _page(call, session, grant, asked, place)


def read_transaction(call: Call) -> Json:
    """Tell one row again, by the id that an earlier answer gave it."""
    session, grant = call.account()
    if not session.access["transactions"]:
        raise api_error("ACCESS_DENIED")
    ask_bank(call, session, grant, "transaction")
    asked_id = call.path["transaction_id"]
    nonce = asked_id.partition(".")[0]
    profile = session.aspsp.profile
    for row in rows_shown(call.wing.world, profile, grant.world_account_id, call.now):
        if derive_transaction_id(nonce, row.key) == asked_id:
            listing = session.listings.get(grant.world_account_id, 0)
            return transaction_json(row, _telling(call, session, grant, listing, nonce))
    raise api_error("TRANSACTION_DOES_NOT_EXIST")


def _read(query: Mapping[str, str], today: date) -> Asked:
    """
    Return the checked query.

    Raises:
        EnableBankingError: a value that cannot be, or dates that contradict each other.
    """
    date_from, date_to = _date(query, "date_from"), _date(query, "date_to")
    status, strategy = query.get("transaction_status"), query.get("strategy", "default")
    if status is not None and status not in _STATUSES:
        raise wrong_parameters(f"transaction_status: input should be one of {_STATUSES}")
    if strategy not in ("default", "longest"):
        raise wrong_parameters("strategy: input should be 'default' or 'longest'")
    if date_from is not None and date_from > today:
        raise api_error("DATE_FROM_IN_FUTURE")
    if strategy == "longest":
        date_to = None
    if date_to is not None and date_from is None:
        raise api_error("DATE_TO_WITHOUT_DATE_FROM")
    if date_to is not None and date_from is not None and date_from > date_to:
        raise api_error("WRONG_DATE_INTERVAL")
    key = query.get("continuation_key") or None
    return Asked(date_from, date_to, status, strategy == "longest", key)


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError as error:
        raise wrong_parameters(f"{name}: invalid date format") from error


def _known_place(call: Call, asked: Asked) -> PagePlace:
    """
    Return where the key stands.

    Raises:
        EnableBankingError: the key is of another account or session, too old or unknown, or
            the query is not the one it was given for.
    """
    place = call.wing.places.get(asked.continuation_key or "")
    if place is None or place.uid != call.path["account_id"]:
        raise api_error("WRONG_CONTINUATION_KEY")
    is_old = call.now > place.at + call.wing.options.continuation_ttl
    if is_old or _is(call, FaultKind.CURSOR_REJECTED):
        raise api_error("WRONG_CONTINUATION_KEY")
    for name, before, now in zip(_BOUND, place.binding, _binding(call), strict=True):
        if before != now:
            raise _changed(name)
    return place


def _changed(name: str) -> EnableBankingError:
    """
    Return the refusal of a key whose query changed, in the words that were seen in 2026.

    Source: https://github.com/2manyvcos/enable-actual/issues/27
    """
    first, *rest = name.split("_")
    parameter = first + "".join(word.capitalize() for word in rest)
    message = (
        f"{parameter} in request is not the same as in continuationKey. Continuation key is only"
        " valid for the same getAccountTransactions parameters"
    )
    detail = {"message": message, "error_name": "ParameterValidationException", "error_data": {}}
    return api_error("WRONG_REQUEST_PARAMETERS", detail=detail, message=message)


def _ask(call: Call, session: Session, grant: Grant, asked: Asked, *, is_first: bool) -> None:
    """Spend an access and let the bank refuse what it does not do."""
    profile = session.aspsp.profile
    cost = 1 if is_first or profile.pages_count else 0
    if is_first and asked.is_longest:
        cost = _LONGEST_COST
    ask_bank(call, session, grant, "transactions", cost=cost)
    if asked.status == "PDNG":
        _refuse_pending(profile)


def _refuse_pending(profile: Profile) -> None:
    match profile.pending_filter:
        case PendingFilter.UNPROCESSABLE:
            raise api_error("WRONG_REQUEST_PARAMETERS/pending")
        case PendingFilter.BAD_REQUEST:
            raise api_error("WRONG_REQUEST_PARAMETERS/pending", status=400)
        case PendingFilter.BANK_ERROR:
            raise api_error("ASPSP_ERROR")
        case _:
            pass


def _first_place(call: Call, session: Session, grant: Grant, asked: Asked) -> PagePlace:
    today, profile = call.now.date(), session.aspsp.profile
    oldest = _oldest(call, session)
    if asked.date_from is not None and oldest is not None and asked.date_from < oldest:
        _refuse_period(profile, asked, oldest, today)
    usual = _LONGEST_DAYS if asked.is_longest else _USUAL_DAYS
    since = asked.date_from or today - timedelta(days=usual)
    listing = session.listings.get(grant.world_account_id, 0) + 1
    session.listings[grant.world_account_id] = listing
    until = asked.date_to
    if profile.stale_longest and asked.is_longest:
        until = today - timedelta(days=_STALE_DAYS)
    if profile.ignores_filters:
        since, until = today - timedelta(days=_LONGEST_DAYS), None
    return PagePlace(
        uid=call.path["account_id"],
        binding=_binding(call),
        after=None,
        since=since if oldest is None else max(since, oldest),
        until=until,
        listing=listing,
        at=call.now,
    )


def _oldest(call: Call, session: Session) -> date | None:
    """Return the first date that the bank tells now, or None where it tells all."""
    profile, today = session.aspsp.profile, call.now.date()
    bounds = [profile.history_days]
    assert session.authorized_at is not None, "only authorised sessions are read"
    if call.now > session.authorized_at + FRESH_FOR:
        bounds.append(profile.fresh_days)
    days = [one for one in bounds if one is not None]
    return today - timedelta(days=min(days)) if days else None


def _refuse_period(profile: Profile, asked: Asked, oldest: date, today: date) -> None:
    """Refuse too much history; whoever asks for the longest period, or a quiet bank, cuts it."""
    if asked.is_longest:
        return
    match profile.refusal:
        case Refusal.DATED:
            raise period_error(oldest, today)
        case Refusal.BARE:
            raise api_error("WRONG_TRANSACTIONS_PERIOD/bare")
        case Refusal.BANK_BODY:
            detail = f"dateFrom={asked.date_from}, dateTo={asked.date_to or today}"
            raise api_error("PERIOD_INVALID", detail=detail)
        case Refusal.BANK_ERROR:
            raise api_error("ASPSP_ERROR")
        case _:
            pass


def period_error(oldest: date, today: date) -> EnableBankingError:
    """Return the refusal that says from which date on the bank would answer."""
    days = (today - oldest).days
    message = f"Maximum days in the past allowed for transaction list is {days}"
    detail = {"message": message, "date_from": oldest.isoformat()}
    return api_error("WRONG_TRANSACTIONS_PERIOD/dated", detail=detail)


def _page(call: Call, session: Session, grant: Grant, asked: Asked, place: PagePlace) -> Json:
    profile, wing = session.aspsp.profile, call.wing
    rows = [
        row
        for row in rows_shown(wing.world, profile, grant.world_account_id, seen_at(call))
        if _is_wanted(row, asked, place, profile)
    ]
    size = wing.page_size or profile.page_size
    if _is(call, FaultKind.HUGE_PAGE):
        size = len(rows)
    page, nonce = rows[:size], f"{wing.calls.total():x}"
    telling = _telling(call, session, grant, place.listing, nonce)
    told = [transaction_json(row, telling) for row in page]
    has_more = len(rows) > size or (profile.pages_lose_filter and asked.status is not None)
    key = _next_key(call, asked, place, page, has_more=has_more)
    return {"transactions": told, "continuation_key": key}


def _telling(call: Call, session: Session, grant: Grant, listing: int, nonce: str) -> Telling:
    world, seed = call.wing.world, call.wing.seed
    account = world.accounts[grant.world_account_id]
    holder = world.logins[account.login_id].person_name
    number = account_id(account, seed)
    return Telling(session.aspsp.profile, seed, listing, nonce, holder, number)


def _is_wanted(row: Row, asked: Asked, place: PagePlace, profile: Profile) -> bool:
    if place.after is not None and row.place >= place.after:
        return False
    if place.since is not None and row.day < place.since:
        return False
    if place.until is not None and row.day > place.until:
        return False
    return asked.status in (None, row.status) or profile.ignores_filters


def _next_key(
    call: Call, asked: Asked, place: PagePlace, page: list[Row], *, has_more: bool
) -> str | None:
    if _is(call, FaultKind.ENDLESS_PAGES):
        return asked.continuation_key or _keep(call, place)
    if not page or not has_more:
        return None
    is_repeating = _is(call, FaultKind.DUPLICATE_ACROSS_PAGES) and len(page) > 1
    last = page[-2] if is_repeating else page[-1]
    return _keep(call, replace(place, after=last.place))


def _keep(call: Call, place: PagePlace) -> str:
    key, places = call.wing.mint.opaque(), call.wing.places
    places[key] = place
    if len(places) > _PLACES_MAX:
        del places[next(iter(places))]
    return key


def _binding(call: Call) -> tuple[str, ...]:
    """Return the query that a key is bound to."""
    return tuple(call.query.get(name, "") for name in _BOUND)


def _is(call: Call, kind: FaultKind) -> bool:
    return call.fault is not None and call.fault.kind is kind


ENDPOINTS: Final = (
    Endpoint("transactions", "GET", "/accounts/{account_id}/transactions", list_transactions),
    Endpoint(
        "transaction",
        "GET",
        "/accounts/{account_id}/transactions/{transaction_id}",
        read_transaction,
    ),
)
