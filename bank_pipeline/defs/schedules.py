"""The schedules: what starts a run because time has passed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.jobs import institutions_job, prune_job, sync_connections_job
from bank_pipeline.defs.labels import LISTS, SYNCING, UPKEEP
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.requests import (
    PER_TICK_MAX,
    Asked,
    load_ready,
    load_under_way,
    to_run_requests,
)
from bank_pipeline.domain.cadence import SLOT_MINUTES, last_slot
from bank_pipeline.providers.base import Scope
from bank_pipeline.storage.calls import load_last_balance_calls
from bank_pipeline.storage.listing import load_scheduled
from bank_pipeline.storage.sync_runs import load_tried
from bank_pipeline.sync.reports import Step, SyncReason

REFRESHED_AFTER: Final = timedelta(hours=12)
"""Balances are read again so long after the connection's turn."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)

REFRESH_KEPT: Final = timedelta(hours=6)
"""A refresh that could not be had for so long is left out."""


def request_turns(
    context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.RunRequest]:
    """
    Sync every connection once a day, each in its own quarter of an hour.

    Due is who was not tried since their slot began last, the longest waiting first: a tick that
    is late or was missed is made up for by the next one, whatever it was that failed.
    """
    now = services.sync.clock()
    with services.sync.engine.connect() as db:
        scheduled = load_scheduled(db, now=now)
    slots = {one.connection_id: last_slot(one.connection_id, now) for one in scheduled}
    waiting = [one for one in scheduled if one.last_tried_at < slots[one.connection_id]]
    if not waiting:
        return
    # A connection linked a moment ago may have no partition yet; linking syncs it anyway.
    partitioned = set(context.instance.get_dynamic_partitions(CONNECTIONS))
    under_way = load_under_way(context.instance)
    ready = partitioned - under_way
    due = sorted(
        (one for one in waiting if one.connection_id in ready),
        key=lambda one: slots[one.connection_id],
    )
    key = _key_of_tick(context)
    asked = [
        Asked(one.connection_id, one.provider, key)
        for one in due[: max(PER_TICK_MAX - len(under_way), 0)]
    ]
    yield from to_run_requests(asked, SyncReason.SCHEDULE, asked_at=now)


def _key_of_tick(context: dg.ScheduleEvaluationContext) -> str:
    return f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"  # of each tick another


daily_sync_schedule = dg.schedule(
    name="daily_sync_schedule",
    job=sync_connections_job,
    cron_schedule=f"*/{SLOT_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Syncs every connection once a day, each in its own quarter of an hour. Ticks "
    "that were missed are made up for by the next one.",
    metadata=SYNCING,
)(request_turns)


@dg.schedule(
    job=sync_connections_job,
    cron_schedule=f"*/{SLOT_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Off unless you start it. Reads balances a second time a day, half a day after "
    "the daily sync, at providers that count calls; it spends what else a repetition could.",
    metadata=SYNCING,
)
def balance_refresh_schedule(
    context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.RunRequest]:
    """
    Read the balances of connections a second time a day, where calls are counted.

    Elsewhere webhooks and change feeds tell of them. One that is late is left out: close to
    the next daily sync it would only take that one's call. One that was tried is not tried again,
    as where no call was left, nor one whose customer has to act first.
    """
    now = services.sync.clock()
    counting = {
        provider
        for provider, client in services.sync.providers.items()
        if (quota := client.capabilities.quota(Scope.BALANCES)) and quota.scheduled_max > 1
    }
    with services.sync.engine.connect() as db:
        turns = {
            one: last_slot(one.connection_id, now - REFRESHED_AFTER) + REFRESHED_AFTER
            for one in load_scheduled(db, now=now, with_looks=False)
            if one.provider in counting
        }
        last_calls = load_last_balance_calls(db, since=now - REFRESHED_AFTER - REFRESH_KEPT)
        ids = [one.connection_id for one, turn in turns.items() if now - turn < REFRESH_KEPT]
        tried = load_tried(db, ids, reason=SyncReason.REFRESH, since=now - REFRESH_KEPT)
    due = load_ready(context.instance).intersection(ids)
    key = _key_of_tick(context)
    asked = [
        Asked(one.connection_id, one.provider, key)
        for one, turn in turns.items()
        if one.connection_id in due
        and last_calls.get(one.connection_id, _NEVER) < turn
        and tried.get(one.connection_id, _NEVER) < turn
    ]
    steps = {Step.BALANCES}
    yield from to_run_requests(asked[:PER_TICK_MAX], SyncReason.REFRESH, asked_at=now, steps=steps)


@dg.schedule(
    job=institutions_job,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Reads daily which banks the providers offer.",
    metadata=LISTS,
)
def institutions_schedule(
    context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.RunRequest]:
    """Read every configured provider's banks once a day, each in a run of its own."""
    day = f"{context.scheduled_execution_time:%Y-%m-%d}"
    for provider in sorted(services.sync.providers):
        yield dg.RunRequest(run_key=f"institutions:{provider}:{day}", partition_key=provider.value)


prune_schedule = dg.ScheduleDefinition(
    name="prune_schedule",
    job=prune_job,
    cron_schedule="20 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Forgets daily what was only kept for a while.",
    metadata=UPKEEP,
)
