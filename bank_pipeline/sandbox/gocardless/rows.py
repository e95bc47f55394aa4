"""One transaction as a bank shows it through GoCardless. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.gocardless.amounts import NO_CURRENCY, amount_json, amount_text
from bank_pipeline.sandbox.gocardless.ids import derive_bank_id, derive_internal_id, digest
from bank_pipeline.sandbox.gocardless.profiles import (
    After,
    Dates,
    Exchange,
    Ids,
    Pending,
    Profile,
    Sign,
    Text,
)
from bank_pipeline.sandbox.gocardless.texts import is_foreign, words_of
from bank_pipeline.sandbox.ledger import Entry
from bank_pipeline.sandbox.wire import number_text

_ONE_DAY: Final = timedelta(days=1)
_AHEAD: Final = timedelta(days=2)
_ABSENT: Final = None
_BLANK_IDS: Final = ("", " ", "NOTPROVIDED", _ABSENT)
_MALFORMED_EVERY: Final = 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Shelf:
    """Where rows stand: GoCardless's account, and the habits of its bank."""

    account_id: str
    profile: Profile


def booked_row(shelf: Shelf, entry: Entry, after: Decimal | None) -> Row:
    """Return a booked transaction; `after` is the balance behind it, when known."""
    row = {
        **_booked_ids(shelf, entry),
        **_booked_dates(shelf.profile, entry),
        **_common(shelf, entry, entry.amount),
    }
    if shelf.profile.has_internal_ids():
        row["internalTransactionId"] = derive_internal_id(shelf.account_id, entry.id)
    if after is not None:
        row.update(_after(shelf.profile, entry, after))
    return row


def pending_row(shelf: Shelf, entry: Entry) -> Row:
    """Return a pending transaction, which never has GoCardless's own id."""
    amount = entry.amount
    if shelf.profile.sign is Sign.UNSIGNED_PENDING and amount < 0:
        amount = amount.copy_negate()
    return {
        **_pending_ids(shelf, entry),
        **_pending_dates(shelf.profile, entry),
        **_common(shelf, entry, amount),
    }


def day_of(entry: Entry) -> date | None:
    """Return the date of a booked entry, None when the bank gives none."""
    return entry.booking_date or entry.value_date


def _booked_ids(shelf: Shelf, entry: Entry) -> Row:
    right = derive_bank_id(entry.id, pending=False)
    number = int(digest("kind", entry.id), 16)
    match shelf.profile.ids:
        case Ids.GOOD:
            bank_id: str | None = right
        case Ids.BLANK:
            bank_id = _BLANK_IDS[number % len(_BLANK_IDS)]
        case Ids.DUPLICATE:
            bank_id = digest("day", entry.account_id, str(day_of(entry)))
        case Ids.REUSED:
            bank_id = "9998"
        case Ids.NOT_PROVIDED:
            bank_id = "NOTPROVIDED"
        case Ids.MALFORMED:
            bank_id = _malformed(entry) if number % _MALFORMED_EVERY == 0 else right
    return {} if bank_id is _ABSENT else {"transactionId": bank_id}


def _pending_ids(shelf: Shelf, entry: Entry) -> Row:
    match shelf.profile.ids:
        case Ids.BLANK:
            return {}
        case Ids.REUSED:
            return {"transactionId": "9998"}
        case Ids.NOT_PROVIDED:
            return {"transactionId": "NOTPROVIDED"}
        case Ids.MALFORMED:
            return {"transactionId": _malformed(entry)}
        case _ if shelf.profile.text is Text.GREEK:
            return {}
        case _:
            return {"transactionId": derive_bank_id(entry.id, pending=True)}


def _malformed(entry: Entry) -> str:
    word = "DEBIT" if entry.amount < 0 else "CREDIT"
    return f"00{word}{entry.transaction_date:%Y%m%d}{abs(entry.amount):f}".replace(".", "")


def _booked_dates(profile: Profile, entry: Entry) -> Row:
    day = entry.booking_date
    if day is None:
        return _dated(valueDate=entry.value_date)
    match profile.dates:
        case Dates.BOOKING:
            return {
                **_dated(bookingDate=day, valueDate=entry.value_date),
                **(
                    {"bookingDateTime": f"{day}T00:00:00.000Z"}
                    if profile.text is Text.ARRAY
                    else {}
                ),
            }
        case Dates.VALUE:
            return _dated(bookingDate=day + _ONE_DAY, valueDate=day)
        case Dates.VALUE_MOMENT:
            local = {"valueDateTime": f"{day}T23:30:00.000+01:00"}
            return {**_dated(bookingDate=day + _ONE_DAY), **local}


def _pending_dates(profile: Profile, entry: Entry) -> Row:
    day = entry.transaction_date
    if profile.pending is Pending.UNDATED:
        return {}
    if profile.pending is Pending.AHEAD:
        return _dated(valueDate=day + _AHEAD)
    if profile.dates is Dates.VALUE_MOMENT:
        return {"valueDateTime": f"{day}T00:10:00.000+01:00"}
    return _dated(valueDate=day)


def _dated(**days: date | None) -> Row:
    return {name: day.isoformat() for name, day in days.items() if day is not None}


def _common(shelf: Shelf, entry: Entry, amount: Decimal) -> Row:
    profile = shelf.profile
    row = {
        "transactionAmount": _amount(profile, entry, amount),
        **_exchange(profile, entry),
        **_party(profile, entry),
        **_words(profile, entry),
        "bankTransactionCode": "PMNT-CCRD-POSD" if entry.channel == "in store" else "PMNT",
        "endToEndId": entry.reference or "NOTPROVIDED",
    }
    if entry.check_number is not None:
        row["checkId"] = entry.check_number
    if entry.reference is not None and profile.ids is Ids.GOOD:
        row["entryReference"] = entry.reference
    if profile.extra:
        row["x_bankSpecific"] = {"channel": entry.channel, "country": entry.country}
    return row


def _amount(profile: Profile, entry: Entry, amount: Decimal) -> dict[str, str]:
    if profile.sign is Sign.FOREIGN and is_foreign(entry):
        assert entry.source_amount is not None, "a foreign payment has its amount"
        return amount_json(entry.source_amount, entry.source_currency, profile.amounts)
    shown = amount.copy_negate() if profile.sign is Sign.FLIPPED else amount
    return amount_json(shown, entry.currency, profile.amounts)


def _exchange(profile: Profile, entry: Entry) -> Row:
    if entry.source_amount is None or entry.source_currency is None:
        return {}
    exchange: Row = {
        "sourceCurrency": entry.source_currency,
        "unitCurrency": entry.source_currency,
        "targetCurrency": entry.currency or NO_CURRENCY,
        "quotationDate": entry.transaction_date.isoformat(),
    }
    if entry.exchange_rate is not None:
        exchange["exchangeRate"] = number_text(entry.exchange_rate)
    match profile.exchange:
        case Exchange.LIST:
            return {"currencyExchange": [exchange]}
        case Exchange.OBJECT:
            return {"currencyExchange": exchange}
        case Exchange.INSTRUCTED:
            ordered = amount_json(entry.source_amount, entry.source_currency)
            return {"currencyExchange": [{**exchange, "instructedAmount": ordered}]}


def _party(profile: Profile, entry: Entry) -> Row:
    party = entry.party
    if party is None or profile.text is Text.PARTY_ADDITIONAL:
        return {}
    side = "creditor" if entry.amount < 0 else "debtor"
    row: Row = {f"{side}Name": party.name}
    if party.iban is not None:
        account = party.iban if profile.account_as_text else {"iban": party.iban}
        row[f"{side}Account"] = account
    return row


def _words(profile: Profile, entry: Entry) -> Row:
    words = words_of(profile, entry)
    told = {
        "remittanceInformationUnstructured": words.unstructured,
        "remittanceInformationUnstructuredArray": list(words.lines) or None,
        "remittanceInformationStructured": words.structured,
        "additionalInformation": words.additional,
    }
    return {name: value for name, value in told.items() if value is not None}


def _after(profile: Profile, entry: Entry, after: Decimal) -> Row:
    amount = amount_json(after, entry.currency)
    match profile.after:
        case After.NESTED:
            told: Any = {"balanceAmount": amount, "balanceType": "interimBooked"}
        case After.FLAT:
            told = amount
        case After.TEXT:
            told = amount_text(after, entry.currency)
        case After.ABSENT:
            return {}
    return {"balanceAfterTransaction": told}
