"""The jobs: what one run does."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.assets import sync_connections
from bank_pipeline.defs.failures import words_kept_back
from bank_pipeline.defs.institution_assets import institutions
from bank_pipeline.defs.labels import LIFECYCLE, LISTS, SYNCING, UPKEEP
from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.defs.requests import ROUTINE, TAG_LANE
from bank_pipeline.domain.audit import dagster_actor
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.prune import prune

sync_connections_job = dg.define_asset_job(
    "sync_connections_job",
    selection=dg.AssetSelection.assets(sync_connections).without_checks(),
    executor_def=dg.in_process_executor,
    description="Bring connections up to date: accounts, balances and transactions.",
    tags=SYNCING,
)

backfill_job = dg.define_asset_job(
    "backfill_job",
    selection=[sync_connections],
    executor_def=dg.in_process_executor,
    config={"ops": {"sync_connections": {"config": {"reason": "BACKFILL", "depth": "BACKFILL"}}}},
    description="Read the history of connections again, from the day `since` of the run's "
    "config on, else as far back as banks go. Choose partitions and launch a backfill.",
    tags={**SYNCING, TAG_LANE: ROUTINE},
)

institutions_job = dg.define_asset_job(
    "institutions_job",
    selection=[institutions],
    executor_def=dg.in_process_executor,
    description="Read which banks a provider offers.",
    tags=LISTS,
)


@dg.op(out=dg.Out(dg.Nothing))
def end_unused_consents(
    context: dg.OpExecutionContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.Output[None]]:
    """End consents that nobody uses any more; erase what was asked to be."""
    sync = services.sync.by(dagster_actor(context.run_id))
    with words_kept_back():
        report = end_consents(sync)
    yield dg.Output(None, metadata=to_metadata(**asdict(report)))


@dg.job(executor_def=dg.in_process_executor, tags=LIFECYCLE)
def end_consents_job() -> None:
    """End at the providers what nobody uses any more, tried until it is done."""
    end_unused_consents()


@dg.op(out=dg.Out(dg.Nothing))
def prune_expired(services: dg.ResourceParam[Services]) -> Iterator[dg.Output[None]]:
    """Delete answers past their retention; close links and syncs that nobody will finish."""
    settings = services.settings
    with words_kept_back():
        report = prune(
            services.sync,
            retention=timedelta(days=settings.raw_retention_days),
            runs_kept=timedelta(days=settings.sync_run_retention_days),
        )
    yield dg.Output(None, metadata=to_metadata(**asdict(report)))


@dg.job(executor_def=dg.in_process_executor, tags=UPKEEP)
def prune_job() -> None:
    """Forget what was only kept for a while."""
    prune_expired()
