"""
What is expected and what we found, as values that can be compared. Pure.

Other clients have other signs, words and ways to show a text. What they say is turned into
our convention here, once, before anything is compared: positive is money in, a debt is a
negative balance, unknown is None.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.transaction import Transaction

IGNORED: Final[Mapping[str, str]] = {
    "category": "every client has its own list of categories",
    "method": "every client has its own list of methods",
    "institution": "repeats the answer about the institution, which is read apart",
    "resource_id": "is kept among the ids that survive a consent, not shown",
    "subtype": "the client's own list",
    "enrollment_id": "names the connection, which is no part of an account here",
    "expires_at": "of the consent, which is no part of an account here",
    "sort_code": "the first digits of an account number, held as routing number",
    "wire_routing_number": "no provider sends one where we read",
    "bic": "of the institution there, of the account here",
    "note": "a remark for people, or the body of a success that nobody needs",
    "__other_asserts__": "says only that there is some name",
    "currencyExchange_is_list": "about the shape in that client",
    "sign_applied_once": "is what the amount says already",
    "assertion": "about that client's own records or log",
    "no_payload": "nothing that a provider sent, or of a product that we do not read",
    "other_side": "of two parties only the one that is not the holder has a place",
}
"""Fields that have no counterpart with us, and why. What is in here is not compared."""


@dataclass(frozen=True, repr=False)
class Compared:
    """One stated expectation in our convention, and what we have. Equal or a deviation."""

    case: str
    field: str
    expected: Any
    found: Any

    def __repr__(self) -> str:
        return f"<{self.case} {self.field}>"

    @property
    def is_equal(self) -> bool:
        """Say whether both mean the same."""
        return bool(self.expected == self.found)

    @property
    def key(self) -> tuple[str, str]:
        """What a row of the reviewed table is about."""
        return self.case, self.field


def to_words(text: object) -> str:
    """Return a text as what it means: without case, punctuation and repeated blanks."""
    return " ".join(re.findall(r"[^\W_]+", str(text or "").casefold()))


def to_decimal(value: object) -> Decimal | None:
    """Return an amount of any spelling; None when there is none."""
    return None if value in (None, "") else Decimal(str(value))


def to_day(value: object) -> date | None:
    """Return a calendar date; None for none, or a blank one."""
    return date.fromisoformat(str(value)[:10]) if value else None


def to_currency(code: object) -> str | None:
    """Return a currency; XXX, blank and null are unknown."""
    return None if code in (None, "", "XXX") else str(code)


def texts_of(row: Transaction) -> list[str]:
    """Return every text that we would show of a row."""
    named = (
        row.counterparty.name if row.counterparty else None,
        row.merchant.name if row.merchant else None,
    )
    return [text for text in (*named, row.cleaned_description, row.description) if text]


def text_like(expected: object, found: Iterable[str | None]) -> tuple[str, str]:
    """Return (expected, found): the one of our texts that means the same, else the first."""
    wanted = to_words(expected)
    texts = [words for words in (to_words(text) for text in found if text) if words]
    return wanted, wanted if wanted in texts else next(iter(texts), "")


def shown_name(row: Transaction) -> list[str]:
    """Return who we say it was: the counterparty, or the text where nobody is named."""
    if row.counterparty is not None:
        return [row.counterparty.name]
    return [text for text in (row.cleaned_description, row.description) if text]


def to_owed(amount: Decimal | None, kind: object) -> Decimal | None:
    """Turn a debt that is told as positive, on a credit account, into a negative balance."""
    return -amount if amount is not None and kind == "credit" else amount


TYPE_WORDS: Final[Mapping[AccountType, str]] = {
    AccountType.CHECKING: "depository",
    AccountType.SAVINGS: "depository",
    AccountType.CASH_MANAGEMENT: "depository",
    AccountType.PREPAID: "depository",
    AccountType.CREDIT_CARD: "credit",
    AccountType.LINE_OF_CREDIT: "credit",
    AccountType.LOAN: "loan",
    AccountType.MORTGAGE: "loan",
}
"""Our types in the four words that other clients have."""

KIND_WORDS: Final[Mapping[str, AccountType]] = {
    "credit": AccountType.CREDIT_CARD,
    "loan": AccountType.LOAN,
}


def to_type(word: object) -> AccountType:
    """Return an account type for another client's word."""
    return KIND_WORDS.get(str(word), AccountType.CHECKING)
