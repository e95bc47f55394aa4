"""What asks for syncs: slots, planned tries, webhooks; as the schedule and the sensors do."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.errors import BusyError
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.storage.listing import (
    load_due_attempts,
    load_scheduled_ids,
    load_unhandled_events,
)
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.failures import classify
from bank_pipeline.sync.reports import SyncReason, SyncReport, SyncRequest

_LIMIT: Final = 2_000
_ROUNDS_MAX: Final = 3  # a try that is due again at once waits for the next step
_NEXT: Final = sa.text(
    "SELECT min(next_attempt_at) FROM bank.connections WHERE status = ANY(:syncable)"
)
_NOT_EXPLAINED: Final = frozenset({FailureKind.UNEXPECTED, FailureKind.DATABASE})


@dataclass
class Tally:
    """What the driver did, and failures that nobody should ever see."""

    syncs: Counter[str] = field(default_factory=Counter)  # by provider
    calls: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # by class and code
    folded: int = 0
    strange: list[str] = field(default_factory=list)
    unfolded: list[str] = field(default_factory=list)  # second syncs beside a first one


class Driver:
    """
    Ask for syncs and make them, one after the other.

    `after_sync` hears of every sync that ended well.
    """

    def __init__(
        self, place: Installation, after_sync: Callable[[ConnectionId, SyncReport], None]
    ) -> None:
        self._place = place
        self._after_sync = after_sync
        self.tally = Tally()
        self.next_planned: datetime | None = None
        self.has_news = False  # a webhook came, or may have been left over
        self.is_stale = False  # whether `next_planned` may be another by now

    def run_slot(self, connection_id: ConnectionId) -> None:
        """Make the daily sync of a connection, unless its status says that it has none."""
        with self._place.context.engine.connect() as db:
            scheduled = load_scheduled_ids(db, now=self._place.context.clock())
        if connection_id in scheduled:
            self.sync(connection_id, SyncReason.SCHEDULE)

    def run_due(self) -> None:
        """Make what is planned and due, and what webhooks ask for."""
        context = self._place.context
        for _ in range(_ROUNDS_MAX):
            self.look_if_stale()
            now = context.clock()
            if not self.has_news and (self.next_planned is None or self.next_planned > now):
                return
            with context.engine.connect() as db:
                due = load_due_attempts(db, now=now, limit=_LIMIT)
                events = load_unhandled_events(db, now=now, limit=_LIMIT) if self.has_news else []
            self.has_news = False
            wanted = {
                one.connection_id: SyncReason.INITIAL if one.is_first else SyncReason.RECOVERY
                for one in due
            }
            for event in events:
                wanted.setdefault(event.connection_id, SyncReason.WEBHOOK)
            for connection_id, reason in sorted(wanted.items()):
                self.sync(connection_id, reason)
            self.is_stale = True

    def look_if_stale(self) -> None:
        """Read when the next planned try is due, if that may have changed."""
        if not self.is_stale:
            return
        self.is_stale = False
        with self._place.context.engine.connect() as db:
            self.next_planned = db.scalar(_NEXT, {"syncable": [*SYNCABLE]})

    def sync(self, connection_id: ConnectionId, reason: SyncReason) -> SyncReport | None:
        """Make one sync; None when it failed, which its connection must be able to explain."""
        self._place.tick()
        self.is_stale = True
        try:
            report = sync_connection(self._place.context, SyncRequest(connection_id, reason))
        except Exception as error:  # noqa: BLE001 - whatever fails is told, and is the finding
            self._note(connection_id, error)
            return None
        self.tally.syncs[report.provider.value] += 1
        self.tally.calls[report.provider.value] += report.calls_count
        self._after_sync(connection_id, report)
        return report

    def sync_twice_at_once(self, connection_id: ConnectionId) -> bool:
        """
        Start a sync in the middle of another; return whether it was folded into it.

        The second begins when the first has its lock, so that chance has no say.
        """
        self._place.tick()
        folded: list[bool] = []
        context = self._place.context

        def second() -> None:
            try:
                sync_connection(context, SyncRequest(connection_id, SyncReason.MANUAL))
                folded.append(False)
            except BusyError:
                folded.append(True)
            except Exception as error:  # noqa: BLE001 - it had its own way, and failed
                self._note(connection_id, error)
                folded.append(False)

        def clock() -> datetime:
            if not folded:
                thread = threading.Thread(target=second, name="second sync")
                thread.start()
                thread.join()
            return context.clock()

        try:
            report = sync_connection(
                replace(context, clock=clock), SyncRequest(connection_id, SyncReason.SCHEDULE)
            )
            self._after_sync(connection_id, report)
        except Exception as error:  # noqa: BLE001 - as above
            self._note(connection_id, error)
        self.is_stale = True
        self.tally.folded += all(folded)
        if not all(folded):
            self.tally.unfolded.append(f"{context.clock():%Y-%m-%d %H:%M} {connection_id}")
        return bool(folded) and all(folded)

    def _note(self, connection_id: ConnectionId, error: Exception) -> None:
        kind, code = classify(error)
        self.tally.failures[f"{kind} {code}"] += 1
        if kind in _NOT_EXPLAINED:
            at = self._place.context.clock()
            self.tally.strange.append(
                f"{at:%Y-%m-%d %H:%M} connection {connection_id}: {type(error).__name__}: {error}"
            )
