"""
The sensors: what starts a run when something happens outside.

All are level-triggered: they ask what is not done yet, keep no cursor, and so forget
nothing when a tick, a run or a machine is lost.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.jobs import sync_connections_job
from bank_pipeline.defs.labels import LIFECYCLE, SYNCING
from bank_pipeline.defs.partitions import CONNECTIONS, connection_partitions
from bank_pipeline.defs.requests import (
    ASK_AGAIN,
    PER_TICK_MAX,
    Asked,
    load_ready_at_once,
    load_under_way,
    to_run_requests,
)
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.bell import listening
from bank_pipeline.storage.inbox import load_lag
from bank_pipeline.storage.listing import (
    DueAttempt,
    PendingEvents,
    load_connection_ids,
    load_due_attempts,
    load_requested_syncs,
    load_unhandled_events,
)
from bank_pipeline.storage.run_requests import claim_runs
from bank_pipeline.sync.ending import load_ending_due
from bank_pipeline.sync.reports import SyncReason

LOOK_AGAIN_S: Final = 2.0  # nothing rings when a sync ends that held up a newer event
DAEMON_INTERVAL_S: Final = 5.0  # Dagster looks this often which sensors are to be ticked


@dg.sensor(
    job=sync_connections_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps partitions equal to the connections; starts first syncs and planned tries.",
    metadata=LIFECYCLE,
)
def connection_sensor(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.SensorResult:
    """
    Keep the partitions equal to the connections table, and start what is planned and due.

    Planned are: the first sync of a new connection, another look while its history is
    being prepared, and the next try after a failure or a deferral.
    """
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        stored = set(load_connection_ids(db))
        due = load_due_attempts(db, now=now, limit=PER_TICK_MAX)
    partitioned = set(context.instance.get_dynamic_partitions(CONNECTIONS))
    changes: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if added := sorted(stored - partitioned):
        changes.append(connection_partitions.build_add_request(added))
    if removed := sorted(partitioned - stored):
        changes.append(connection_partitions.build_delete_request(removed))
    # One linked since has no partition yet, and would fail the whole tick: the next one has it.
    free = stored - load_under_way(context.instance) if due else set()
    waiting = [attempt for attempt in due if attempt.connection_id in free]
    first = [_asked(attempt, now) for attempt in waiting if attempt.is_first]
    again = [_asked(attempt, now) for attempt in waiting if not attempt.is_first]
    return dg.SensorResult(
        dynamic_partitions_requests=changes,
        run_requests=[
            *to_run_requests(first, SyncReason.INITIAL, asked_at=now),
            *to_run_requests(again, SyncReason.RECOVERY, asked_at=now),
        ],
    )


@dg.sensor(
    job_name="end_consents_job",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends consents that nobody uses any more, each until its provider has done so.",
    metadata=LIFECYCLE,
)
def consent_sensor(services: dg.ResourceParam[Services]) -> dg.RunRequest | dg.SkipReason:
    """Start one run when a try to end a consent is due, or something is to be erased."""
    due_at = load_ending_due(services.sync)
    if due_at is None:
        return dg.SkipReason("No consent waits to be ended.")
    return dg.RunRequest(run_key=f"consents:{_key(due_at, services.sync.clock())}")


@dg.sensor(
    job=sync_connections_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts one sync per connection with webhooks that no sync has covered yet, "
    "or that somebody asked for.",
    metadata=SYNCING,
)
def webhook_sensor(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.SensorResult | dg.SkipReason:
    """
    Start one sync per connection with webhook events that no sync has covered, or asked for.

    A burst of events makes one run, and an event that arrives during a sync another. A tick
    that finds nothing waits for the next event: ticks come every five seconds at best.
    """
    return _wait_and_ask(context, services, wait_s=services.settings.webhook_wait_s)


@dg.sensor(
    job=sync_connections_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes the place of `webhook_sensor` while that one is between two ticks.",
    metadata=SYNCING,
)
def webhook_relief_sensor(
    context: dg.SensorEvaluationContext, services: dg.ResourceParam[Services]
) -> dg.SensorResult | dg.SkipReason:
    """
    Do the same beside it: what arrives right after a tick that ended waits for no new one.

    Both wake at an event, and one of them asks. Its ticks last longer by one interval of the
    daemon's, so that the two do not end together.
    """
    if not services.settings.webhook_wait_s:
        return dg.SkipReason("Ticks do not wait: there is nobody to relieve.")
    wait_s = services.settings.webhook_wait_s + DAEMON_INTERVAL_S
    return _wait_and_ask(context, services, wait_s=wait_s)


def _wait_and_ask(
    context: dg.SensorEvaluationContext, services: Services, *, wait_s: float
) -> dg.SensorResult | dg.SkipReason:
    ends_at = time.monotonic() + wait_s
    with listening(services.sync.engine) as wait:
        waiting = _load_waiting(context.instance, services)
        while not waiting and (left := ends_at - time.monotonic()) > 0:
            wait(min(left, LOOK_AGAIN_S))
            waiting = _load_waiting(context.instance, services)
    lag = _tell_lag(services)
    if not waiting:
        return dg.SkipReason(lag)
    context.log.info(lag)
    return dg.SensorResult(run_requests=waiting)


def _tell_lag(services: Services) -> str:
    """Say how long the oldest event waits that could be synced now."""
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        lag = load_lag(db, now=now)
    if not lag:
        return "No webhook event waits for a sync."
    count, oldest = sum(one.events for one in lag), lag[0].oldest_received_at
    waited_s = max(now - oldest, timedelta()).total_seconds()
    return f"{count} webhook events wait for a sync, the oldest for {waited_s:.0f} s."


def _asked(attempt: DueAttempt, now: datetime) -> Asked:
    return Asked(attempt.connection_id, attempt.provider, _key(attempt.due_at, now))


def _load_waiting(instance: dg.DagsterInstance, services: Services) -> list[dg.RunRequest]:
    """Ask for the connections that people or events wait for and that nobody has asked for."""
    wanted = _ids_of(*_load_unsynced(services))
    if not wanted:
        return []
    ready = load_ready_at_once(instance, services.sync, wanted)
    if not ready:
        return []
    # Read again after it: what a sync has covered before it let go waits no longer.
    requested, events = _load_unsynced(services)
    now = services.sync.clock()
    with services.sync.engine.begin() as db:
        ready = claim_runs(db, ready & _ids_of(requested, events), now=now)
    by_hand = [_asked(one, now) for one in requested if one.connection_id in ready]
    ready -= {one.connection_id for one in requested}
    pending = [
        Asked(
            event.connection_id,
            event.provider,
            f"{event.newest_event_id}:{_key(event.received_at, now)}",
        )
        for event in events
        if event.connection_id in ready
    ]
    return [
        *to_run_requests(by_hand, SyncReason.MANUAL, asked_at=now),
        *to_run_requests(pending, SyncReason.WEBHOOK, asked_at=now),
    ]


def _load_unsynced(services: Services) -> tuple[list[DueAttempt], list[PendingEvents]]:
    """Load whom people ask for, and whose events no sync has covered."""
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        return (
            load_requested_syncs(db, limit=PER_TICK_MAX),
            load_unhandled_events(db, now=now, limit=PER_TICK_MAX),
        )


def _ids_of(requested: Sequence[DueAttempt], events: Sequence[PendingEvents]) -> set[ConnectionId]:
    return {one.connection_id for one in requested} | {one.connection_id for one in events}


def _key(since: datetime, now: datetime) -> str:
    """Name the work, and how often it has been overdue: lost runs are asked for again."""
    return f"{since.isoformat()}:{max(now - since, timedelta()) // ASK_AGAIN}"
