"""Start reading here: everything Dagster runs, on one page."""

import dagster as dg

from bank_pipeline.defs.assets import sync_connections
from bank_pipeline.defs.checks import (
    balance_checks_job,
    balance_checks_schedule,
    balances_go_with_rows,
)
from bank_pipeline.defs.institution_assets import institutions
from bank_pipeline.defs.jobs import (
    backfill_job,
    end_consents_job,
    institutions_job,
    prune_job,
    sync_connections_job,
)
from bank_pipeline.defs.resources import build_resources
from bank_pipeline.defs.schedules import (
    balance_refresh_schedule,
    daily_sync_schedule,
    institutions_schedule,
    prune_schedule,
)
from bank_pipeline.defs.sensors import connection_sensor, consent_sensor, webhook_sensor

defs = dg.Definitions(
    assets=[institutions, sync_connections],
    asset_checks=[balances_go_with_rows],
    jobs=[
        balance_checks_job,
        backfill_job,
        end_consents_job,
        institutions_job,
        prune_job,
        sync_connections_job,
    ],
    schedules=[
        balance_checks_schedule,
        balance_refresh_schedule,
        daily_sync_schedule,
        institutions_schedule,
        prune_schedule,
    ],
    sensors=[connection_sensor, consent_sensor, webhook_sensor],
    resources=build_resources(),
)
