"""Runs of the job, and what the operator then sees of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from bank_pipeline.definitions import defs
from bank_pipeline.defs.assets import sync_connections
from bank_pipeline.defs.jobs import sync_connections_job
from bank_pipeline.defs.partitions import CONNECTIONS, connection_partitions
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.installation import Installation

FEED: Final = "/transactions/sync"
ASSETS: Final = ("accounts", "balances", "transactions")
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@dataclass(frozen=True)
class PartitionStatus:
    """What the UI shows of one asset's partitions."""

    materialized: set[str]
    failed: set[str]


@dataclass(frozen=True)
class Runs:
    """Executes the job over an installation, on a Dagster instance."""

    installation: Installation
    instance: dg.DagsterInstance

    @property
    def step_logs(self) -> Path:
        """Where the instance keeps what steps wrote, a folder for each run."""
        manager = self.instance.compute_log_manager
        assert isinstance(manager, LocalComputeLogManager)
        return Path(manager.get_captured_local_path(["any"], "out")).parent

    def linked(self, count: int = 1) -> list[ConnectionId]:
        """Link connections and give each its partition, as the sensor does."""
        ids = self.installation.link(count)
        self.instance.add_dynamic_partitions(CONNECTIONS, ids)
        return ids

    def break_feed(
        self, connection_id: ConnectionId, *, code: str = "ITEM_LOGIN_REQUIRED", message: str = ""
    ) -> None:
        """Have the provider refuse one connection's transactions until the faults are cleared."""
        subject = self.installation.stored(connection_id).external_id
        fault = Fault(FaultKind.ERROR, code=code, message=message or None)
        self.installation.sandbox.faults.add(FEED, fault, subject=subject, times=None)

    def of_partition(self, connection_id: str) -> dg.ExecuteInProcessResult:
        """Run one partition, as a click on it does."""
        return self._execute(partition_key=connection_id)

    def of_range(self, ids: Sequence[str]) -> dg.ExecuteInProcessResult:
        """Run a range of partitions in one run, as a backfill does."""
        return self._execute(tags=dict(zip(_RANGE, (ids[0], ids[-1]), strict=True)))

    def of_config(self, ids: Sequence[str]) -> dg.ExecuteInProcessResult:
        """Run scattered connections in one run, as sensors ask for many."""
        config = {"ops": {"sync_connections": {"config": {"connection_ids": [*ids]}}}}
        return self._execute(run_config=config)

    def of_request(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run what a sensor or the schedule asked for."""
        return self._execute(
            run_config=request.run_config,
            partition_key=request.partition_key,
            tags=dict(request.tags),
        )

    def from_failure(self, result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
        """Repeat a run that failed, as the UI's "from failure" does."""
        return self._repeated(result, {"dagster/is_resume_retry": "true"})

    def anew(self, result: dg.ExecuteInProcessResult) -> dg.ExecuteInProcessResult:
        """Repeat a whole run, as the UI's "re-execute all" does."""
        return self._repeated(result, {})

    def _repeated(
        self, result: dg.ExecuteInProcessResult, tags: Mapping[str, str]
    ) -> dg.ExecuteInProcessResult:
        before = self.instance.get_run_by_id(result.run_id)
        assert before is not None, "it was a run of this instance"
        origin = {
            "dagster/parent_run_id": before.run_id,
            "dagster/root_run_id": before.tags.get("dagster/root_run_id", before.run_id),
        }
        return self._execute(run_config=before.run_config, tags={**before.tags, **origin, **tags})

    def of_assets(self, connection_id: str, *names: str) -> dg.ExecuteInProcessResult:
        """Run a part of the assets, as chosen in the UI."""
        return dg.materialize(
            [sync_connections],
            selection=[*names],
            instance=self.instance,
            resources={"services": self.installation.services},
            partition_key=connection_id,
            run_config=_QUIET,
            raise_on_error=False,
        )

    def status(self, asset: str) -> PartitionStatus:
        """Read an asset's partitions from where the UI reads them."""
        value = get_and_update_asset_status_cache_value(
            self.instance, dg.AssetKey(asset), connection_partitions
        )
        if value is None:
            return PartitionStatus(set(), set())
        with partition_loading_context(dynamic_partitions_store=self.instance):
            done = value.deserialize_materialized_partition_subsets(connection_partitions)
            failed = value.deserialize_failed_partition_subsets(connection_partitions)
            return PartitionStatus({*done.get_partition_keys()}, {*failed.get_partition_keys()})

    def _execute(
        self, run_config: Mapping[str, Any] | None = None, **named: Any
    ) -> dg.ExecuteInProcessResult:
        job = defs.resolve_job_def(sync_connections_job.name)
        return job.execute_in_process(
            instance=self.instance,
            resources={"services": self.installation.services},
            run_config={**(run_config or {}), **_QUIET},
            raise_on_error=False,
            **named,
        )
