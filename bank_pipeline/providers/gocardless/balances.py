"""
GoCardless's balances in our words. Pure.

Which of a bank's balances counts follows the types' order and the bank's own exceptions
(`quirks.py`); none is ever made up.

Source: https://developer.gocardless.com/bank-account-data/balance
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.providers.gocardless.dates import to_day, to_instant, to_moment
from bank_pipeline.providers.gocardless.money import read_currency
from bank_pipeline.providers.gocardless.quirks import Quirks
from bank_pipeline.providers.gocardless.schemas import GcBalance
from bank_pipeline.providers.newest import newest_of

_BOOKED: Final = ("interimBooked", "closingBooked")
_AVAILABLE: Final = ("interimAvailable", "closingAvailable", "forwardAvailable")
_EXPECTED: Final = "expected"
_NOT_INVOICED: Final = "nonInvoiced"

KIND_OF_TYPE: Final[Mapping[str, BalanceKind]] = {
    **dict.fromkeys(_BOOKED, BalanceKind.BOOKED),
    **dict.fromkeys(_AVAILABLE, BalanceKind.AVAILABLE),
    **dict.fromkeys(("openingBooked", "openingAvailable", "openingCleared"), BalanceKind.OPENING),
    _EXPECTED: BalanceKind.EXPECTED,
}
"""All other types, known and new, are information."""

OTHER_CURRENCY: Final = 100
"""What a balance in another currency than the account's is worse by."""
AS_BOOKED: Final = "as booked"
IN_TWO_PARTS: Final = f"{_NOT_INVOICED} less {_EXPECTED}"


def to_balances(raws: Iterable[GcBalance], account: Account, quirks: Quirks) -> tuple[Balance, ...]:
    """
    Translate one account's balances, the newest of each type and currency.

    Where a bank has no booked balance, or another of its types is the better one, that one
    counts as booked and is told a second time as such: its type then says so.
    """
    newest = newest_of(
        raws, lambda raw: (raw.balance_type, read_currency(raw.balance_amount.currency)), _age_of
    )
    balances = [_to_balance(raw, account) for raw in newest.values()]
    return (*balances, *_as_booked(balances, account, quirks))


def _to_balance(raw: GcBalance, account: Account) -> Balance:
    currency = read_currency(raw.balance_amount.currency)
    kind = KIND_OF_TYPE.get(raw.balance_type, BalanceKind.INFORMATION)
    ranked = next((types for types in (_BOOKED, _AVAILABLE) if raw.balance_type in types), ())
    rank = 1 + ranked.index(raw.balance_type) if ranked else 0
    is_other = account.currency is not None and currency.official != account.currency
    return Balance(
        account_external_id=account.external_id,
        kind=kind,
        provider_type=raw.balance_type,
        amount=raw.balance_amount.amount,
        currency=currency.official,
        unofficial_currency=currency.unofficial,
        as_of=to_moment(raw.last_change_date_time),
        as_of_date=to_day(raw.reference_date),
        is_credit_limit_included=raw.credit_limit_included,
        preference=rank + (OTHER_CURRENCY if is_other else 0),
    )


def _as_booked(balances: Sequence[Balance], account: Account, quirks: Quirks) -> list[Balance]:
    """
    Return the balances that count as booked, though their types say otherwise.

    What is available on credit is what can still be spent, never what is there: only a bank
    that is known to mean it otherwise is believed, and not where it says that the limit is in it.
    """
    if quirks.is_debt_in_two_parts:
        return _in_two_parts(balances)
    own = [one for one in balances if one.preference < OTHER_CURRENCY] or list(balances)
    preferred = [
        one for one in own if one.provider_type == quirks.booked_balance and not _is_with_limit(one)
    ]
    if preferred:
        return [_counted(one, rank=0) for one in preferred if one.kind is not BalanceKind.BOOKED]
    if any(one.kind is BalanceKind.BOOKED for one in own):
        return []
    expected = [one for one in own if one.kind is BalanceKind.EXPECTED]
    if account.type.is_liability:
        return [_counted(one, rank=10) for one in expected]
    available = [
        one for one in own if one.kind is BalanceKind.AVAILABLE and not _is_with_limit(one)
    ]
    return [_counted(one, rank=10 + one.preference) for one in expected or available]


def _is_with_limit(one: Balance) -> bool:
    """Say whether the credit limit is in what is available: it says nothing of what is there."""
    return one.kind is BalanceKind.AVAILABLE and bool(one.is_credit_limit_included)


def _counted(one: Balance, *, rank: int) -> Balance:
    is_other = one.preference >= OTHER_CURRENCY
    return one.model_copy(
        update={
            "kind": BalanceKind.BOOKED,
            "provider_type": f"{one.provider_type} {AS_BOOKED}",
            "preference": rank + (OTHER_CURRENCY if is_other and rank < OTHER_CURRENCY else 0),
        }
    )


def _in_two_parts(balances: Sequence[Balance]) -> list[Balance]:
    """
    Put together what a card owes: the invoiced debt, positive, and what is not invoiced yet.

    One without the other says only half of it.
    """
    owed = {one.currency: one for one in balances if one.provider_type == _EXPECTED}
    return [
        rest.model_copy(
            update={
                "kind": BalanceKind.BOOKED,
                "provider_type": IN_TWO_PARTS,
                "amount": rest.amount - owed[rest.currency].amount,
                "preference": 0,
            }
        )
        for rest in balances
        if rest.provider_type == _NOT_INVOICED and rest.currency in owed
    ]


def _age_of(raw: GcBalance) -> tuple[dt.date, dt.datetime]:
    """Return what the newer of two is greater by: its day, and then its time, as far as told."""
    changed = raw.last_change_date_time
    day = to_day(raw.reference_date) or to_day(changed) or dt.date.min
    return day, to_instant(changed) or dt.datetime.min.replace(tzinfo=dt.UTC)
