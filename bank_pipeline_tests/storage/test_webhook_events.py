"""The inbox: each event once, and covered only by a sync that began after it."""

from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.beginnings import load_beginning
from bank_pipeline.storage.webhook_events import (
    insert_event,
    mark_events_handled,
)
from bank_pipeline_tests.storage.linked import Linked, link


def event(key: str, *, external_id: str | None = "item-1") -> ProviderEvent:
    """An event that asks for a sync."""
    return ProviderEvent(
        provider=Provider.PLAID,
        kind=EventKind.SYNC,
        code="SYNC_UPDATES_AVAILABLE",
        external_id=external_id,
        event_key=key,
    )


def test_a_repeated_delivery_is_stored_once(db: sa.Connection, now: datetime) -> None:
    """The provider may send it again after we acknowledged it."""
    assert [insert_event(db, event("a"), needs_sync=True, now=now) for _ in range(2)] == [
        True,
        False,
    ]


def test_a_sync_covers_the_events_that_came_before_it(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """One that arrives while it runs asks for another, and other connections' stay."""
    other = link(db, now, external_id="item-2").connection
    insert_event(db, event("a"), needs_sync=True, now=now)
    insert_event(db, event("b"), needs_sync=True, now=now)
    insert_event(db, event("other", external_id="item-2"), needs_sync=True, now=now)
    newest = load_beginning(db, linked.connection).newest_event_id
    insert_event(db, event("late"), needs_sync=True, now=now)

    for _ in range(2):
        mark_events_handled(db, linked.connection, up_to=newest, sync_run_id=sync_run_id, now=now)

    handled = sa.text("SELECT event_key FROM bank.webhook_events WHERE handled_at IS NOT NULL")
    assert set(db.scalars(handled)) == {"a", "b"}
    assert load_beginning(db, linked.connection).newest_event_id > newest
    assert load_beginning(db, other).newest_event_id > 0


def test_an_event_that_needs_no_sync_does_not_wait_for_one(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """It is handled by being stored."""
    insert_event(db, event("a"), needs_sync=False, now=now)

    assert load_beginning(db, linked.connection).newest_event_id == 0


def test_an_empty_inbox_has_no_newest_event(db: sa.Connection, linked: Linked) -> None:
    """Zero is before every event."""
    assert load_beginning(db, linked.connection).newest_event_id == 0


def test_an_event_is_its_teams_as_soon_as_that_is_known(
    db: sa.Connection, now: datetime, sync_run_id: SyncRunId
) -> None:
    """Of a connection that is stored: at once; of one that is stored later: with its sync."""
    whose = sa.text("SELECT event_key, CAST(team_id AS text) FROM bank.webhook_events ORDER BY id")
    insert_event(db, event("early"), needs_sync=True, now=now)
    insert_event(db, event("nobody's", external_id=None), needs_sync=False, now=now)
    linked = link(db, now)
    insert_event(db, event("known"), needs_sync=True, now=now)
    team_id = linked.connection.team_id
    stored = [("early", None), ("nobody's", None), ("known", team_id)]
    assert [tuple(row) for row in db.execute(whose)] == stored

    newest = load_beginning(db, linked.connection).newest_event_id
    mark_events_handled(db, linked.connection, up_to=newest, sync_run_id=sync_run_id, now=now)

    handled = [("early", team_id), ("nobody's", None), ("known", team_id)]
    assert [tuple(row) for row in db.execute(whose)] == handled
