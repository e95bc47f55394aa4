"""A ledger entry in a bank's words: its status, dates, money, reference and text. Pure."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.enable_banking.ids import derive_number, derive_reference
from bank_pipeline.sandbox.enable_banking.profiles import Profile, References, Remittance
from bank_pipeline.sandbox.ledger import BankAccount, Entry, EntryState
from bank_pipeline.sandbox.money import money_of

NOT_MONEY: Final = ("SCHD", "CNCL", "RJCT")
_HOLDS: Final = 35  # per cent of pending rows are a hold, at banks that tell them apart
_OTHERS: Final = 10  # of booked ones are called other
_UNDATED: Final = 12  # of booked ones lack a booking date
_MIRRORED: Final = 95  # of card payments appear on the card's account, too
_PHANTOMS: Final = (("SCHD", 3, "-49.90"), ("CNCL", -2, "-20.00"), ("RJCT", -4, "-310.25"))


@dataclass(frozen=True)
class Dates:
    """The dates that a row shows."""

    booking: date | None
    value: date | None
    transaction: date | None

    @property
    def day(self) -> date:
        """The date by which the row is sorted, filtered and, at last, known."""
        shown = self.booking or self.value or self.transaction
        assert shown is not None, "every row shows some date"
        return shown


def share(entry_id: str) -> int:
    """Return a number from 0 to 99 that belongs to the entry for ever."""
    return zlib.crc32(entry_id.encode()) % 100


def status_of(profile: Profile, entry: Entry) -> str:
    """Return BOOK or PDNG, or what some banks say instead."""
    rolled = share(entry.id)
    if entry.state is EntryState.PENDING:
        return "HOLD" if profile.holds_and_others and rolled < _HOLDS else "PDNG"
    return "OTHR" if profile.holds_and_others and rolled < _OTHERS else "BOOK"


def dates_of(profile: Profile, entry: Entry) -> Dates:
    """Return the dates as the bank shows them; some banks lose one or two."""
    rolled = share(entry.id)
    if profile.undated and entry.state is EntryState.BOOKED and rolled < _UNDATED:
        value = entry.value_date if rolled % 2 else None
        return Dates(None, value, entry.transaction_date)
    return Dates(entry.booking_date, entry.value_date, entry.transaction_date)


def money_shown(profile: Profile, entry: Entry) -> tuple[Decimal, str | None]:
    """Return the signed amount and its official currency, None where there is none."""
    foreign = entry.source_amount, entry.source_currency
    is_pending = entry.state is EntryState.PENDING
    if profile.pending_in_foreign_money and is_pending and foreign[0] is not None:
        return foreign[0], foreign[1]
    return entry.amount, entry.currency


def amount_text(amount: Decimal, currency: str | None, digits: int = 0) -> str:
    """Return an amount with at least the decimals of its currency, and at least `digits`."""
    own = -int(amount.as_tuple().exponent)
    return f"{amount:.{max(own, digits, money_of(currency).digits)}f}"


def reference_of(profile: Profile, seed: int, entry: Entry, listing: int) -> str | None:
    """
    Return the bank's reference of a row, or None where it gives none.

    `listing` counts the listings of the account; it matters at restless banks alone.
    """
    words: list[object] = [seed, entry.account_id, entry.id]
    match profile.references:
        case References.NONE | References.NUMBERED:
            return None
        case References.RESTLESS:
            words.append(listing)
        case References.SHARED:
            words = [seed, entry.id.partition(".")[2]]
        case _:
            pass
    parts_ways = profile.references is References.NEW_WHEN_BOOKED or not entry.linked
    if parts_ways and entry.state is EntryState.PENDING:
        words.append("pending")
    return derive_reference(*words)


def remittance_of(profile: Profile, entry: Entry) -> list[str] | str:
    """Return what the row was for, as the bank writes it."""
    lines = _plain_lines(entry)
    if profile.remittance is Remittance.STRING:
        return " ".join(lines)
    is_card = entry.occurred_at is not None
    match profile.remittance:
        case Remittance.EMPTY:
            lines = []
        case Remittance.BLANKS:
            lines = ["", *[part for line in lines for part in (line, " ")]]
        case Remittance.KEY_VALUE:
            lines = _key_value(entry)
        case Remittance.DANISH if is_card:
            number = derive_number("nota", entry.id, length=5)
            lines = [f"Dankort-køb {lines[0]}", f"Nota nr {number}"]
        case Remittance.AUSTRIAN if is_card:
            paid = f"{abs(entry.amount):.2f}".replace(".", ",")
            lines = [f"POS {paid} AT D6 {entry.occurred_at:%d.%m. %H:%M}", *lines]
        case _:
            pass
    return lines


def text_of(remittance: Sequence[str] | str) -> str:
    """Return remittance information as one text: its lines that say something."""
    lines = [remittance] if isinstance(remittance, str) else remittance
    return " ".join(line for line in lines if line.strip())


def mirror(entries: Iterable[Entry], account_id: str) -> list[Entry]:
    """Return what a card's account repeats of the current account: most of its card payments."""
    return [
        replace(one, id=f"{account_id}.mirror.{one.id}", account_id=account_id)
        for one in entries
        if one.occurred_at is not None and share(one.id) < _MIRRORED
    ]


def phantoms(account: BankAccount, today: date) -> list[tuple[str, Entry]]:
    """Return rows that are no money, with their status: planned, cancelled and rejected ones."""
    monday = today - timedelta(days=today.weekday())
    return [
        (status, _phantom(account, status, monday + timedelta(days=days), Decimal(amount)))
        for status, days, amount in _PHANTOMS
    ]


def _phantom(account: BankAccount, status: str, on: date, amount: Decimal) -> Entry:
    return Entry(
        id=f"{account.id}.{status.lower()}.{on:%Y%m%d}",
        version=1,
        account_id=account.id,
        state=EntryState.PENDING,
        amount=amount,
        currency=account.currency,
        unofficial_currency=account.unofficial_currency,
        transaction_date=on,
        booking_date=None,
        value_date=on,
        occurred_at=None,
        description=f"Standing order {status}",
        original_description=f"STANDING ORDER {status}",
        party=None,
        category="TRANSFER_OUT_ACCOUNT_TRANSFER",
        channel="online",
    )


def _plain_lines(entry: Entry) -> list[str]:
    lines = [entry.description]
    if entry.original_description.casefold() != entry.description.casefold():
        lines.append(entry.original_description)
    if entry.reference:
        lines.append(entry.reference)
    return [line for line in lines if line.strip()] or ["-"]


def _key_value(entry: Entry) -> list[str]:
    pairs = (
        ("Naam", None if entry.party is None else entry.party.name),
        ("Omschrijving", entry.original_description),
        ("Kenmerk", entry.reference),
    )
    return [f"{name}: {value}" for name, value in pairs if value]
