"""
Accounts: what GoCardless knows of them, and the three scopes that ask the bank.

An answer of a scope is judged in this order: consent, state, limits, bank.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.gocardless.amounts import NO_CURRENCY
from bank_pipeline.sandbox.gocardless.balances import balance_rows
from bank_pipeline.sandbox.gocardless.bank_table import Institution
from bank_pipeline.sandbox.gocardless.call import Call, Endpoint
from bank_pipeline.sandbox.gocardless.errors import (
    GoCardlessError,
    field_errors,
    gc_error,
    injected_error,
)
from bank_pipeline.sandbox.gocardless.ids import digest
from bank_pipeline.sandbox.gocardless.profiles import After, Iban, Measure, Pending
from bank_pipeline.sandbox.gocardless.quotas import daily_error
from bank_pipeline.sandbox.gocardless.rows import Row, Shelf, booked_row, day_of, pending_row
from bank_pipeline.sandbox.gocardless.state import LinkedAccount, Reply, Requisition
from bank_pipeline.sandbox.ledger import (
    AccountKind,
    AccountTruth,
    BankAccount,
    Entry,
    EntryState,
)
from bank_pipeline.sandbox.wire import moment_text, optional_moment_text

_A_DAY: Final = timedelta(days=1)
_STALE_BY: Final = timedelta(days=7)
_CASH_TYPES: Final = {
    AccountKind.CHECKING: "CACC",
    AccountKind.SAVINGS: "SVGS",
    AccountKind.CREDIT_CARD: "CARD",
    AccountKind.LOAN: "LOAN",
    AccountKind.MORTGAGE: "LOAN",
    AccountKind.INVESTMENT: "OTHR",
}
_Scope = Callable[[Call, LinkedAccount], dict[str, Any]]


def shown_iban(institution: Institution, account: BankAccount) -> str | None:
    """Return what the institution gives as an account's IBAN, None when it gives none."""
    number = int(digest("number", account.id), 16)
    match institution.profile.iban:
        case Iban.PLAIN:
            return account.iban
        case Iban.MASKED_PAN:
            return f"XXXXXXXXXX{number % 100_000:05d}"
        case Iban.GREENLAND:
            return f"GL{number % 90 + 10:02d}1044{number % 10**10:010d}"


def shown_bban(account: BankAccount) -> str | None:
    """Return the number of an account that has no IBAN; a card's stays with its bank."""
    if account.iban is not None or account.kind is AccountKind.CREDIT_CARD:
        return None
    return f"{int(digest('bban', account.id), 16) % 10**10:010d}"


def shown_name(institution: Institution, account: BankAccount) -> str:
    """Return the name the institution gives an account."""
    return "Main Account" if institution.profile.iban is Iban.GREENLAND else account.name


def _owner(call: Call, institution: Institution, requisition: Requisition) -> str:
    if institution.profile.iban is Iban.GREENLAND:
        return "Jane Doe"
    return call.state.world.logins[requisition.login_id or ""].person_name


def _metadata(call: Call) -> Reply:
    account, state = _found(call), call.state
    call.company_check()
    requisition = state.requisitions[account.requisition_id]
    institution = state.institution(requisition.institution_id)
    real = state.world.accounts[account.world_account_id]
    shows_owner = institution.profile.owner_shown
    return Reply(
        {
            "id": account.id,
            "created": moment_text(account.created),
            "last_accessed": optional_moment_text(account.last_accessed),
            "iban": shown_iban(institution, real) or "",
            "bban": (shown_bban(real) or "") if shows_owner else "",
            "status": state.account_status(account, call.now),
            "institution_id": institution.id,
            "owner_name": _owner(call, institution, requisition) if shows_owner else "",
            "name": shown_name(institution, real),
        }
    )


def _found(call: Call) -> LinkedAccount:
    assert call.account is not None, "only endpoints with an account ask for it"
    return call.account


def _scope(name: str, read: _Scope) -> Callable[[Call], Reply]:
    """Return the endpoint of one scope: all the judging around what it reads."""

    def answer(call: Call) -> Reply:
        account, state = _found(call), call.state
        if name == "transactions":
            _check_dates(call)
        _check_consent(call, account, name)
        _check_state(call, account)
        call.company_check()
        _check_daily(call, account, name)
        _ask_bank(call, account, name)
        body = read(call, account)
        account.last_accessed = call.now
        account.failures = 0
        if state.settings.daily_limit is not None:
            state.daily.spend(account.id, name, call.now)
            limit = state.settings.daily_limit
            call.account_level = state.daily.level(account.id, name, limit, call.now)
        return Reply(body)

    return answer


def _check_consent(call: Call, account: LinkedAccount, scope: str) -> None:
    requisition = call.state.requisitions[account.requisition_id]
    agreement = call.state.agreement(requisition.agreement_id)
    if agreement is None:
        raise gc_error("no_valid_eua")
    if agreement.is_over(call.now) or account.forced == "EXPIRED":
        raise gc_error(
            "eua_expired",
            agreement_id=agreement.id,
            days=agreement.access_valid_for_days,
            until=(agreement.expires_at or call.now).astimezone(UTC),
        )
    if scope not in agreement.access_scope:
        raise gc_error("eua_scope", scope=scope)


def _check_state(call: Call, account: LinkedAccount) -> None:
    status = call.state.account_status(account, call.now)
    if call.fault is not None and call.fault.kind is FaultKind.NOT_READY:
        status = "PROCESSING"
    if status in ("DISCOVERED", "PROCESSING"):
        raise gc_error("account_processing", account_status=status)
    if status == "SUSPENDED":
        raise gc_error("account_suspended")
    if status == "ERROR":
        raise state_object(call, account)


def state_object(call: Call, account: LinkedAccount) -> GoCardlessError:
    """Return the refusal that is no error but the account itself."""
    state = call.state
    requisition = state.requisitions[account.requisition_id]
    institution = state.institution(requisition.institution_id)
    real = state.world.accounts[account.world_account_id]
    return gc_error(
        "account_state_object",
        account_id=account.id,
        created=account.created.astimezone(UTC),
        last_accessed=(account.last_accessed or account.created).astimezone(UTC),
        iban=shown_iban(institution, real) or "",
        institution_id=institution.id,
    )


def _check_daily(call: Call, account: LinkedAccount, scope: str) -> None:
    limit = call.state.settings.daily_limit
    if limit is None:
        return
    call.account_level = level = call.state.daily.level(account.id, scope, limit, call.now)
    if not level.remaining:
        raise daily_error(level)


def _ask_bank(call: Call, account: LinkedAccount, scope: str) -> None:
    requisition = call.state.requisitions[account.requisition_id]
    fault = call.fault
    if fault is not None and fault.kind is FaultKind.LOGIN_REQUIRED:
        requisition.revoked_at = requisition.revoked_at or call.now
    if requisition.revoked_at is not None:
        raise gc_error("access_expired", scope=scope)
    real = call.state.world.accounts[account.world_account_id]
    if real.closed_at is not None and real.closed_at <= call.now:
        raise gc_error("account_inactive", scope=scope)
    if fault is not None and fault.kind is FaultKind.ERROR:
        raise injected_error(fault.code, fault.status, fault.message, scope=scope)


def _details(call: Call, account: LinkedAccount) -> dict[str, Any]:
    state = call.state
    requisition = state.requisitions[account.requisition_id]
    institution = state.institution(requisition.institution_id)
    real = state.world.accounts[account.world_account_id]
    iban = shown_iban(institution, real)
    shows_owner = institution.profile.owner_shown
    told: dict[str, Any] = {
        "resourceId": digest("resource", institution.id, real.id) if shows_owner else None,
        "iban": iban,
        "bban": shown_bban(real),
        "scan": iban[8:] if iban is not None and iban.startswith("GB") else None,
        "currency": real.currency or NO_CURRENCY,
        "ownerName": _owner(call, institution, requisition) if shows_owner else None,
        "name": shown_name(institution, real),
        "product": real.official_name,
        "cashAccountType": _CASH_TYPES[real.kind],
        "status": "enabled",
        "bic": institution.bic,
        "maskedPan": f"XXXXXXXXXXXX{real.mask}"
        if real.mask is not None and real.kind is AccountKind.CREDIT_CARD
        else None,
        "usage": "ORGA" if real.business else "PRIV",
    }
    return {"account": {name: value for name, value in told.items() if value is not None}}


def _balances(call: Call, account: LinkedAccount) -> dict[str, Any]:
    state = call.state
    institution = state.institution(state.requisitions[account.requisition_id].institution_id)
    moment = _moment(call)
    shown = state.world.truth(account.world_account_id, moment)
    tells_stale = any(line.measure is Measure.STALE for line in institution.profile.balances)
    past = moment - _A_DAY if tells_stale else moment
    before = state.world.truth(account.world_account_id, past)
    return {"balances": balance_rows(institution.profile, shown, before, moment)}


def _transactions(call: Call, account: LinkedAccount) -> dict[str, Any]:
    state = call.state
    requisition = state.requisitions[account.requisition_id]
    if account.frozen_at is None and state.is_frozen_kind(requisition):
        account.frozen_at = call.now
    profile = state.institution(requisition.institution_id).profile
    shown = state.world.truth(account.world_account_id, account.frozen_at or _moment(call))
    shelf = Shelf(account.id, profile)
    lists: dict[str, list[Row]] = {"booked": _booked(call, shelf, shown, requisition)}
    if profile.pending is not Pending.MISSING:
        waiting = [one for one in shown.entries if one.state is EntryState.PENDING]
        rows = [pending_row(shelf, one) for one in reversed(waiting)]
        lists["pending"] = [] if profile.pending is Pending.EMPTY else rows
    return {"transactions": lists, "last_updated": moment_text(call.now)}


def _moment(call: Call) -> datetime:
    """Return the moment of which the bank tells: the present, unless a fault says otherwise."""
    is_stale = call.fault is not None and call.fault.kind is FaultKind.STALE_DATA
    return call.now - _STALE_BY if is_stale else call.now


def _booked(call: Call, shelf: Shelf, shown: AccountTruth, requisition: Requisition) -> list[Row]:
    first = history_start(call, requisition)
    date_from, date_to = (_date(call.query.get(name)) for name in ("date_from", "date_to"))
    balance = call.state.world.opening_balance(shown.account.id)
    tells_after = shelf.profile.after is not After.ABSENT
    rows = []
    for entry in shown.entries:
        if entry.state is not EntryState.BOOKED:
            continue
        balance += entry.amount
        day = _filed_under(entry)
        if day >= (date_from or first) and day >= first and (date_to is None or day <= date_to):
            rows.append(booked_row(shelf, entry, balance if tells_after else None))
    return rows[::-1]


def _filed_under(entry: Entry) -> date:
    return day_of(entry) or entry.transaction_date


def history_start(call: Call, requisition: Requisition) -> date:
    """Return the first day of which the agreement lets one read."""
    agreement = call.state.agreements[requisition.agreement_id]
    accepted = agreement.accepted or agreement.created
    return (accepted - timedelta(days=agreement.max_historical_days)).date()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _check_dates(call: Call) -> None:
    """Refuse what is no date, what lies in the future of UTC, and a wrong order."""
    days: dict[str, date] = {}
    for name in ("date_from", "date_to"):
        try:
            given = _date(call.query.get(name))
        except ValueError as error:
            words = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
            raise field_errors(400, {name: [words]}) from error
        if given is not None:
            days[name] = given
    today = call.now.date()
    future = {name: _future(day, today) for name, day in days.items() if day > today}
    if future:
        raise field_errors(400, future)
    if len(days) > 1 and days["date_from"] > days["date_to"]:
        raise gc_error("date_range", **days)


def _future(day: date, today: date) -> Mapping[str, str]:
    return {
        "summary": "Date can't be in future",
        "detail": f"'{day}' can't be greater than {today}. Specify correct date range",
    }


ENDPOINTS: Final = {
    ("GET", "accounts/{id}"): Endpoint("account", "accounts", _metadata, subject="account"),
    ("GET", "accounts/{id}/details"): Endpoint(
        "details", "accounts", _scope("details", _details), subject="account"
    ),
    ("GET", "accounts/{id}/balances"): Endpoint(
        "balances", "accounts", _scope("balances", _balances), subject="account"
    ),
    ("GET", "accounts/{id}/transactions"): Endpoint(
        "transactions",
        "accounts",
        _scope("transactions", _transactions),
        query=frozenset({"date_from", "date_to"}),
        subject="account",
    ),
}
