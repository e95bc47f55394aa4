"""When an Item's history becomes visible, and how far back it reaches. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import IntEnum

from bank_pipeline.sandbox.ledger import Entry, EntryState


class Stage(IntEnum):
    """How much of the history Plaid has collected; it only grows."""

    NOT_READY = 0
    INITIAL = 1
    HISTORICAL = 2

    @property
    def update_status(self) -> str:
        """The stage as `/transactions/sync` calls it."""
        return _UPDATE_STATUS[self]


_UPDATE_STATUS = {
    Stage.NOT_READY: "NOT_READY",
    Stage.INITIAL: "INITIAL_UPDATE_COMPLETE",
    Stage.HISTORICAL: "HISTORICAL_UPDATE_COMPLETE",
}


@dataclass(frozen=True)
class Readiness:
    """
    The two moments at which history becomes visible, and from which bank date on.

    The dates are fixed when Transactions begins for the Item: they do not move with time.
    """

    initial_at: datetime
    historical_at: datetime
    initial_since: date
    historical_since: date

    @classmethod
    def begin(
        cls, started_at: datetime, *, after: tuple[timedelta, timedelta], days: tuple[int, int]
    ) -> "Readiness":
        """Count both stages, initial and historical, from `started_at`."""
        today = started_at.date()
        initial_days = min(days)
        return cls(
            initial_at=started_at + after[0],
            historical_at=started_at + max(after),
            initial_since=today - timedelta(days=initial_days),
            historical_since=today - timedelta(days=days[1]),
        )

    def stage(self, now: datetime) -> Stage:
        """Return how far the collection has come."""
        if now < self.initial_at:
            return Stage.NOT_READY
        return Stage.INITIAL if now < self.historical_at else Stage.HISTORICAL

    def since(self, stage: Stage) -> date:
        """Return the first bank date that is visible, or a date beyond all when none is."""
        match stage:
            case Stage.NOT_READY:
                return date.max
            case Stage.INITIAL:
                return self.initial_since
            case Stage.HISTORICAL:
                return self.historical_since


def plaid_date(entry: Entry) -> date:
    """
    Return Plaid's `date`: when it occurred while pending, when it was posted afterwards.

    Source: https://plaid.com/docs/api/products/transactions/#transactions-sync-response-added-date
    """
    if entry.state is EntryState.PENDING or entry.booking_date is None:
        return entry.transaction_date
    return entry.booking_date


def is_live(entry: Entry) -> bool:
    """Whether the bank shows the entry at all."""
    return entry.state in (EntryState.PENDING, EntryState.BOOKED)
