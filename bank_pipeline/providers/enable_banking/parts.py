"""Small parts that transactions, accounts and balances of Enable Banking share. Pure."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.domain.money import to_currency
from bank_pipeline.providers.enable_banking.schemas import EbAmount
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.providers.fields import FIRST_YEAR
from bank_pipeline.providers.texts import to_text

TAIL: Final = 4  # digits that banks show of a number
_CODE_LENGTH: Final = 3
_CARD: Final = "CPAN"
_BETWEEN_DIGITS: Final = re.compile(r"[\s-]")
_PLAIN: Final = frozenset({"", "BANK", "BGNR", "PGNR"})
"""
Schemes of what may stand as an account's number: none named, the bank's own, Swedish giros. The
others number people and companies: their tax, their passport, their social security.

Source: https://enablebanking.com/docs/api/reference/#schemename
"""


def split_currency(code: str | None) -> tuple[str | None, str | None]:
    """Return (ISO 4217 code, any other code): one of them at most is known. XXX is unknown."""
    cleaned = to_currency(code)
    if cleaned is None:
        return None, None
    is_iso = len(cleaned) == _CODE_LENGTH and cleaned.isascii() and cleaned.isalpha()
    return (cleaned, None) if is_iso else (None, cleaned)


def to_moment(text: str | None) -> dt.datetime | None:
    """Read a time as UTC; None when it is missing, unreadable or without an offset."""
    try:
        moment = dt.datetime.fromisoformat(text) if text else None
        if moment is None or moment.tzinfo is None or moment.year < FIRST_YEAR:
            return None
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def to_amount(value: object) -> EbAmount | None:
    """Read an amount that may be missing or spoilt."""
    try:
        return EbAmount.model_validate(value)
    except ValidationError:
        return None


def part_of(value: object) -> Mapping[str, Any]:
    """Return an object; of a list, as some banks send, its first one; else an empty one."""
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    return value if isinstance(value, dict) else {}


def text_of(part: Mapping[str, Any] | None, key: str) -> str | None:
    """Return a text that says something."""
    return to_text(part.get(key)) if part else None


def to_identifiers(account: object, others: object, agent: object) -> AccountIdentifiers:
    """
    Read what the banking world calls an account.

    A card's number is never kept: its last digits have to do.
    """
    primary = part_of(account)
    ids = [part_of(primary.get("other")), *_parts(others)]
    numbers = {scheme: number for scheme, number in map(_number, reversed(ids)) if number}
    plain = next((numbers[scheme] for scheme in numbers if scheme in _PLAIN), None)
    iban = _compact(text_of(primary, "iban")) or _compact(numbers.get("IBAN"))
    bban = numbers.get("BBAN")
    shown = numbers.get(_CARD) or iban or bban or plain or numbers.get("MIBN")
    return AccountIdentifiers(
        iban=iban,
        bban=bban,
        bic=text_of(part_of(agent), "bic_fi"),
        account_number=plain,
        masked_number=shown[-TAIL:] if shown else None,
    )


def without_card_number(value: object) -> object:
    """Return what a bank says, of a card's whole number no more than its end."""
    if isinstance(value, list):
        return [without_card_number(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: without_card_number(item) for key, item in value.items()}
    scheme, number = _number(value)
    digits = _BETWEEN_DIGITS.sub("", number or "")
    if scheme == _CARD and digits.isdecimal():
        plain["identification"] = digits[-TAIL:]
    return plain


def without_card_number_in_text(value: object) -> object:
    """Do the same for what could not be read, which may be JSON as text; see `read_row`."""
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return without_card_number(value)
    try:
        stated = parse_json(value)
        kept = without_card_number(stated)
    except ValueError:
        return value
    except RecursionError:
        return "nested too deeply"
    return value if kept == stated else dump_json(kept)


def _parts(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _number(part: Mapping[str, Any]) -> tuple[str, str | None]:
    return (text_of(part, "scheme_name") or "").upper(), text_of(part, "identification")


def _compact(number: str | None) -> str | None:
    return "".join(number.split()) if number else None
