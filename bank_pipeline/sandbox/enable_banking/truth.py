"""
What a pipeline that did everything right would hold of a session now.

Computed from the world's own truth, without the pages that answers are made of.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.account_endpoints import OVERDRAFT
from bank_pipeline.sandbox.enable_banking.account_json import identification_hashes
from bank_pipeline.sandbox.enable_banking.profiles import Balances, Profile, References
from bank_pipeline.sandbox.enable_banking.sessions import Grant, Session, SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import State
from bank_pipeline.sandbox.enable_banking.words import (
    dates_of,
    mirror,
    money_shown,
    phantoms,
    reference_of,
    remittance_of,
    text_of,
)
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, BankAccount, Entry, EntryState
from bank_pipeline.sandbox.wire import number_text, optional_number_text

Json = dict[str, Any]
_UNTRUSTED: Final = (References.NONE, References.RESTLESS, References.NUMBERED)
_HEALTHY: Final = (SessionStatus.AUTHORIZED, SessionStatus.CLOSED)


def truth_of(state: State, session: Session) -> Json:
    """
    Describe a session's accounts as `Wing.truth_of` says.

    Beyond that: an account without a uid stands under "" and its first hash and has no rows;
    `not_money` holds rows that no balance contains. A currency that is shown as XXX is None.
    """
    now = state.clock.now()
    status = session.status_at(now)
    return {
        "external_id": session.session_id,
        "login_id": session.login_id,
        "removed": session.status is SessionStatus.CLOSED,
        "error_code": None if status in _HEALTHY else status.value,
        "accounts": dict(_account(state, session, grant, now) for grant in session.grants),
    }


def _account(state: State, session: Session, grant: Grant, now: datetime) -> tuple[str, Json]:
    profile = session.aspsp.profile
    shown = state.world.truth(grant.world_account_id, session.sees_until(now))
    account = shown.account
    is_open = account.closed_at is None or now < account.closed_at
    hashes = identification_hashes(account, profile, state.seed)
    booked, available = _balances(profile.balances, shown) if grant.uid else (None, None)
    entries = _entries(state, session, shown, now) if grant.uid else []
    planned = phantoms(account, now.date()) if profile.holds_and_others and grant.uid else []
    return grant.uid or hashes[0], {
        "world_account_id": account.id,
        "listed": grant.uid is not None and is_open and session.status is not SessionStatus.CLOSED,
        "kind": account.kind.value,
        "name": account.name,
        "currency": account.currency,
        "unofficial_currency": None,
        "booked": optional_number_text(booked),
        "available": optional_number_text(available),
        "identification_hashes": hashes,
        "first_day": _since(session).isoformat(),
        "transactions": [_row(state, profile, one) for one in entries],
        "not_money": [{**_row(state, profile, one), "status": status_} for status_, one in planned],
    }


def _entries(state: State, session: Session, shown: AccountTruth, now: datetime) -> list[Entry]:
    profile, account = session.aspsp.profile, shown.account
    entries: Sequence[Entry] = shown.entries
    if profile.mirrored_cards and account.kind is AccountKind.CREDIT_CARD:
        paying = _paying_account(state, account)
        entries = mirror(state.world.truth(paying.id, session.sees_until(now)).entries, account.id)
    since = _since(session)
    return [
        one
        for one in entries
        if dates_of(profile, one).day >= since
        and (profile.shows_pending or one.state is EntryState.BOOKED)
    ]


def _paying_account(state: State, card: BankAccount) -> BankAccount:
    ids = state.world.logins[card.login_id].account_ids
    accounts = [state.world.accounts[one] for one in ids]
    open_ones = [one for one in accounts if one.closed_at is None]
    return next((one for one in open_ones if one.kind is AccountKind.CHECKING), card)


def _since(session: Session) -> date:
    """Return the first day that could ever be read, which was when the consent was young."""
    days = session.aspsp.profile.history_days
    if days is None or session.authorized_at is None:
        return date.min
    return session.authorized_at.date() - timedelta(days=days)


def _balances(style: Balances, shown: AccountTruth) -> tuple[Decimal | None, Decimal | None]:
    """Return booked and available as the bank tells them."""
    is_card = shown.account.kind is AccountKind.CREDIT_CARD
    if style is Balances.EMPTY:
        return None, None
    if style is Balances.CARD_ZERO and is_card:
        return Decimal(0), None
    if style is Balances.REMAINING and is_card:
        return _owed(shown), shown.available
    if style is Balances.CLOSING and is_card:
        return shown.booked, None
    if style is Balances.OVERDRAFT and shown.account.kind is AccountKind.CHECKING:
        return shown.booked, None if shown.available is None else shown.available + OVERDRAFT
    return shown.booked, shown.available


def _owed(shown: AccountTruth) -> Decimal | None:
    """Return what a card owes by what is left of it; nobody can say without a limit."""
    limit = shown.account.credit_limit
    if limit is None or shown.available is None:
        return None
    return min(shown.available - limit, Decimal(0))


def _row(state: State, profile: Profile, entry: Entry) -> Json:
    amount, currency = money_shown(profile, entry)
    reference = reference_of(profile, state.seed, entry, 0)
    return {
        "external_id": None if profile.references in _UNTRUSTED else reference,
        "entry_id": entry.id,
        "amount": number_text(amount),
        "currency": currency,
        "unofficial_currency": None,
        "pending": entry.state is EntryState.PENDING,
        "day": _day(profile, entry).isoformat(),
        "description": text_of(remittance_of(profile, entry)),
    }


def _day(profile: Profile, entry: Entry) -> date:
    return entry.transaction_date if entry.booking_date is None else dates_of(profile, entry).day
