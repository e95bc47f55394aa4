"""The schedules: what starts a run because time has passed."""

from collections.abc import Iterator

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.jobs import institutions_job, prune_job, sync_connections_job
from bank_pipeline.defs.labels import LISTS, SYNCING, UPKEEP
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.defs.requests import to_run_requests
from bank_pipeline.domain.cadence import SLOT_MINUTES, is_due
from bank_pipeline.storage.listing import load_scheduled_ids
from bank_pipeline.sync.reports import SyncReason


@dg.schedule(
    job=sync_connections_job,
    cron_schedule=f"*/{SLOT_MINUTES} * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Syncs every connection once a day, each in its own quarter of an hour.",
    metadata=SYNCING,
)
def daily_sync_schedule(
    context: dg.ScheduleEvaluationContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.RunRequest]:
    """Sync every connection once a day, each in its own quarter of an hour."""
    tick_at = context.scheduled_execution_time
    # A connection linked a moment ago may have no partition yet; linking syncs it anyway.
    partitioned = set(context.instance.get_dynamic_partitions(CONNECTIONS))
    with services.sync.engine.connect() as db:
        scheduled = load_scheduled_ids(db)
    due = {
        connection_id: f"{tick_at:%Y-%m-%dT%H:%M}"
        for connection_id in scheduled
        if connection_id in partitioned and is_due(connection_id, tick_at)
    }
    yield from to_run_requests(due, SyncReason.SCHEDULE)


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
