"""The schedules: what starts a run because time has passed."""

from collections.abc import Iterator

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.jobs import institutions_job, prune_job, sync_connections_job
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.requests import PER_TICK_MAX, Asked, load_under_way, to_run_requests
from bank_pipeline.domain.cadence import SLOT_MINUTES, last_slot
from bank_pipeline.storage.listing import load_scheduled
from bank_pipeline.sync.reports import SyncReason


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
        scheduled = load_scheduled(db)
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
    key = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"  # of each tick another
    asked = [
        Asked(one.connection_id, one.provider, key)
        for one in due[: max(PER_TICK_MAX - len(under_way), 0)]
    ]
    yield from to_run_requests(asked, SyncReason.SCHEDULE, asked_at=now)


daily_sync_schedule = dg.schedule(
    name="daily_sync_schedule",
    job=sync_connections_job,
    cron_schedule=f"*/{SLOT_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Syncs every connection once a day, each in its own quarter of an hour. Ticks "
    "that were missed are made up for by the next one.",
)(request_turns)


@dg.schedule(
    job=institutions_job,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Reads daily which banks the providers offer.",
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
    description="Forget daily what was only kept for a while.",
)
