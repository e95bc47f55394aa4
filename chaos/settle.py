"""After the blows: nothing breaks any more, the banks stand still, and all has to catch up."""

import threading
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import SYNCABLE, Connection, HistoryStage
from bank_pipeline.domain.depth import deep_due_on
from bank_pipeline.providers.base import FeedProvider
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.listing import load_connection_ids
from chaos.journal import Journal
from chaos.life import FAILS
from chaos.runs import under_way
from chaos.stage import Stage

DAYS: Final = 8
"""A jump after which everybody's weekly deeper look is due."""

SETTLED_S: Final = 900.0  # a busy machine takes half a minute for each run, one after the other
_LOOK_S: Final = 1.0
_NUDGE_S: Final = 30.0
_NUDGE: Final = timedelta(hours=2)  # planned tries become due, and in the end the next turn
_WAITING: Final = sa.text(
    "SELECT w.provider, w.code FROM bank.webhook_events w JOIN bank.connections c "
    "ON c.provider = w.provider AND c.external_id = w.connection_external_id "
    "WHERE w.handled_at IS NULL AND c.status = ANY(:syncable)"
)


def settle(stage: Stage, journal: Journal) -> None:
    """Let days pass until everything has caught up with the banks, or the time is over."""
    clock = stage.place.world.clock
    stage.place.world.stand_still()
    stage.place.sandbox.settle()
    since = clock.advance(timedelta(days=DAYS))
    begun = monotonic()
    left = _wait(stage, since)
    words = f"{DAYS} days later everything had caught up after {monotonic() - begun:.0f} s"
    journal.tell(f"{DAYS} days later there was left: {'; '.join(left)}" if left else words)


def _wait(stage: Stage, since: datetime) -> list[str]:
    """Wait until nothing is left to do; return what was left when the time was over."""
    deadline = monotonic() + SETTLED_S
    nudge_at = monotonic() + _NUDGE_S
    pause = threading.Event()
    while True:
        try:
            left = _left(stage, since)
        except FAILS as error:
            left = [type(error).__name__]
        if not left or monotonic() > deadline:
            return left
        if monotonic() > nudge_at:
            stage.place.world.clock.advance(_NUDGE)
            nudge_at = monotonic() + _NUDGE_S
        pause.wait(_LOOK_S)


def _left(stage: Stage, since: datetime) -> list[str]:
    with stage.services.sync.engine.connect() as db:
        stored = [load_connection(db, one) for one in load_connection_ids(db)]
        waiting = db.execute(_WAITING, {"syncable": [*SYNCABLE]}).all()
        return [
            *under_way(db),
            *(f"event {one.code} of {one.provider}" for one in waiting),
            *(words for one in stored if (words := _missing(stage, one, since))),
        ]


def _missing(stage: Stage, connection: Connection, since: datetime) -> str | None:
    """Return what a connection still needs; None when it is up to date, or cannot be."""
    context = stage.services.sync
    if connection.status not in SYNCABLE:
        return None
    who = f"{connection.provider} {connection.id} ({connection.status_reason or 'well'})"
    if connection.last_success_at is None or connection.last_success_at < since:
        return f"{who}: no sync, next try {connection.next_attempt_at}"
    if connection.history_stage is not HistoryStage.COMPLETE:
        return f"{who}: its history"
    has_feed = isinstance(context.provider(connection.provider), FeedProvider)
    if deep_due_on(connection, has_feed=has_feed, now=context.clock()) is not None:
        return f"{who}: its deeper look, which somebody's click came before"
    return None
