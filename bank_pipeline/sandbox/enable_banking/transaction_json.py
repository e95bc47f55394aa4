"""One row of an account in Enable Banking's words. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.account_json import NO_CURRENCY
from bank_pipeline.sandbox.enable_banking.ids import derive_number, derive_transaction_id
from bank_pipeline.sandbox.enable_banking.profiles import Profile
from bank_pipeline.sandbox.enable_banking.words import (
    amount_text,
    dates_of,
    money_shown,
    reference_of,
    remittance_of,
)
from bank_pipeline.sandbox.ledger import Entry, Party

Json = dict[str, Any]
_GROCERIES: Final = "5411"
_MERCHANT_CODES: Final = {
    "FOOD_AND_DRINK_GROCERIES": _GROCERIES,
    "FOOD_AND_DRINK_RESTAURANT": "5812",
    "FOOD_AND_DRINK_COFFEE": "5814",
    "FOOD_AND_DRINK_FAST_FOOD": "5814",
    "TRANSPORTATION_GAS": "5541",
    "TRAVEL_LODGING": "7011",
    "GENERAL_MERCHANDISE_ELECTRONICS": "5732",
    "TRANSFER_OUT_WITHDRAWAL": "6011",
}
_CODES: Final = (  # by the beginning of the category: description, code, sub_code
    ("TRANSFER_OUT_WITHDRAWAL", ("Cash withdrawal", "CCRD", "CWDL")),
    ("BANK_FEES", ("Charges", "MDOP", "CHRG")),
    ("INCOME", ("Salary", "RCDT", "SALA")),
    ("TRANSFER_IN", ("Incoming credit transfer", "RCDT", "ESCT")),
    ("TRANSFER_OUT", ("Outgoing credit transfer", "ICDT", "ESCT")),
    ("LOAN_PAYMENTS", ("Direct debit", "RDDT", "ESDD")),
)
_CARD: Final = ("Card purchase", "CCRD", "POSD")
_TRANSFER: Final = ("Transfer", "ICDT", "OTHR")


@dataclass(frozen=True)
class Row:
    """
    One row that a bank shows. `running` is the booked balance after it, where the bank tells it.

    `key` tells rows of an account apart: an entry that is shown twice has two. `number` is its
    place among the rows of its day, 0 where nobody counts.
    """

    key: str
    status: str
    entry: Entry
    day: date
    running: Decimal | None = None
    number: int = 0

    @property
    def place(self) -> tuple[date, str]:
        """Where the row stands among the account's rows, oldest first."""
        return self.day, self.key


@dataclass(frozen=True)
class Telling:
    """
    What surrounds a row: its bank's ways, and the account's own side of each movement.

    `listing` and `nonce` change what is no identity, see `ids` and `words`.
    """

    profile: Profile
    seed: int
    listing: int
    nonce: str
    holder: str
    number: Json


def transaction_json(row: Row, telling: Telling) -> Json:
    """Return the row in full."""
    profile, entry = telling.profile, row.entry
    dates = dates_of(profile, entry)
    amount, code = money_shown(profile, entry)
    currency = code or NO_CURRENCY
    shown = amount if profile.negative_amounts and amount < 0 else amount.copy_abs()
    required = {
        "transaction_amount": {
            "currency": currency,
            "amount": amount_text(shown, code, profile.digits),
        },
        "credit_debit_indicator": "CRDT" if amount > 0 else "DBIT",
        "status": row.status,
    }
    told = {
        "entry_reference": _reference(row, telling),
        "booking_date": _iso(dates.booking),
        "value_date": _iso(dates.value),
        "transaction_date": _iso(dates.transaction),
        "remittance_information": remittance_of(profile, entry),
        "transaction_id": derive_transaction_id(telling.nonce, row.key),
    }
    extra = {**_NOTHING} if profile.all_null else _extra(row, telling, is_out=amount <= 0)
    return {**extra, **told, **required}


def _reference(row: Row, telling: Telling) -> str | None:
    if row.number:
        return f"{row.day:%Y%m%d}{row.number:04}"
    return reference_of(telling.profile, telling.seed, row.entry, telling.listing)


_NOTHING: Final[Mapping[str, None]] = dict.fromkeys(
    (
        "merchant_category_code",
        "creditor",
        "creditor_account",
        "creditor_agent",
        "debtor",
        "debtor_account",
        "debtor_agent",
        "bank_transaction_code",
        "balance_after_transaction",
        "reference_number",
        "reference_number_schema",
        "debtor_account_additional_identification",
        "creditor_account_additional_identification",
        "exchange_rate",
        "note",
    )
)


def _extra(row: Row, telling: Telling, *, is_out: bool) -> Json:
    """Return what is optional: the other side is the creditor of money out, else the debtor."""
    profile, entry = telling.profile, row.entry
    side, own_side = ("creditor", "debtor") if is_out else ("debtor", "creditor")
    own: Json = {}
    if profile.tells_own_side:
        own = {own_side: _named(telling.holder), f"{own_side}_account": telling.number}
    is_card = entry.occurred_at is not None
    return {
        **_NOTHING,
        **own,
        "merchant_category_code": _merchant_code(entry.category) if is_card else None,
        side: _party(entry, profile),
        f"{side}_account": _account(entry.party),
        "bank_transaction_code": _bank_code(entry),
        "balance_after_transaction": _running(row, profile),
        "exchange_rate": _exchange(entry),
    }


def _party(entry: Entry, profile: Profile) -> Json | None:
    name = None if entry.party is None else entry.party.name
    if profile.party_is_card and entry.occurred_at is not None:
        name = f"CARD-{derive_number('card', entry.id, length=9)}"
    return None if name is None else _named(name)


def _named(name: str) -> Json:
    return {
        "name": name,
        "postal_address": None,
        "organisation_id": None,
        "private_id": None,
        "contact_details": None,
    }


def _account(party: Party | None) -> Json | None:
    if party is None or party.iban is None:
        return None
    return {"iban": party.iban, "other": None}


def _bank_code(entry: Entry) -> Json:
    found = (code for start, code in _CODES if entry.category.startswith(start))
    usual = _TRANSFER if entry.occurred_at is None else _CARD
    description, code, sub_code = next(found, usual)
    return {"description": description, "code": code, "sub_code": sub_code}


def _merchant_code(category: str) -> str | None:
    return _MERCHANT_CODES.get(category)


def _running(row: Row, profile: Profile) -> Json | None:
    if row.running is None:
        return None
    code = row.entry.currency
    currency = NO_CURRENCY if profile.running_balance == "xxx" else code or NO_CURRENCY
    return {"currency": currency, "amount": amount_text(row.running, code)}


def _exchange(entry: Entry) -> Json | None:
    if entry.source_amount is None or entry.exchange_rate is None:
        return None
    source = entry.source_currency
    return {
        "unit_currency": source,
        "exchange_rate": format(entry.exchange_rate, "f"),
        "rate_type": "SPOT",
        "contract_identification": None,
        "instructed_amount": {
            "currency": source,
            "amount": amount_text(entry.source_amount.copy_abs(), source),
        },
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
