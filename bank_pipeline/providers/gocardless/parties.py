"""
Who the other side is: the creditor of money out, the debtor of money in. Pure.

The holder is never their own counterparty: neither by name nor by account.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from bank_pipeline.domain.account import Account, AccountIdentifiers
from bank_pipeline.domain.transaction import Counterparty
from bank_pipeline.providers.gocardless.quirks import Party, Quirks
from bank_pipeline.providers.gocardless.schemas import GcTransaction
from bank_pipeline.providers.texts import is_placeholder, is_same_name, to_text

_IBAN: Final = re.compile(r"(?!.*X{4})[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
_BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_CARD: Final = "pan"
_CARD_NUMBER: Final = re.compile(r"[0-9\s-]*([0-9]{4})\s*")
_CARD_IN_JSON: Final = re.compile(r'("pan"\s*:\s*"?)[0-9\s-]*([0-9]{4}"?\s*[,}])')


@dataclass(frozen=True)
class Side:
    """What a row says of the side that is not ours."""

    name: str | None = None
    ultimate: str | None = None
    identifiers: AccountIdentifiers = field(default_factory=AccountIdentifiers)


def to_side(raw: GcTransaction, *, is_credit: bool | None) -> Side:
    """Return the other side, by the true sign; of a row that moved nothing, nobody's."""
    if is_credit is None:
        return Side()
    if is_credit:
        name, ultimate = raw.debtor_name, raw.ultimate_debtor
        account, agent = raw.debtor_account, raw.debtor_agent
    else:
        name, ultimate = raw.creditor_name, raw.ultimate_creditor
        account, agent = raw.creditor_account, raw.creditor_agent
    return Side(to_text(name), to_text(ultimate), _to_identifiers(account, agent))


def to_counterparty(
    side: Side, read: str | None, quirks: Quirks, account: Account
) -> Counterparty | None:
    """Name the other side by the first of the bank's sources that names somebody else."""
    own_iban = account.identifiers.iban
    if own_iban is not None and side.identifiers.iban == own_iban:
        side = Side()  # the bank shows the holder on both sides
    for name in _names(side, read, quirks):
        if not is_placeholder(name) and not is_same_name(name, account.holder_name):
            return Counterparty(name=name.strip(), identifiers=side.identifiers)
    return None


def to_iban(text: object) -> str | None:
    """Return an IBAN without its spaces; None for anything else, such as a masked card number."""
    compact = "".join(text.split()).upper() if isinstance(text, str) else ""
    return compact if _IBAN.fullmatch(compact) else None


def without_card_number(value: Any) -> Any:  # noqa: ANN401 - any parsed JSON
    """Return what a bank says, of a card's whole number no more than its last four digits."""
    if isinstance(value, list):
        return [without_card_number(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without_card_number(item) for key, item in value.items()}
    number = _CARD_NUMBER.fullmatch(str(kept.get(_CARD)))
    return {**kept, _CARD: number[1]} if number else kept


def without_card_number_in_text(value: Any) -> Any:  # noqa: ANN401 - any parsed JSON
    """Do the same for what could not be read, which may be JSON as text; see `read_row`."""
    if isinstance(value, str):
        return _CARD_IN_JSON.sub(r"\1\2", value)
    return without_card_number(value)


def _names(side: Side, read: str | None, quirks: Quirks) -> Iterator[str]:
    of = {Party.NAME: side.name, Party.ULTIMATE: side.ultimate, Party.READ: read}
    for party in quirks.parties:
        name = of[party]
        if name:
            yield name


def _to_identifiers(account: Any, agent: str | None) -> AccountIdentifiers:  # noqa: ANN401 - object or text
    said = account if isinstance(account, dict) else {"iban": account}
    bic = (to_text(agent) or "").upper()
    iban = to_iban(said.get("iban"))
    bban = to_text(said.get("bban"))
    if iban is None and bban is None and not isinstance(account, dict):
        bban = to_text(account)
    return AccountIdentifiers(iban=iban, bban=bban, bic=bic if _BIC.fullmatch(bic) else None)
