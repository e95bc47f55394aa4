"""
What a pipeline that did everything right would hold now, in GoCardless's ids.

Computed from the world's ledger. Where a bank's habits hide the truth, it is where a reader who
knows them finds it: amounts have the holder's sign, a booked row's day is the world's booking
date (in valueDate or valueDateTime at some), a pending row's is the day it was paid, but at
banks that date them ahead the date shown, and today at most. Pending rows that are undated or
placeholders cannot be used and are no part of the truth, nor are booked rows without any date.
What the agreement does not cover is not either.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.gocardless.accounts import shown_name
from bank_pipeline.sandbox.gocardless.bank_table import Institution
from bank_pipeline.sandbox.gocardless.ids import derive_internal_id
from bank_pipeline.sandbox.gocardless.profiles import Measure, Pending
from bank_pipeline.sandbox.gocardless.state import (
    Agreement,
    GoCardlessState,
    LinkedAccount,
    Requisition,
)
from bank_pipeline.sandbox.gocardless.texts import words_of
from bank_pipeline.sandbox.ledger import AccountTruth, Entry, EntryState
from bank_pipeline.sandbox.wire import number_text, optional_number_text

_AHEAD: Final = timedelta(days=2)


def truth_of(state: GoCardlessState, requisition: Requisition) -> dict[str, Any]:
    """
    Describe a requisition's accounts and transactions as they should be known now.

    `error_code` is the status of a requisition that cannot be used, REVOKED when its bank
    refuses although the status is LN, NO_AGREEMENT when its agreement was deleted, else None.
    """
    now = state.clock.now()
    return {
        "external_id": requisition.id,
        "login_id": requisition.login_id,
        "removed": requisition.deleted_at is not None,
        "error_code": _error_code(state, requisition, now),
        "accounts": {
            one.id: _account(state, requisition, one, now) for one in requisition.accounts
        },
    }


def _error_code(state: GoCardlessState, requisition: Requisition, now: datetime) -> str | None:
    status = state.status_of(requisition, now)
    if status != "LN":
        return status if status in ("RJ", "ER", "SU", "EX") else None
    if requisition.revoked_at is not None:
        return "REVOKED"
    return None if state.agreement(requisition.agreement_id) is not None else "NO_AGREEMENT"


def _account(
    state: GoCardlessState, requisition: Requisition, linked: LinkedAccount, now: datetime
) -> dict[str, Any]:
    agreement = state.agreements[requisition.agreement_id]
    institution = state.institution(requisition.institution_id)
    until = _sees_until(requisition, agreement, now)
    shown = state.world.truth(linked.world_account_id, until)
    frozen = shown
    if linked.frozen_at is not None:
        frozen = state.world.truth(linked.world_account_id, min(until, linked.frozen_at))
    account = shown.account
    is_open = account.closed_at is None or now < account.closed_at
    can_read = {scope: scope in agreement.access_scope for scope in ("balances", "transactions")}
    profile = institution.profile
    return {
        "world_account_id": account.id,
        "listed": requisition.deleted_at is None and is_open,
        "kind": account.kind.value,
        "name": shown_name(institution, account),
        "currency": account.currency,
        "unofficial_currency": None,
        "booked": _balance(profile.booked, shown) if can_read["balances"] else None,
        "available": _balance(profile.available, shown) if can_read["balances"] else None,
        "first_day": _first_day(agreement).isoformat(),
        "transactions": [
            _row(institution, linked, entry, day)
            for entry, day in _dated(institution, frozen, now)
            if day >= _first_day(agreement)
        ]
        if can_read["transactions"]
        else [],
    }


def _sees_until(requisition: Requisition, agreement: Agreement, now: datetime) -> datetime:
    """Return the last moment at which accounts could be read; deleting ends the agreement."""
    ends = (
        requisition.revoked_at,
        requisition.suspended_at,
        agreement.deleted_at,
        agreement.expires_at,
    )
    return min([now, *(end for end in ends if end is not None)])


def _first_day(agreement: Agreement) -> date:
    accepted = agreement.accepted or agreement.created
    return accepted.date() - timedelta(days=agreement.max_historical_days)


def _balance(measure: Measure | None, shown: AccountTruth) -> str | None:
    amount = {Measure.BOOKED: shown.booked, Measure.AVAILABLE: shown.available}.get(
        measure or Measure.STALE
    )
    return optional_number_text(amount)


def _dated(
    institution: Institution, shown: AccountTruth, now: datetime
) -> Iterator[tuple[Entry, date]]:
    """Yield the rows that can be used with their day."""
    for entry in shown.entries:
        if entry.state is EntryState.BOOKED:
            day = entry.booking_date or entry.value_date
        else:
            day = _pending_day(institution, entry, now)
        if day is not None:
            yield entry, day


def _pending_day(institution: Institution, entry: Entry, now: datetime) -> date | None:
    match institution.profile.pending:
        case Pending.SHOWN:
            return entry.transaction_date
        case Pending.AHEAD:
            return min(entry.transaction_date + _AHEAD, now.date())
        case _:
            return None


def _row(
    institution: Institution, linked: LinkedAccount, entry: Entry, day: date
) -> dict[str, Any]:
    is_pending = entry.state is EntryState.PENDING
    has_id = not is_pending and institution.profile.has_internal_ids()
    return {
        "external_id": derive_internal_id(linked.id, entry.id) if has_id else None,
        "entry_id": entry.id,
        "amount": number_text(entry.amount),
        "currency": entry.currency,
        "unofficial_currency": None,
        "pending": is_pending,
        "day": day.isoformat(),
        "description": words_of(institution.profile, entry).description,
    }
