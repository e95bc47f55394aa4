"""Start reading here: everything Dagster runs, on one page."""

import dagster as dg

from bank_pipeline.defs.assets import sync_connections
from bank_pipeline.defs.jobs import prune_job, sync_connections_job
from bank_pipeline.defs.resources import ServicesResource
from bank_pipeline.defs.schedules import daily_sync_schedule, prune_schedule
from bank_pipeline.defs.sensors import connection_sensor, webhook_sensor

defs = dg.Definitions(
    assets=[sync_connections],
    jobs=[prune_job, sync_connections_job],
    schedules=[daily_sync_schedule, prune_schedule],
    sensors=[connection_sensor, webhook_sensor],
    resources={"services": ServicesResource()},
)
