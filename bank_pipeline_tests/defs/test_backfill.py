"""A backfill over partitions, as the UI launches it, with what its config says."""

from typing import Any

import dagster as dg
import pytest

from bank_pipeline.definitions import defs
from bank_pipeline.defs.jobs import backfill_job
from bank_pipeline_tests.defs.runs import ASSETS, Runs
from bank_pipeline_tests.defs.test_assets import materializations


def run(runs: Runs, partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
    """Execute the job on the instance: the config that is given, else that of the job."""
    job = defs.resolve_job_def(backfill_job.name)
    given = {"ops": {"sync_connections": {"config": config}}} if config else None
    return job.execute_in_process(
        instance=runs.instance,
        resources={"services": runs.installation.services},
        partition_key=partition,
        run_config=given,
        raise_on_error=False,
    )


def test_a_backfill_of_two_partitions_reads_both_histories_again(runs: Runs) -> None:
    ids = runs.linked(2)
    for connection_id in ids:
        runs.installation.sync(connection_id)
    since = {"reason": "BACKFILL", "depth": "BACKFILL", "since": "2026-01-15"}

    results = [run(runs, ids[0], **since), run(runs, ids[1])]  # the job's own config suffices

    assert [result.success for result in results] == [True, True]
    for result in results:
        found = [one.metadata for one in materializations(result)]
        assert {one["depth"].value for one in found} == {"backfill"}
        assert {one["reason"].value for one in found} == {"backfill"}
        assert {one["gap_days"].value for one in found} == {0}
        assert {one["covered_until"].value for one in found} == {"2026-03-02"}
    for asset in ASSETS:
        assert runs.status(asset).materialized == {*ids}
    assert [runs.installation.differences(connection_id) for connection_id in ids] == [[], []]
    assert runs.installation.value("SELECT count(backfill_since) FROM bank.connections") == 0


@pytest.mark.parametrize(
    "config", [{"depth": "BACKFILL", "since": "lately"}, {"depth": "DEEP", "since": "2026-01-15"}]
)
def test_a_config_that_makes_no_sense_is_refused_before_any_call(
    runs: Runs, config: dict[str, str]
) -> None:
    [connection_id] = runs.linked()
    before = runs.installation.sandbox.plaid.calls.total()

    assert not run(runs, connection_id, **config).success
    assert runs.installation.sandbox.plaid.calls.total() == before
