"""What waits in the inbox and for what; what is forgotten; refusals as counts."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.webhooks import MANY, Refusal, is_many
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.inbox import WaitsFor, load_events, load_lag, load_waiting
from bank_pipeline.storage.listing import load_unhandled_events
from bank_pipeline.storage.tables import connections
from bank_pipeline.storage.webhook_events import (
    delete_old_events,
    insert_event,
    mark_events_handled,
    take_up,
)
from bank_pipeline.storage.webhook_refusals import (
    Refused,
    add_refusals,
    delete_refusals,
    load_refusals,
)
from bank_pipeline_tests.storage.linked import Linked, link

HOUR = timedelta(hours=1)


def event(
    key: str, external_id: str | None = "item-1", kind: EventKind = EventKind.SYNC
) -> ProviderEvent:
    return ProviderEvent(Provider.PLAID, kind, f"TYPE/{key}", external_id, key)


def arrive(db: sa.Connection, key: str, at: datetime, external_id: str | None = "item-1") -> None:
    insert_event(db, event(key, external_id), needs_sync=True, now=at)


def change(db: sa.Connection, linked: Linked, **values: object) -> None:
    query = sa.update(connections).where(connections.c.id == linked.connection.id)
    db.execute(query.values(**values))


def waits(db: sa.Connection, now: datetime) -> dict[str, int]:
    return {one.waits_for.value: one.events for one in load_waiting(db, now=now)}


def test_lag_is_the_oldest_event_that_could_be_synced_now(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    for number in range(3):
        arrive(db, f"e-{number}", now + number * HOUR)

    [lag] = load_lag(db, now=now + 5 * HOUR)

    assert (lag.events, lag.connections, lag.oldest_received_at) == (3, 1, now)


@pytest.mark.parametrize(
    ("status", "waits_for"),
    [
        (ConnectionStatus.ACTIVE, WaitsFor.SYNC),
        (ConnectionStatus.ERROR, WaitsFor.SYNC),
        (ConnectionStatus.NEEDS_REAUTH, WaitsFor.CUSTOMER),
        (ConnectionStatus.REVOKED, WaitsFor.CUSTOMER),
        (ConnectionStatus.DISCONNECTED, WaitsFor.CONNECTION),
    ],
)
def test_what_an_event_waits_for_is_told(
    db: sa.Connection, linked: Linked, now: datetime, status: ConnectionStatus, waits_for: WaitsFor
) -> None:
    """Only what a sync could cover now is lag: the rest is nobody's delay."""
    change(db, linked, status=status.value)
    arrive(db, "e", now)

    assert waits(db, now) == {waits_for.value: 1}
    assert bool(load_lag(db, now=now)) is (waits_for is WaitsFor.SYNC)


def test_what_a_failed_try_knew_waits_for_the_next_one(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    arrive(db, "known", now)
    change(db, linked, last_attempt_at=now + HOUR, next_attempt_at=now + 4 * HOUR)
    arrive(db, "news", now + 2 * HOUR)

    assert waits(db, now + 3 * HOUR) == {"retry": 1, "sync": 1}
    assert waits(db, now + 5 * HOUR) == {"sync": 2}


def test_what_comes_before_a_first_sync_that_is_held_is_no_lag(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """As the sensor has it, which does not start one for it."""
    change(db, linked, last_attempt_at=None, next_attempt_at=now + HOUR)
    arrive(db, "e", now)

    for at, waits_for, started in ((now, "retry", 0), (now + 2 * HOUR, "sync", 1)):
        assert waits(db, at) == {waits_for: 1}
        assert len(load_unhandled_events(db, now=at, limit=9)) == started


def test_events_of_nobody_wait_for_a_connection(db: sa.Connection, now: datetime) -> None:
    arrive(db, "stranger", now, "item-9")
    arrive(db, "nameless", now, None)

    assert waits(db, now) == {"connection": 2}
    assert load_lag(db, now=now) == []


def test_the_list_is_newest_first_and_says_which_sync_covered_what(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    for key in ("a", "b"):
        arrive(db, key, now)
    newest = load_events(db, limit=1)[0].id
    mark_events_handled(db, linked.connection, up_to=newest, sync_run_id=sync_run_id, now=now)
    arrive(db, "c", now)
    arrive(db, "other", now, "item-2")

    listed = load_events(db, limit=10)
    assert [one.code for one in listed] == ["TYPE/other", "TYPE/c", "TYPE/b", "TYPE/a"]
    assert [one.sync_run_id for one in listed] == [None, None, sync_run_id, sync_run_id]
    assert [one.connection_id for one in listed] == [None, *[linked.connection.id] * 3]
    waiting = load_events(db, limit=10, connection=linked.connection, is_waiting=True)
    assert [one.code for one in waiting] == ["TYPE/c"]
    assert len(load_events(db, limit=2)) == 2


def test_old_events_are_forgotten_but_for_those_that_a_sync_will_cover(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Those of strangers and of the ended would else stay for ever: nobody handles them."""
    ended = link(db, now, external_id="item-2")
    change(db, ended, status="disconnected")
    arrive(db, "waits", now)
    arrive(db, "ended", now, "item-2")
    arrive(db, "stranger", now, "item-9")
    insert_event(db, event("handled"), needs_sync=False, now=now)
    arrive(db, "young", now + 2 * HOUR, "item-9")

    assert [delete_old_events(db, before=now + HOUR, limit=2) for _ in range(3)] == [2, 1, 0]

    assert {one.code for one in load_events(db, limit=10)} == {"TYPE/waits", "TYPE/young"}


def test_waiting_events_of_some_kinds_are_taken_up_once_and_in_order(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    for key, kind in [("a", EventKind.EXPIRING), ("b", EventKind.SYNC), ("c", EventKind.REVOKED)]:
        insert_event(db, event(key, kind=kind), needs_sync=True, now=now)
    kinds = {EventKind.REVOKED, EventKind.EXPIRING}

    assert take_up(db, linked.connection, kinds, now=now) == [
        ("expiring", "TYPE/a"),
        ("revoked", "TYPE/c"),
    ]
    assert take_up(db, linked.connection, kinds, now=now) == []
    assert waits(db, now) == {"sync": 1}


def refused(at: datetime, times: int = 1, refusal: Refusal = Refusal.STALE) -> Refused:
    hour = at.replace(minute=0, second=0, microsecond=0)
    return Refused(Provider.PLAID, refusal, hour, times, at, at)


def test_refusals_of_an_hour_are_one_row_per_reason(db: sa.Connection, now: datetime) -> None:
    later = now + timedelta(minutes=5)
    add_refusals(db, [refused(now, 3), refused(now, refusal=Refusal.UNSIGNED)])
    add_refusals(db, [refused(later, 4)])
    add_refusals(db, [refused(now - timedelta(minutes=1))])

    stale, unsigned = load_refusals(db, since=now)
    assert stale == replace(refused(later, 8), first_at=now - timedelta(minutes=1), last_at=later)
    assert unsigned == refused(now, refusal=Refusal.UNSIGNED)


def test_counts_of_refusals_are_forgotten_in_time(db: sa.Connection, now: datetime) -> None:
    for hours in range(4):
        add_refusals(db, [refused(now - hours * HOUR)])

    assert [delete_refusals(db, before=now - HOUR, limit=2) for _ in range(3)] == [2, 1, 0]

    assert len(load_refusals(db, since=now - 9 * HOUR)) == 1


def test_many_refusals_call_for_a_person_and_so_does_one_that_nobody_can_check() -> None:
    assert is_many({Refusal.STALE: MANY - 1, Refusal.UNSIGNED: 1})
    assert not is_many({Refusal.STALE: MANY - 1})
    assert is_many({Refusal.NOT_SET_UP: 1})
