"""What a bank tells of an account's balances. Pure."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.gocardless.amounts import amount_json
from bank_pipeline.sandbox.gocardless.profiles import Line, Measure, Profile
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, EntryState
from bank_pipeline.sandbox.wire import moment_text

_A_DAY: Final = timedelta(days=1)
_SPARE: Final = Decimal("1.50")


def balance_rows(
    profile: Profile, shown: AccountTruth, stale: AccountTruth, now: datetime
) -> list[dict[str, Any]]:
    """Return the balances; `stale` is the account a day before. What is not known is left out."""
    rows = [_row(line, shown, stale, now) for line in profile.balances]
    return [row for row in rows if row is not None]


def _row(
    line: Line, shown: AccountTruth, stale: AccountTruth, now: datetime
) -> dict[str, Any] | None:
    amount = _measured(line.measure, shown, stale, now)
    if amount is None:
        return None
    is_other = line.measure is Measure.OTHER_CURRENCY
    currency = _other(shown.account.currency) if is_other else shown.account.currency
    day = now - _A_DAY if line.measure is Measure.STALE else now
    row: dict[str, Any] = {
        "balanceAmount": amount_json(amount, currency),
        "balanceType": line.kind,
        "referenceDate": day.date().isoformat(),
        "lastChangeDateTime": moment_text(day.replace(microsecond=0)),
    }
    if line.included is not None:
        row["creditLimitIncluded"] = line.included and _has_limit(shown)
    return row


def _measured(
    measure: Measure, shown: AccountTruth, stale: AccountTruth, now: datetime
) -> Decimal | None:
    booked = shown.booked
    amounts = {
        Measure.BOOKED: booked,
        Measure.AVAILABLE: shown.available,
        Measure.STALE: stale.booked,
        Measure.OTHER_CURRENCY: _SPARE,
        Measure.EXPECTED: None if booked is None else booked + _pending(shown),
        Measure.NOT_INVOICED: _this_month(shown, now),
        Measure.INVOICED_DEBT: None if booked is None else _this_month(shown, now) - booked,
    }
    return amounts[measure]


def _pending(shown: AccountTruth) -> Decimal:
    waiting = (one.amount for one in shown.entries if one.state is EntryState.PENDING)
    return sum(waiting, Decimal(0))


def _this_month(shown: AccountTruth, now: datetime) -> Decimal:
    booked = (
        one.amount
        for one in shown.entries
        if one.state is EntryState.BOOKED
        and one.booking_date is not None
        and (one.booking_date.year, one.booking_date.month) == (now.year, now.month)
    )
    return sum(booked, Decimal(0))


def _has_limit(shown: AccountTruth) -> bool:
    account = shown.account
    return account.kind is AccountKind.CREDIT_CARD and account.credit_limit is not None


def _other(currency: str | None) -> str:
    return "EUR" if currency != "EUR" else "USD"
