"""The sensors of webhooks: one sync per connection that a provider calls for, and no second one."""

import threading
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.defs.requests import BATCH_SIZE
from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.inbox import load_lag
from bank_pipeline.storage.run_requests import claim_runs
from bank_pipeline.storage.tables import connections, webhook_events
from bank_pipeline.storage.webhook_events import insert_event
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_sensors import insert_connections, keys, reasons, set_status
from bank_pipeline_tests.defs.ticks import Ticks, named_in
from bank_pipeline_tests.waiting import wait_until


def insert_events(ticks: Ticks, connection_id: ConnectionId, count: int = 1) -> None:
    """Have verified webhooks wait in the inbox."""
    connection = ticks.installation.stored(connection_id)
    row = {
        "provider": connection.provider.value,
        "kind": "sync",
        "code": "SYNC_UPDATES_AVAILABLE",
        "connection_external_id": connection.external_id,
        "received_at": ticks.installation.services.sync.clock(),
    }
    with ticks.installation.services.sync.engine.begin() as db:
        first = int(db.scalar(sa.select(sa.func.count()).select_from(webhook_events)) or 0)
        rows = [{**row, "event_key": f"event-{first + number}"} for number in range(count)]
        db.execute(sa.insert(webhook_events), rows)


def test_a_burst_of_webhooks_starts_one_run(ticks: Ticks) -> None:
    """Many events of one connection between two ticks make one run of it."""
    [connection_id] = ticks.installation.link()
    ticks.connections()
    insert_events(ticks, connection_id, count=5)

    [request] = ticks.webhooks()

    assert request.partition_key == connection_id
    assert reasons([request]) == {"webhook"}
    assert ticks.webhooks() == [], "its run may not exist yet"


def test_a_run_that_was_asked_for_and_never_made_is_asked_for_again(ticks: Ticks) -> None:
    """A daemon that dies between asking and making forgets nothing; the key stays the same."""
    [connection_id] = ticks.installation.link()
    ticks.connections()
    insert_events(ticks, connection_id)
    [request] = ticks.webhooks()

    ticks.installation.sandbox.advance(timedelta(seconds=10))

    assert keys(ticks.webhooks()) == [request.run_key]


def test_of_two_sensors_that_wait_one_asks(ticks: Ticks, runs: Runs) -> None:
    """What one has asked for, the other leaves alone until a sync has begun."""
    ids = runs.linked(2)
    patient = being_patient(ticks)
    insert_events(ticks, ids[0])
    [request] = patient.webhooks()
    insert_events(ticks, ids[0])
    insert_events(ticks, ids[1])

    [other] = patient.relief()
    assert named_in(other) == [ids[1]], "the first one's run does not exist yet"

    runs.of_request(request)
    insert_events(ticks, ids[0])
    [again] = patient.relief()
    assert named_in(again) == [ids[0]]


def test_who_relieves_a_sensor_that_only_looks_does_nothing(ticks: Ticks, runs: Runs) -> None:
    [connection_id] = runs.linked()
    insert_events(ticks, connection_id)
    assert ticks.relief() == []


def test_a_sync_covers_the_events_before_it_and_none_after(ticks: Ticks, runs: Runs) -> None:
    """An event that arrives after a sync began asks for another, under another key."""
    [connection_id] = runs.linked()
    insert_events(ticks, connection_id, count=2)
    [first] = ticks.webhooks()
    runs.of_partition(connection_id)
    assert ticks.webhooks() == []

    insert_events(ticks, connection_id)

    [second] = ticks.webhooks()
    assert second.run_key != first.run_key


def test_an_event_during_a_sync_asks_for_another(ticks: Ticks, runs: Runs) -> None:
    """What the provider announces while a sync is reading may have come too late for it."""
    [connection_id] = runs.linked()
    insert_events(ticks, connection_id)
    announced: list[str] = []

    def announce(_: object) -> None:
        if not announced:
            announced.append("during the sync")
            insert_events(ticks, connection_id)

    sa.event.listen(ticks.installation.services.sync.engine, "begin", announce)
    runs.of_partition(connection_id)
    sa.event.remove(ticks.installation.services.sync.engine, "begin", announce)
    insert_events(ticks, connection_id)

    assert len(ticks.webhooks()) == 1


def test_an_event_waits_for_the_run_under_way(ticks: Ticks) -> None:
    """A run that is queued will cover the event; a second one would only be folded."""
    [connection_id] = ticks.installation.link()
    [request] = ticks.connections()
    ticks.queue(request, dg.DagsterRunStatus.NOT_STARTED)
    insert_events(ticks, connection_id)

    assert ticks.webhooks() == []


@pytest.mark.parametrize(
    "status",
    [ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED, ConnectionStatus.DISCONNECTED],
)
def test_a_connection_at_rest_is_not_requested(ticks: Ticks, status: ConnectionStatus) -> None:
    """Webhooks do not start calls for a connection that only a person can wake."""
    [connection_id] = ticks.installation.link()
    ticks.connections()
    insert_events(ticks, connection_id)
    set_status(ticks, connection_id, status)

    assert ticks.webhooks() == []
    assert ticks.connections() == []


def test_events_of_unknown_connections_start_nothing(ticks: Ticks) -> None:
    """An event of an Item that is none of ours waits without failing the tick."""
    row = {
        "provider": "plaid",
        "event_key": "foreign",
        "kind": "sync",
        "code": "SYNC_UPDATES_AVAILABLE",
        "connection_external_id": "item-of-somebody-else",
        "received_at": ticks.installation.services.sync.clock(),
    }
    with ticks.installation.services.sync.engine.begin() as db:
        db.execute(sa.insert(webhook_events), [row])

    assert ticks.webhooks() == []


def test_what_a_clock_that_was_ahead_noted_holds_nobody_up(ticks: Ticks) -> None:
    """Until the right time had come to it, webhooks and clicks were put off without a word."""
    [connection_id] = ticks.installation.link()
    ticks.connections()
    insert_events(ticks, connection_id)
    context = ticks.installation.services.sync
    with context.engine.begin() as db:
        assert claim_runs(db, [connection_id], now=context.clock() + timedelta(hours=2))

    assert [named_in(request) for request in ticks.webhooks()] == [[connection_id]]


def test_a_try_that_a_clock_planned_that_was_days_ahead_is_due(ticks: Ticks) -> None:
    """As of a bank that was linked then: set back again, nothing began until the time came."""
    [connection_id] = insert_connections(ticks.installation, 1)
    insert_events(ticks, connection_id)
    context = ticks.installation.services.sync
    ahead = context.clock() + timedelta(days=30)
    with context.engine.begin() as db:
        db.execute(sa.update(connections).values(created_at=ahead, next_attempt_at=ahead))

    assert [named_in(request) for request in ticks.connections()] == [[connection_id]]
    assert [named_in(request) for request in ticks.webhooks()] == [[connection_id]]
    with context.engine.connect() as db:
        assert load_lag(db, now=context.clock()), "a sync is all that is missing"


def test_many_webhooks_share_runs(ticks: Ticks) -> None:
    """A storm over many connections becomes batches, each connection once."""
    ids = insert_connections(ticks.installation, BATCH_SIZE + 1)
    ticks.connections()
    for connection_id in ids:
        insert_events(ticks, connection_id, count=2)

    requests = ticks.webhooks()

    assert sorted(id_ for request in requests for id_ in named_in(request)) == sorted(ids)
    assert len(requests) == 2


def test_a_tick_waits_for_the_next_webhook(ticks: Ticks) -> None:
    """It asks for the sync when the event comes, long before its wait would be over."""
    [connection_id] = ticks.installation.link()
    ticks.connections()
    waiting = being_patient(ticks)
    found: list[dg.RunRequest] = []
    tick = threading.Thread(target=lambda: found.extend(waiting.webhooks()))
    tick.start()
    wait_until(lambda: is_listened_to(ticks), seconds=20, what="a tick that listens")

    deliver(ticks, connection_id)
    tick.join(20)

    assert [named_in(request) for request in found] == [[connection_id]]


def being_patient(ticks: Ticks) -> Ticks:
    """Return the same, with ticks that wait for a minute."""
    services = ticks.installation.services
    settings = services.settings.model_copy(update={"webhook_wait_s": 60})
    return Ticks(
        replace(ticks.installation, services=replace(services, settings=settings)), ticks.instance
    )


def is_listened_to(ticks: Ticks) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN bank_webhooks' "
        "AND datname = current_database()"
    )
    return bool(ticks.installation.value(query))


def deliver(ticks: Ticks, connection_id: ConnectionId) -> None:
    """Store an event as the gateway does."""
    connection = ticks.installation.stored(connection_id)
    event = ProviderEvent(
        provider=connection.provider,
        kind=EventKind.SYNC,
        code="SYNC_UPDATES_AVAILABLE",
        external_id=connection.external_id,
        event_key="delivered",
    )
    services = ticks.installation.services
    with services.sync.engine.begin() as db:
        insert_event(db, event, needs_sync=True, now=services.sync.clock())
