"""
The assets `accounts`, `balances` and `transactions`: one step fills them, for any connections.

One step and not three, because the order (accounts before balances before transactions) and
the failures are those of each connection, not of the batch: a bank that is down must not
hold up the others.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from time import monotonic
from typing import Final

import dagster as dg
from pydantic import Field

from bank_pipeline.bootstrap import Services
from bank_pipeline.defs.event_sessions import kept_sessions
from bank_pipeline.defs.failures import Failures
from bank_pipeline.defs.labels import OWNERS
from bank_pipeline.defs.metadata import to_materializations
from bank_pipeline.defs.partitions import connection_partitions
from bank_pipeline.defs.requests import BATCH_LASTS, ROUTINE, TAG_LANE
from bank_pipeline.domain.cadence import last_slot
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BusyError, CoveredError, EndedError, ProviderPausedError
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import Step, SyncReason, SyncReport, SyncRequest

GROUP: Final = "bank"
NICENESS: Final = 19  # of threads that work through a routine batch
TABLE_KINDS: Final = {"postgres", "table"}
TAG_RESUMES: Final = "dagster/is_resume_retry"  # on a run that repeats what failed of another
TAG_ROOT: Final = "dagster/root_run_id"
_WAITED_FOR: Final = frozenset({SyncReason.WEBHOOK, SyncReason.MANUAL})


class SyncConfig(dg.Config):
    """What a run without partitions is told: which connections, and why."""

    connection_ids: list[str] = Field(
        default=[], description="Connections to sync; empty means those of the run's partitions."
    )
    reason: SyncReason = Field(default=SyncReason.MANUAL, description="What asked for the sync.")
    depth: Depth = Field(
        default=Depth.NORMAL,
        description="How far back: as usual, DEEP as far as the bank gives without another "
        "refusal, or BACKFILL from a day on.",
    )
    since: str | None = Field(
        default=None,
        description="First day of a BACKFILL, as 2025-01-31; none: as far back as banks go.",
    )

    asked_at: str | None = Field(
        default=None,
        description="When a sensor or schedule asked: what was done since then is left alone. "
        "None: everything named is synced.",
    )

    def to_request(
        self, connection_id: ConnectionId, steps: frozenset[Step], run: dg.DagsterRun
    ) -> SyncRequest:
        """
        Return the request for one connection.

        Raises:
            dagster.Failure: `since` or `asked_at` is no date, or there is no backfill to begin.
        """
        try:
            asked_at = None if _is_done_anew(run) else self._asked_at
            return SyncRequest(
                connection_id,
                self.reason,
                steps,
                run.run_id,
                depth=self.depth,
                since=None if self.since is None else date.fromisoformat(self.since),
                due_since=self._due_since(connection_id, asked_at),
                is_waited_for=asked_at is not None and self.reason in _WAITED_FOR,
            )
        except ValueError as error:
            raise dg.Failure(f"the run's config: {error}", allow_retries=False) from None

    @property
    def _asked_at(self) -> datetime | None:
        return None if self.asked_at is None else datetime.fromisoformat(self.asked_at)

    def _due_since(self, connection_id: ConnectionId, asked_at: datetime | None) -> datetime | None:
        """Return from when on a sync will do: the schedule's turn came before it was asked for."""
        is_turn = self.reason is SyncReason.SCHEDULE
        return last_slot(connection_id, asked_at) if asked_at and is_turn else asked_at


def _is_done_anew(run: dg.DagsterRun) -> bool:
    """Say whether somebody has a whole run repeated, whatever was done since."""
    return TAG_ROOT in run.tags and run.tags.get(TAG_RESUMES) != "true"


def _spec(step: Step, description: str, *, deps: tuple[str, ...] = ()) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=step.value,
        deps=list(deps),
        description=description,
        group_name=GROUP,
        kinds=TABLE_KINDS,
        owners=OWNERS,
        skippable=True,
        metadata={"table": f"bank.{step.value}", "view": f"analytics.{step.value}"},
        tags={"bank/unit": "connection"},
    )


@dg.multi_asset(
    name="sync_connections",
    specs=[
        _spec(
            Step.ACCOUNTS,
            "One row per account of each connection. A partition is one connection; its rows "
            "equal what the bank lists. Accounts that the bank no longer lists are closed, "
            "never deleted.",
        ),
        _spec(
            Step.BALANCES,
            "Every balance a bank stated, as append-only snapshots: booked, available and "
            "credit limit. Debt is negative; unknown is absent, never 0.",
            deps=("accounts",),
        ),
        _spec(
            Step.TRANSACTIONS,
            "One row per movement of money. Positive is money in. A pending row keeps its id "
            "when it books; removal is soft; every change is kept in transaction_revisions.",
            deps=("accounts",),
        ),
    ],
    partitions_def=connection_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    can_subset=True,
)
def sync_connections(
    context: dg.AssetExecutionContext, config: SyncConfig, services: dg.ResourceParam[Services]
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """
    Sync each connection; record each success at once; fail at the end if any failed.

    Successes stay when others fail, and when the run is killed.
    """
    is_planned = context.has_partition_key or context.has_partition_key_range
    named = context.partition_keys if is_planned else config.connection_ids
    connection_ids = [*dict.fromkeys(named)]
    if not connection_ids:
        raise dg.Failure(
            "nothing to sync: choose partitions, or name connections in `connection_ids`",
            allow_retries=False,
        )
    steps = frozenset(Step(key.to_user_string()) for key in context.selected_asset_keys)
    repeats = _repeated(context)
    requests = [
        replace(config.to_request(ConnectionId(id_), steps, context.run), repeats=repeats)
        for id_ in connection_ids
    ]
    failures = Failures(context, steps, is_planned=is_planned)
    left = 0
    gives_way = context.run.tags.get(TAG_LANE) == ROUTINE
    with kept_sessions(context.instance):
        for request, result in _sync_all(services, requests, gives_way=gives_way):
            try:
                report = result.result()
            except _LeftError:
                left += 1
            except CoveredError:
                context.log.debug("connection %s is up to date: folded", request.connection_id)
            except (BusyError, EndedError) as error:
                context.log.info("left out: %s", error)
            except ProviderPausedError as error:
                # The run that met the refusal failed; thousands that are put off for it do not.
                context.log.warning("connection %s is put off: %s", request.connection_id, error)
            except Exception as error:  # noqa: BLE001  (one connection's failure is its own)
                yield from failures.add(request.connection_id, error)
            else:
                yield from to_materializations(report, gateway_url=services.settings.gateway_url)
    if left:
        context.log.info("%d connections are left to a later run: they are due as before", left)
    failures.raise_if_any()


class _LeftError(Exception):
    """The run has lasted long enough: somebody asks for this sync again."""


def _repeated(context: dg.AssetExecutionContext) -> frozenset[str]:
    """Return the runs that this one repeats from where they failed: what they synced is done."""
    tags = context.run.tags
    if tags.get(TAG_RESUMES) != "true" or TAG_ROOT not in tags:
        return frozenset()
    root = tags[TAG_ROOT]
    others = context.instance.get_runs(dg.RunsFilter(tags={TAG_ROOT: root}))
    return frozenset({root, *(run.run_id for run in others)}) - {context.run.run_id}


def _sync_all(
    services: Services, requests: list[SyncRequest], *, gives_way: bool
) -> Iterator[tuple[SyncRequest, Future[SyncReport]]]:
    """
    Sync side by side in threads; yield each as it ends. A run that is ended begins no more.

    After `BATCH_LASTS` no sync begins that will be asked for again: slow banks do not keep the
    lane, and a run of ten minutes, which counts as lost, begins nothing any more.
    """
    ends_at = monotonic() + BATCH_LASTS.total_seconds()

    def sync(request: SyncRequest) -> SyncReport:
        if request.due_since is not None and monotonic() >= ends_at:
            raise _LeftError
        return sync_connection(services.sync, request)

    threads = min(len(requests), services.settings.sync_threads) or 1
    begin = _give_way if gives_way else None
    pool = ThreadPoolExecutor(threads, thread_name_prefix="sync", initializer=begin)
    try:
        futures = {pool.submit(sync, request): request for request in requests}
        for future in as_completed(futures):
            yield futures[future], future
    finally:
        pool.shutdown(cancel_futures=True)


def _give_way() -> None:
    """Let whatever somebody waits for go first on this machine, where its system can do that."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)  # this thread's
