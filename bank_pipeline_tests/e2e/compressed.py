"""
Everything that the product runs, with the daily schedule looked at every minute.

For days that pass in minutes: the tick is the product's own, and it goes by the services' clock.
Only how often Dagster asks for it differs, since cron knows nothing shorter.
"""

import dagster as dg

from bank_pipeline import definitions
from bank_pipeline.defs.jobs import sync_connections_job
from bank_pipeline.defs.schedules import daily_sync_schedule, request_turns

every_minute = dg.schedule(
    name=daily_sync_schedule.name,
    job=sync_connections_job,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)(request_turns)

defs = dg.Definitions(
    assets=definitions.defs.assets,
    asset_checks=definitions.defs.asset_checks,
    jobs=definitions.defs.jobs,
    schedules=[every_minute],
    sensors=definitions.defs.sensors,
    resources=definitions.defs.resources,
)
