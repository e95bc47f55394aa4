"""Which balance counts, with us and with other clients. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bank_pipeline.domain.account import Account, AccountIdentifiers
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline_tests.corpus.convention import to_currency, to_decimal, to_owed, to_type
from bank_pipeline_tests.corpus.sheet import Sheet


def to_owner(word: object = None, *, currency: str | None = None, **named: Any) -> Account:
    """Return an account of a type in another client's word, for rows that lie without one."""
    values: dict[str, Any] = {
        "external_id": "account-1",
        "name": "Account",
        "type": to_type(word),
        "provider_type": "",
        "currency": currency,
        "identifiers": AccountIdentifiers(),
    }
    return Account.model_validate(values | named)


def select(balances: Sequence[Balance], kind: BalanceKind, account: Account) -> Balance | None:
    """Return the balance of a kind that counts, in the order of `analytics.accounts`."""

    def rank(one: Balance) -> tuple[bool, int]:
        is_other = account.currency is not None and one.currency != account.currency
        return is_other, one.preference

    return min((one for one in balances if one.kind is kind), key=rank, default=None)


def amount_of(balance: Balance | None) -> Decimal | None:
    """Return its amount; None without a balance."""
    return balance.amount if balance else None


def compare_balances(
    sheet: Sheet,
    balances: Sequence[Balance],
    account: Account,
    stated: Mapping[str, Any],
    *,
    word: object = None,
) -> None:
    """
    Compare what is stated of an account's balances. `word` is that client's type of account.

    A debt on a credit account is positive there, and negative here.
    """
    booked = select(balances, BalanceKind.BOOKED, account)
    available = amount_of(select(balances, BalanceKind.AVAILABLE, account))
    limit = amount_of(select(balances, BalanceKind.CREDIT_LIMIT, account))
    for name, value in stated.items():
        match name:
            case "amount":
                sheet.add(name, to_owed(to_decimal(value), word), amount_of(booked))
            case "current":
                sheet.add(name, to_decimal(value), amount_of(booked))
            case "currency":
                found = booked.currency if booked else account.currency
                sheet.add(name, to_currency(value), found)
            case "available_balance" | "available":
                sheet.add(name, to_decimal(value), available)
            case "credit_limit":
                sheet.add(name, to_decimal(value), limit)
            case "balanceAmount" | "balance_amount":
                _compare_primary(sheet, name, booked, value)
            case "__undefined__":
                sheet.add(name, None, booked)
            case "implied_limit":
                booked_amount = amount_of(booked)
                known = available is not None and booked_amount is not None
                implied = available - booked_amount if known else None  # type: ignore[operator]
                sheet.add(name, to_decimal(value), implied)
            case _:
                sheet.ignore("note")


def _compare_primary(sheet: Sheet, name: str, booked: Balance | None, value: Any) -> None:
    expected = (to_decimal(value["amount"]), to_currency(value["currency"]))
    sheet.add(name, expected, (booked.amount, booked.currency) if booked else (None, None))
