"""The jobs: what one run does."""

import dagster as dg

from bank_pipeline.defs.assets import sync_connections

sync_connections_job = dg.define_asset_job(
    "sync_connections_job",
    selection=[sync_connections],
    executor_def=dg.in_process_executor,
    description="Bring connections up to date: accounts, balances and transactions.",
)
