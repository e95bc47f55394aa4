"""Start reading here: everything Dagster runs, on one page."""

import dagster as dg

from bank_pipeline.defs.assets import sync_connections
from bank_pipeline.defs.audit import audit_sensor
from bank_pipeline.defs.checks import CHECKS, checks_job, checks_schedule
from bank_pipeline.defs.erasing import erase_teams_job, erasure_sensor
from bank_pipeline.defs.housekeeping import (
    erased_sensor,
    forget_erased_job,
    prune_instance_job,
    prune_instance_schedule,
)
from bank_pipeline.defs.institution_assets import institutions
from bank_pipeline.defs.jobs import (
    backfill_job,
    end_consents_job,
    institutions_job,
    prune_job,
    sync_connections_job,
)
from bank_pipeline.defs.notice_sensors import (
    deliver_notices_job,
    failed_run_sensor,
    fault_sensor,
    notice_sensor,
)
from bank_pipeline.defs.resources import build_resources
from bank_pipeline.defs.schedules import (
    balance_refresh_schedule,
    daily_sync_schedule,
    institutions_schedule,
    prune_schedule,
)
from bank_pipeline.defs.sensors import (
    connection_sensor,
    consent_sensor,
    webhook_relief_sensor,
    webhook_sensor,
)

defs = dg.Definitions(
    assets=[institutions, sync_connections],
    asset_checks=[*CHECKS],
    jobs=[
        backfill_job,
        checks_job,
        deliver_notices_job,
        end_consents_job,
        erase_teams_job,
        forget_erased_job,
        institutions_job,
        prune_instance_job,
        prune_job,
        sync_connections_job,
    ],
    schedules=[
        balance_refresh_schedule,
        checks_schedule,
        daily_sync_schedule,
        institutions_schedule,
        prune_instance_schedule,
        prune_schedule,
    ],
    sensors=[
        audit_sensor,
        connection_sensor,
        consent_sensor,
        erased_sensor,
        erasure_sensor,
        failed_run_sensor,
        fault_sensor,
        notice_sensor,
        webhook_relief_sensor,
        webhook_sensor,
    ],
    resources=build_resources(),
)
