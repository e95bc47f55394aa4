"""Erasures of teams go on until they are done, whoever asked for them."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.failures import words_kept_back
from bank_pipeline.defs.housekeeping import BY_CONNECTION, forget_connections, instance_url
from bank_pipeline.defs.labels import LIFECYCLE
from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.defs.requests import ASK_AGAIN
from bank_pipeline.domain.audit import dagster_actor
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage import instance_history as history
from bank_pipeline.sync.erasing import Forget, continue_erasures, load_erasure_due


def build_forget(instance: dg.DagsterInstance) -> Forget:
    """Return what has this instance forget connections."""

    def forget(connection_ids: Sequence[ConnectionId]) -> bool:
        if forget_connections(instance, connection_ids).is_busy:
            return False
        with history.opened(instance_url(instance)) as engine:
            with engine.connect() as db:
                left = history.load_remembered(db, BY_CONNECTION, connection_ids)
            if not left:
                history.refresh_own_samples(engine)
        return not left

    return forget


@dg.op(out=dg.Out(dg.Nothing))
def erase_asked_teams(
    context: dg.OpExecutionContext, services: dg.ResourceParam[Services]
) -> Iterator[dg.Output[None]]:
    """Go on with the erasures that are due."""
    sync = services.sync.by(dagster_actor(context.run_id))
    with words_kept_back():
        reports = continue_erasures(sync, forget=build_forget(context.instance))
    done = sum(one.is_done for one in reports)
    yield dg.Output(None, metadata=to_metadata(done=done, waiting=len(reports) - done))


@dg.job(executor_def=dg.in_process_executor, tags=LIFECYCLE)
def erase_teams_job() -> None:
    """Erase the teams that are to be, step by step: consents, rows, caches, traces."""
    erase_asked_teams()


@dg.sensor(
    job_name="erase_teams_job",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    metadata=LIFECYCLE,
    description="Has the erasure of a team go on when it waited, or when whoever began it died.",
)
def erasure_sensor(services: dg.ResourceParam[Services]) -> dg.RunRequest | dg.SkipReason:
    """Start one run when an erasure is due."""
    due_at = load_erasure_due(services.sync)
    if due_at is None:
        return dg.SkipReason("No team is to be erased now.")
    turn = max(services.sync.clock() - due_at, timedelta()) // ASK_AGAIN
    return dg.RunRequest(run_key=f"erase:{due_at.isoformat()}:{turn}")
