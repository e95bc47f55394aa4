"""Failures of single connections within a run: collected, shown per partition, raised once."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
)

from bank_pipeline.defs.metadata import to_metadata
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError, NotFoundError
from bank_pipeline.sync.failures import place_of
from bank_pipeline.sync.reports import Step


class Failures:
    """
    What failed in one run.

    A run planned by partitions has planned events, and Dagster shows the planned
    partitions that did not materialise as failed. A run planned by configuration has
    none: here they are written for the failed connections alone, which is what makes the
    UI show them (Dagster offers no public call for it).
    """

    def __init__(
        self, context: dg.AssetExecutionContext, steps: frozenset[Step], *, is_planned: bool
    ) -> None:
        self._context = context
        self._steps = steps
        self._is_planned = is_planned
        self._reasons: dict[ConnectionId, str] = {}

    def add(self, connection_id: ConnectionId, error: Exception) -> Iterator[dg.AssetObservation]:
        """Note one connection's failure; yield what shows its reason on its own partition."""
        reason = to_reason(error)
        self._reasons[connection_id] = reason
        self._context.log.error("connection %s failed: %s", connection_id, reason)
        if isinstance(error, NotFoundError):
            return  # there is no such partition
        if not self._is_planned:
            self._mark_failed(connection_id)
        for step in sorted(self._steps):
            yield dg.AssetObservation(
                step.value, partition=connection_id, metadata=to_metadata(failed=reason)
            )

    def raise_if_any(self) -> None:
        """
        Fail the run if any connection failed.

        Raises:
            dagster.Failure: names them; not retried by Dagster, since each connection's
                next try is planned already.
        """
        if not self._reasons:
            return
        raise dg.Failure(
            f"{len(self._reasons)} of the run's connections failed; the others are synced",
            metadata=to_metadata(failed=dict(sorted(self._reasons.items()))),
            allow_retries=False,
        )

    def _mark_failed(self, connection_id: ConnectionId) -> None:
        for step in sorted(self._steps):
            self._context.instance.report_dagster_event(
                DagsterEvent.build_asset_materialization_planned_event(
                    self._context.run.job_name,
                    self._context.op_execution_context.op_handle.name,
                    AssetMaterializationPlannedData(
                        dg.AssetKey(step.value), partition=connection_id
                    ),
                ),
                self._context.run.run_id,
            )


@contextmanager
def words_kept_back() -> Iterator[None]:
    """
    Let no words of others into what Dagster keeps of a failure: they may quote rows or answers.

    Raises:
        dagster.Failure: in the place of any other error, with what may be told of it.
    """
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words stay here
        raise dg.Failure(to_reason(error)) from None


def to_cause(description: str) -> str:
    """Return the class of the error that a failure was made of by `to_reason`."""
    return description.partition(":")[0].partition(" at ")[0]


def to_reason(error: Exception) -> str:
    """Say what failed. Only errors of ours are safe to show in words."""
    ours = isinstance(error, BankPipelineError)
    return f"{type(error).__name__}: {error}" if ours else place_of(error)
