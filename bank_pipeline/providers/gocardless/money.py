"""
Amounts, signs, currencies and exchange in GoCardless's rows. Pure.

Amounts are texts with any number of decimals, signed as the account's holder sees them;
which banks differ is data in `quirks.py`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pydantic import TypeAdapter

from bank_pipeline.domain.money import normalise_amount, to_currency
from bank_pipeline.domain.transaction import ForeignExchange
from bank_pipeline.providers.exact_json import object_in
from bank_pipeline.providers.fields import NumberText
from bank_pipeline.providers.gocardless.quirks import Quirks
from bank_pipeline.providers.gocardless.schemas import GcTransaction
from bank_pipeline.providers.texts import is_placeholder

_ISO: Final = re.compile(r"[A-Z]{3}")
_NUMBER: Final[TypeAdapter[Decimal]] = TypeAdapter(NumberText)
_BILLED: Final = re.compile(r"billingAmount:\s*(?P<amount>[-+]?[0-9](?:[0-9.,]*[0-9])?)")


@dataclass(frozen=True)
class Currency:
    """A currency as ISO 4217 has it, or a code outside of it; both None when unknown."""

    official: str | None
    unofficial: str | None


@dataclass(frozen=True)
class Money:
    """
    What a row moves: positive is money in. `is_as_stated`: GoCardless says just that.

    `paid` and `paid_in` are what was paid abroad, where the account was billed otherwise.
    """

    amount: Decimal
    currency: str | None
    unofficial_currency: str | None
    is_as_stated: bool = True
    paid: Decimal | None = None
    paid_in: str | None = None

    @property
    def is_credit(self) -> bool | None:
        """Say whether money came in; None when none moved."""
        return None if self.amount == 0 else self.amount > 0


def read_currency(code: str | None) -> Currency:
    """Tell official codes from others; blank and XXX are unknown."""
    cleaned = to_currency(code)
    if cleaned is None or is_placeholder(cleaned):
        return Currency(None, None)
    return Currency(cleaned, None) if _ISO.fullmatch(cleaned) else Currency(None, cleaned)


def to_number(value: object) -> Decimal | None:
    """Read an amount that a row can do without; None when it is none."""
    try:
        return normalise_amount(_NUMBER.validate_python(value))
    except ValueError:  # a ValidationError is one
        return None


def to_money(raw: GcTransaction, quirks: Quirks, description: str) -> Money:
    """Return the amount with the true sign, in the currency in which the account was billed."""
    stated = raw.transaction_amount
    currency = read_currency(stated.currency)
    amount = stated.amount
    if quirks.is_sign_flipped or (amount > 0 and _is_purchase(raw, quirks, description)):
        amount = amount.copy_negate()  # exact; a minus sign would round to 28 digits
    billed = _billed(raw, quirks, description)
    if billed is not None:
        is_abroad = currency.official not in (None, quirks.billed_in)
        return Money(
            amount=billed.copy_abs().copy_sign(amount),
            currency=quirks.billed_in,
            unofficial_currency=None,
            is_as_stated=False,
            paid=amount if is_abroad else None,
            paid_in=currency.official if is_abroad else None,
        )
    return Money(amount, currency.official, currency.unofficial, amount == stated.amount)


def to_foreign_exchange(value: object, money: Money) -> ForeignExchange | None:
    """
    Read `currencyExchange`: a list, or one object at several banks; the first entry counts.

    The foreign currency is the one that is not the row's own, wherever it stands. An
    instructed amount in the row's own currency is not what was paid abroad.
    """
    entry = next((item for item in (value if isinstance(value, list) else [value]) if item), None)
    if not isinstance(entry, dict):
        if money.paid is None:
            return None
        return ForeignExchange(source_amount=money.paid, source_currency=money.paid_in)
    instructed = entry.get("instructedAmount")
    instructed = instructed if isinstance(instructed, dict) else {}
    named = (instructed.get("currency"), entry.get("sourceCurrency"), entry.get("targetCurrency"))
    codes = [read_currency(code).official for code in named if isinstance(code, str)]
    foreign = money.paid_in or next((c for c in codes if c and c != money.currency), None)
    if foreign is None:
        return None
    amount = money.paid
    if amount is None and codes and codes[0] == foreign:
        amount = to_number(instructed.get("amount"))
        amount = None if amount is None else amount.copy_abs().copy_sign(money.amount)
    rate = to_number(entry.get("exchangeRate"))
    return ForeignExchange(source_amount=amount, source_currency=foreign, rate=rate or None)


def to_running_balance(value: object, money: Money) -> Decimal | None:
    """
    Read `balanceAfterTransaction`: nested as specified, flat, or no object at all.

    One in another currency than the row's is no sum of its amounts.
    """
    part = object_in(value, "balanceAmount") or (value if isinstance(value, dict) else {})
    code = part.get("currency")
    known = read_currency(code).official if isinstance(code, str) else None
    is_other = known is not None and money.currency is not None and known != money.currency
    return None if is_other else to_number(part.get("amount"))


def _is_purchase(raw: GcTransaction, quirks: Quirks, description: str) -> bool:
    start = quirks.unsigned_purchase
    if start is None or not is_placeholder(raw.transaction_id):
        return False
    return f"{description} ".startswith(start)  # the word may be all there is


def _billed(raw: GcTransaction, quirks: Quirks, description: str) -> Decimal | None:
    """Find the billed amount of a payment abroad in the texts, where a bank puts it there."""
    if quirks.billed_in is None:
        return None
    for text in (description, raw.additional_information or ""):
        found = _BILLED.search(text)
        if found is not None:
            return to_number(_plain(found["amount"]))
    return None


def _plain(number: str) -> str:
    """Return a number with a point for its decimals: the last sign of two kinds is that."""
    if "," not in number:
        return number
    if "." not in number:
        return number.replace(",", ".")
    thousands = "," if number.rindex(",") < number.rindex(".") else "."
    return number.replace(thousands, "").replace(",", ".")
