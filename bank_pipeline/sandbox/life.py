"""
How banks show a movement over time: pending, booked, late, corrected, taken back. Pure.

The whole life of a movement is decided at its birth, so it never depends on being read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Final

from bank_pipeline.sandbox.ledger import Bank, BankAccount, Entry, EntryState
from bank_pipeline.sandbox.movements import Movement


@dataclass(frozen=True)
class Temper:
    """
    How often banks do what makes reconciling hard: shares of all movements, 0 to 1.

    `unlinked`, `vanished` and `restless` (changed while pending) are shares of the pending
    ones; `late` and `future` of all; the rest are what happens after booking.
    """

    unlinked: float = 0.06
    vanished: float = 0.03
    restless: float = 0.04
    late: float = 0.02
    future: float = 0.01
    amount_corrected: float = 0.01
    text_corrected: float = 0.02
    removed: float = 0.008
    restored: float = 0.008
    noop: float = 0.04


USUAL: Final = Temper()
CALM: Final = Temper(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
WILD: Final = Temper(0.25, 0.12, 0.2, 0.12, 0.06, 0.12, 0.12, 0.1, 0.1, 0.15)


class Aftermath(StrEnum):
    """What happens to an entry once it is booked."""

    NOTHING = "nothing"
    AMOUNT = "amount"
    TEXT = "text"
    REMOVED = "removed"
    RESTORED = "restored"  # removed first
    NOOP = "noop"


@dataclass(frozen=True, slots=True)
class Fate:
    """
    When and how one movement is shown.

    `booked_at` is when a vanishing one vanishes. `changed_at` is when the aftermath strikes and
    `restored_at` when a removal is undone.
    """

    booked_at: datetime
    booking_date: date
    linked: bool
    vanishes: bool
    restless_at: datetime | None
    aftermath: Aftermath
    changed_at: datetime
    restored_at: datetime


@dataclass(frozen=True, slots=True)
class Stage:
    """From `at` the bank shows `entry`."""

    at: datetime
    entry: Entry
    noop: bool = False


def draw_fate(movement: Movement, bank: Bank, temper: Temper, rolled: Random) -> Fate:
    """Draw what becomes of a movement. The same dice are thrown whatever comes out."""
    shown_for = timedelta(minutes=rolled.randrange(20 * 60, 4 * 24 * 60))  # 20 hours to 4 days
    chances = [rolled.random() for _ in range(4)]
    spread = rolled.randrange(1, 29)
    vanishes = movement.by_card and chances[0] < temper.vanished
    due_at = movement.at + shown_for if movement.by_card else movement.at
    is_late = chances[1] < temper.late
    is_future = not movement.by_card and not is_late and 1 - chances[1] < temper.future
    booked_at = due_at + timedelta(days=spread) if is_late else due_at
    booking_date = (due_at + bank.utc_offset).date()
    if is_future:
        booking_date += timedelta(days=1 + spread % 5)
    changed_at = booked_at + timedelta(hours=rolled.randrange(2, 20 * 24))
    return Fate(
        booked_at=booked_at,
        booking_date=booking_date,
        linked=not movement.by_card or chances[2] >= temper.unlinked,
        vanishes=vanishes,
        restless_at=movement.at + shown_for / 2
        if movement.by_card and 1 - chances[0] < temper.restless
        else None,
        aftermath=Aftermath.NOTHING if vanishes else _aftermath(chances[3], temper),
        changed_at=changed_at,
        restored_at=changed_at + timedelta(hours=rolled.randrange(6, 9 * 24)),
    )


def result_of(movement: Movement, fate: Fate, account: BankAccount, entry_id: str) -> Entry | None:
    """Return the entry as it stands when its life is over, or None when nothing is left."""
    if fate.vanishes or fate.aftermath is Aftermath.REMOVED:
        return None
    return _booked(movement, fate, account, entry_id)


def stages_of(movement: Movement, fate: Fate, account: BankAccount, entry_id: str) -> list[Stage]:
    """Return every version of the entry in order; their versions count from 1."""
    booked = _booked(movement, fate, account, entry_id)
    stages = [*_pending_stages(movement, fate, booked)]
    if fate.vanishes:
        stages.append(Stage(fate.booked_at, replace(stages[-1].entry, state=EntryState.VANISHED)))
    else:
        stages += _booked_stages(fate, booked)
    return [
        replace(stage, entry=replace(stage.entry, version=version))
        for version, stage in enumerate(stages, start=1)
    ]


def settles_at(fate: Fate) -> datetime:
    """Return when the life is over."""
    match fate.aftermath:
        case Aftermath.NOTHING:
            return fate.booked_at
        case Aftermath.RESTORED:
            return fate.restored_at
        case _:
            return fate.changed_at


def _aftermath(chance: float, temper: Temper) -> Aftermath:
    shares = (
        (Aftermath.AMOUNT, temper.amount_corrected),
        (Aftermath.TEXT, temper.text_corrected),
        (Aftermath.REMOVED, temper.removed),
        (Aftermath.RESTORED, temper.restored),
        (Aftermath.NOOP, temper.noop),
    )
    for aftermath, share in shares:
        if chance < share:
            return aftermath
        chance -= share
    return Aftermath.NOTHING


def _booked(movement: Movement, fate: Fate, account: BankAccount, entry_id: str) -> Entry:
    return Entry(
        id=entry_id,
        version=1,
        account_id=account.id,
        state=EntryState.BOOKED,
        amount=movement.amount,
        currency=account.currency,
        unofficial_currency=account.unofficial_currency,
        transaction_date=movement.date,
        booking_date=fate.booking_date,
        value_date=fate.booking_date + timedelta(days=movement.value_days),
        occurred_at=movement.at if movement.by_card else None,
        description=movement.description,
        original_description=movement.original,
        party=movement.party,
        category=movement.category,
        channel=movement.channel,
        city=movement.city,
        country=movement.country,
        check_number=movement.check_number,
        reference=movement.reference,
        source_amount=movement.source_amount,
        source_currency=movement.source_currency,
        exchange_rate=movement.exchange_rate,
        linked=fate.linked,
    )


def _pending_stages(movement: Movement, fate: Fate, booked: Entry) -> Iterator[Stage]:
    """Yield what a card payment looks like before it is booked: raw text, perhaps a hold."""
    if not movement.by_card:
        return
    pending = replace(
        booked,
        state=EntryState.PENDING,
        amount=booked.amount if movement.hold is None else movement.hold,
        booking_date=None,
        value_date=None,
        description=booked.original_description,
        original_description=f"PENDING - {booked.original_description.upper()}",
        exchange_rate=None,
    )
    yield Stage(movement.at, pending)
    if fate.restless_at is not None:
        yield Stage(fate.restless_at, _restless(pending, booked))


def _restless(pending: Entry, booked: Entry) -> Entry:
    """Change a pending entry: a hold comes closer to what will be booked, or the text settles."""
    if pending.amount != booked.amount:
        return replace(pending, amount=booked.amount)
    return replace(pending, description=booked.description)


def _booked_stages(fate: Fate, booked: Entry) -> Iterator[Stage]:
    match fate.aftermath:
        case Aftermath.NOTHING:
            yield Stage(fate.booked_at, booked)
        case Aftermath.AMOUNT:
            yield Stage(fate.booked_at, replace(booked, amount=_mistaken(booked.amount)))
            yield Stage(fate.changed_at, booked)
        case Aftermath.TEXT:
            yield Stage(fate.booked_at, replace(booked, description="UNKNOWN", party=None))
            yield Stage(fate.changed_at, booked)
        case Aftermath.REMOVED:
            yield Stage(fate.booked_at, booked)
            yield Stage(fate.changed_at, replace(booked, state=EntryState.REMOVED))
        case Aftermath.RESTORED:
            yield Stage(fate.booked_at, booked)
            yield Stage(fate.changed_at, replace(booked, state=EntryState.REMOVED))
            yield Stage(fate.restored_at, booked)
        case Aftermath.NOOP:
            yield Stage(fate.booked_at, booked)
            yield Stage(fate.changed_at, booked, noop=True)


def _mistaken(amount: Decimal) -> Decimal:
    """Return the amount as a bank first got it wrong: doubled, or not zero where it is zero."""
    return amount * 2 or Decimal(1).scaleb(int(amount.as_tuple().exponent))
