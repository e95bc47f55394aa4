"""
ISO 20022 codes of a transaction, read from whatever a bank sends, in our words. Pure.

Banks give the code whole ("PMNT-CCRD-POSD"), in two parts of any two levels (CCRD and POSD,
or PMNT and RCDT), as a code of their own ("10"), or only describe it ("Card purchase").
The tables are data in `iso20022_tables`, `iso20022_purposes` and `bank_words`.
"""

import re
from dataclasses import dataclass
from typing import Final

from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import PaymentMethod
from bank_pipeline.providers.bank_words import meaning_of_words
from bank_pipeline.providers.iso20022_purposes import PURPOSES
from bank_pipeline.providers.iso20022_tables import (
    DOMAINS,
    FAMILIES,
    PLACED,
    SUB_FAMILIES,
    Meaning,
)

_PARTS: Final = re.compile(r"[A-Za-z0-9]+")
_LENGTH: Final = 4  # of a code, at every level
_LEVELS: Final = 3

# Sub-families of these methods only repeat their family in other words; the rest refine it.
_REPEATING: Final = frozenset(
    {PaymentMethod.TRANSFER, PaymentMethod.DIRECT_DEBIT, PaymentMethod.CARD}
)


@dataclass(frozen=True)
class BankTransactionCode:
    """What a bank says of the kind of an entry: three levels of code, and words of its own."""

    domain: str | None = None
    family: str | None = None
    sub_family: str | None = None
    words: str | None = None
    """The bank's description, or its own code where that is not one of ISO 20022."""
    spelt: str | None = None
    """The code as the bank spelt it, parts joined by a hyphen: `bank_transaction_code`."""


def parse_code(
    code: object, sub_code: object = None, *, words: object = None
) -> BankTransactionCode | None:
    """
    Read a code, whole or in two parts, with the bank's own `words` on it if it has any.

    Never fails: what is no code of the set is kept as words; None when nothing was said.
    """
    texts = [text.strip() for text in (code, sub_code) if isinstance(text, str) and text.strip()]
    said = [words.strip()] if isinstance(words, str) and words.strip() else []
    if not texts and not said:
        return None
    levels = _to_levels(texts)
    if levels is None:
        said = [*texts, *said]
    domain, family, sub_family = levels or (None, None, None)
    return BankTransactionCode(
        domain=domain,
        family=family,
        sub_family=sub_family,
        words=" ".join(said) or None,
        spelt="-".join(texts) or None,
    )


def to_payment_method(code: BankTransactionCode | None) -> PaymentMethod | None:
    """Say how the money moved; None when neither the code nor the words say."""
    if code is None:
        return None
    refined, family = _of_sub_family(code), FAMILIES.get(code.family or "")
    by_sub_family = refined.method if refined else None
    by_family = family.method if family else None
    if by_sub_family is not None and by_sub_family not in _REPEATING:
        return by_sub_family
    if by_family or by_sub_family:
        return by_family or by_sub_family
    worded = meaning_of_words(code.words)
    return worded.method if worded else None


def to_category(code: BankTransactionCode | None, *, is_credit: bool | None) -> Category | None:
    """
    Say what the money was for, the most certain level first; None when nothing says.

    `is_credit` is True for money in and None when unknown; a code whose category depends on
    the direction then has none.
    """
    if code is None:
        return None
    said = (
        _of_sub_family(code),
        FAMILIES.get(code.family or ""),
        DOMAINS.get(code.domain or ""),
        meaning_of_words(code.words),
    )
    categories = (meaning.category(is_credit=is_credit) for meaning in said if meaning)
    return next((category for category in categories if category), None)


def purpose_category(code: object, *, is_credit: bool | None) -> Category | None:
    """
    Return our category of an ISO 20022 purpose code (GDDS, SALA, ...); None when it has none.

    `is_credit` as in `to_category`: wages are salary coming in and payroll going out.
    """
    meaning = PURPOSES.get(code.strip().upper()) if isinstance(code, str) else None
    return meaning.category(is_credit=is_credit) if meaning else None


def _of_sub_family(code: BankTransactionCode) -> Meaning | None:
    sub_family = code.sub_family or ""
    return (
        PLACED.get((code.family or "", sub_family))
        or PLACED.get((code.domain or "", sub_family))
        or SUB_FAMILIES.get(sub_family)
    )


def _to_levels(texts: list[str]) -> tuple[str | None, str | None, str | None] | None:
    """Place the parts on their levels; None when they are no code of the set."""
    parts = [part for text in texts for part in _PARTS.findall(text)]
    if not 0 < len(parts) <= _LEVELS or any(len(part) != _LENGTH for part in parts):
        return None
    first, *rest = (part.upper() for part in parts)
    if first in DOMAINS:
        family, sub_family = [*rest, None, None][:2]
        return first, family, sub_family
    if len(rest) > 1 or not all(part.isupper() for part in parts):
        return None  # words of four letters are words
    if first in FAMILIES:
        return None, first, next(iter(rest), None)
    return (None, None, first) if first in SUB_FAMILIES and not rest else None
