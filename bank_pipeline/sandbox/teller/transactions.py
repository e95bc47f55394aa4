"""
An account's transactions as Teller lists them: newest first, with strings for money.

On depository accounts `amount` is negative when money leaves; on credit ones positive when more
is owed. `running_balance` stands on posted rows of depository accounts only.
Source: https://teller.io/docs/api/account/transactions
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import AccountKind, Entry, EntryState
from bank_pipeline.sandbox.teller.enrollments import Grant
from bank_pipeline.sandbox.teller.ids import derive_transaction_id
from bank_pipeline.sandbox.teller.money_text import money_text
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.teller.vocabulary import category_of, counterparty_of, type_of
from bank_pipeline.sandbox.world import World

_SHOWN: Final = (EntryState.PENDING, EntryState.BOOKED)
_KEPT: Final = 50_000
_Place = tuple[date, bool, str]


@dataclass(frozen=True)
class Row:
    """
    One transaction in its place. `running` is the ledger after it, None where none is shown.

    `sequence` is that of the bank's latest change, `enriched_at` when its category is known.
    """

    transaction_id: str
    entry: Entry
    place: _Place
    running: Decimal | None
    sequence: int
    enriched_at: datetime


@dataclass(frozen=True)
class Window:
    """What of the list was asked for; dates are inclusive, None leaves an end open."""

    count: int | None = None
    from_id: str | None = None
    start: date | None = None
    end: date | None = None


class Ledger:
    """Read one account's rows from the world as of a moment; `head` is the latest change then."""

    def __init__(self, world: World, options: TellerOptions, grant: Grant, at: datetime) -> None:
        self._world = world
        self._options = options
        self._grant = grant
        self._at = at
        self._account = world.accounts[grant.world_account_id]
        self._seen: dict[str, tuple[datetime, int]] = {}  # since when, and the latest change
        self._latest: dict[str, Entry] = {}
        self._versions: list[Entry] = []  # all that were ever shown, oldest first
        self.head = 0
        for event in world.events(grant.world_account_id, until=at):
            entry = event.entry
            first, last = self._seen.get(entry.id, (event.at, event.sequence))
            self._seen[entry.id] = (first, last if event.noop else event.sequence)
            self.head = event.sequence
            self._latest[entry.id] = entry
            if entry.state in _SHOWN:
                self._versions.append(entry)

    def rows(self) -> Sequence[Row]:
        """Return every row that is shown, newest first."""
        shown = (entry for entry in self._latest.values() if entry.state in _SHOWN)
        running = self._world.opening_balance(self._grant.world_account_id)
        rows: list[Row] = []
        for entry in sorted(shown, key=_place):
            if entry.state is EntryState.BOOKED:
                running += entry.amount
            rows.append(self._row(entry, running))
        rows.reverse()
        return rows

    def window(self, window: Window) -> Sequence[Row]:
        """Return the rows that were asked for. A `from_id` never shown is a KeyError."""
        rows = self.rows()
        before = None if window.from_id is None else self._place_of(rows, window.from_id)
        fitting = [
            row
            for row in rows
            if (before is None or row.place < before)
            and (window.start is None or window.start <= row.place[0])
            and (window.end is None or row.place[0] <= window.end)
        ]
        return fitting[: window.count]

    def to_json(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """Describe rows."""
        return [self._row_to_json(row) for row in rows]

    def _place_of(self, rows: Sequence[Row], transaction_id: str) -> _Place:
        """Return where a row is, or where it was when it was last shown."""
        for row in rows:
            if row.transaction_id == transaction_id:
                return row.place
        for entry in reversed(self._versions):
            if self._id_of(entry) == transaction_id:
                return _place(entry)
        raise KeyError(transaction_id)

    def _row(self, entry: Entry, running: Decimal) -> Row:
        first, last = self._seen[entry.id]
        has_running = (
            entry.state is EntryState.BOOKED
            and self._account.kind is not AccountKind.CREDIT_CARD
            and self._options.running_balances == "usual"
        )
        return Row(
            transaction_id=self._id_of(entry),
            entry=entry,
            place=_place(entry),
            running=running if has_running else None,
            sequence=last,
            enriched_at=first + self._patience(entry),
        )

    def _id_of(self, entry: Entry) -> str:
        return derive_transaction_id(self._grant.account_id, entry, self._options.new_id_share)

    def _patience(self, entry: Entry) -> timedelta:
        return self._options.enriched_within * _share_of_patience(entry.id)

    def _row_to_json(self, row: Row) -> dict[str, Any]:
        entry, is_card = row.entry, self._account.kind is AccountKind.CREDIT_CARD
        base = f"{self._options.links_base}/accounts/{self._grant.account_id}"
        return {
            "id": row.transaction_id,
            "account_id": self._grant.account_id,
            "date": row.place[0].isoformat(),
            "description": entry.original_description,
            "amount": money_text(entry.amount.copy_negate() if is_card else entry.amount),
            "status": "pending" if entry.state is EntryState.PENDING else "posted",
            "type": type_of(entry, self._account.kind),
            "running_balance": None if row.running is None else money_text(row.running),
            "details": _details(entry, is_complete=row.enriched_at <= self._at),
            "links": {"self": f"{base}/transactions/{row.transaction_id}", "account": base},
        }


@lru_cache(_KEPT)
def _share_of_patience(entry_id: str) -> float:
    return dice("teller enriches", entry_id).random()


def _place(entry: Entry) -> _Place:
    """Return what rows are ordered by: their date, pending ones last of a day, their id."""
    day = entry.booking_date or entry.transaction_date
    return day, entry.state is EntryState.PENDING, entry.id


def _details(entry: Entry, *, is_complete: bool) -> Mapping[str, Any]:
    return {
        "processing_status": "complete" if is_complete else "pending",
        "category": category_of(entry) if is_complete else None,
        "counterparty": counterparty_of(entry.party if is_complete else None),
    }
