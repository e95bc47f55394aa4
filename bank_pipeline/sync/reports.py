"""What a sync was asked for and what it did: plain values for every entry point."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.depth import Depth, Reach
from bank_pipeline.domain.ids import AccountId, ConnectionId, SyncRunId
from bank_pipeline.domain.window import Coverage, DateWindow
from bank_pipeline.providers.answers import PresentUser


class SyncReason(StrEnum):
    """What asked for a sync."""

    INITIAL = "initial"
    SCHEDULE = "schedule"
    REFRESH = "refresh"
    WEBHOOK = "webhook"
    MANUAL = "manual"
    RECOVERY = "recovery"
    BACKFILL = "backfill"


class Step(StrEnum):
    """The parts of a sync; each fills the table, and the Dagster asset, of its name."""

    ACCOUNTS = "accounts"
    BALANCES = "balances"
    TRANSACTIONS = "transactions"


ALL_STEPS: Final = frozenset(Step)


@dataclass(frozen=True)
class SyncRequest:
    """
    One connection to bring up to date, why, and which parts of it.

    `present_user` is the customer, if they are asking for it right now. `since` is the first
    day of a backfill; without one it goes as far back as banks do.

    Work may be asked for twice, and is done once. With `due_since` there is nothing to do for a
    connection that was synced from then on (where `is_waited_for`: for which no click and no
    webhook event waits any more), and for one that failed from then on and has a later try
    planned. A Dagster run that repeats others (`repeats`) does what those did not.
    """

    connection_id: ConnectionId
    reason: SyncReason
    steps: frozenset[Step] = ALL_STEPS
    dagster_run_id: str | None = None
    present_user: PresentUser | None = None
    depth: Depth = Depth.NORMAL
    since: date | None = None
    due_since: datetime | None = None
    is_waited_for: bool = False
    repeats: frozenset[str] = frozenset()

    @property
    def is_part(self) -> bool:
        """Say whether transactions are left out: that is not the connection's turn."""
        return Step.TRANSACTIONS not in self.steps

    def __post_init__(self) -> None:
        if self.since is not None and self.depth is not Depth.BACKFILL:
            raise ValueError("only a backfill has a first day")


@dataclass(frozen=True)
class AccountReading:
    """
    What one account was asked for, and what came of it.

    `asked` are the dates that were asked for first, None of a change feed: its whole history.
    `refused` are the first days that the bank refused, in their order. `covered` are the dates
    of the complete answer, None without one; then `trouble` names the class and code of why.
    """

    account_external_id: str
    asked: DateWindow | None
    refused: tuple[date, ...] = ()
    covered: DateWindow | None = None
    trouble: str | None = None


@dataclass(frozen=True)
class StepCounts:
    """Rows of one table that a sync wrote, and those it looked at and left alone."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0

    def __add__(self, other: "StepCounts") -> "StepCounts":
        """Count both."""
        return StepCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.removed + other.removed,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True)
class SyncReport:
    """
    What one successful sync did.

    `stage` below COMPLETE says that the provider has not handed over the whole history yet;
    AWAITING_INITIAL means that it has no data so far, which is not "no transactions".
    `calls_left` of those that the provider counts, where fewest are; None where it counts none.
    `balance_differences_count` are balances of the connection that do not go with their rows.
    """

    connection_id: ConnectionId
    sync_run_id: SyncRunId
    provider: Provider
    institution_name: str | None
    reason: SyncReason
    status: ConnectionStatus
    stage: HistoryStage
    steps: frozenset[Step]
    accounts: StepCounts
    balances: StepCounts
    transactions: StepCounts
    quarantined_count: int
    balance_differences_count: int
    calls_count: int
    calls_left: int | None
    pages_count: int
    started_at: datetime
    ended_at: datetime
    next_attempt_at: datetime | None
    coverage: Coverage
    reach: Reach
    readings: Mapping[AccountId, AccountReading]

    def counts(self) -> dict[str, Any]:
        """Return the counts as JSON values, for `sync_runs`."""
        return {
            **{step.value: asdict(self.of(step)) for step in sorted(self.steps)},
            "quarantined": self.quarantined_count,
            "balance_differences": self.balance_differences_count,
            "calls": self.calls_count,
            "pages": self.pages_count,
            "depth": self.reach.depth.value,
            "windows": {
                account_id: _to_json(reading) for account_id, reading in self.readings.items()
            },
        }

    @property
    def window(self) -> DateWindow | None:
        """Return the dates that were asked for, of all accounts; None for a change feed."""
        asked = [one.asked for one in self.readings.values() if one.asked is not None]
        if not asked:
            return None
        return DateWindow(
            first=min(one.first for one in asked), last=max(one.last for one in asked)
        )

    def of(self, step: Step) -> StepCounts:
        """Return the counts of one step."""
        return {
            Step.ACCOUNTS: self.accounts,
            Step.BALANCES: self.balances,
            Step.TRANSACTIONS: self.transactions,
        }[step]


def _to_json(reading: AccountReading) -> dict[str, Any]:
    return {
        "asked": _days(reading.asked),
        "refused": [day.isoformat() for day in reading.refused],
        "covered": _days(reading.covered),
        "trouble": reading.trouble,
    }


def _days(window: DateWindow | None) -> list[str] | None:
    return None if window is None else [window.first.isoformat(), window.last.isoformat()]
