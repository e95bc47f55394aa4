"""The assets: what one run does for many connections, and what the operator then sees."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline_tests.defs.runs import ASSETS, FEED, Runs
from bank_pipeline_tests.installation import SECRET

BODY: Final = "canary of a provider's message"
UNKNOWN: Final = "019a0000-0000-7000-8000-000000000000"
METADATA: Final = {
    "rows_new", "rows_changed", "rows_removed", "rows_unchanged", "provider", "institution",
    "status", "history", "reason", "sync_run", "provider_calls", "quarantined_rows",
    "duration_s", "next_attempt", "depth", "gap_days", "covered_until", "balance_differences",
    "window",
}  # fmt: skip


def materializations(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    events = result.all_events
    return [e.materialization for e in events if e.is_step_materialization]


def failure_metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Return who failed and why, from the run's failure."""
    [failed] = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None, "the run ended with a Failure of ours"
    value = data.metadata["failed"].value
    assert isinstance(value, dict)
    return value


def everything_logged(instance: dg.DagsterInstance) -> str:
    """Return all that the instance holds of all runs, as text."""
    records = instance.get_run_records()
    logs = [instance.all_logs(record.dagster_run.run_id) for record in records]
    return f"{records} {logs}"


def test_one_partition_fills_three_assets(runs: Runs) -> None:
    """A run of one connection materialises its partition of all three, with what it did."""
    [connection_id] = runs.linked()

    result = runs.of_partition(connection_id)

    assert result.success
    assert runs.installation.differences(connection_id) == []
    for asset in ASSETS:
        assert runs.status(asset).materialized == {connection_id}
    by_asset = {m.asset_key.to_user_string(): m.metadata for m in materializations(result)}
    assert by_asset["transactions"]["rows_new"].value == runs.installation.rows(connection_id) > 0
    assert by_asset["accounts"]["rows_new"].value == runs.installation.value(
        "SELECT count(*) FROM bank.accounts"
    )
    assert {m["status"].value for m in by_asset.values()} == {"active"}


@pytest.fixture(params=["range", "config"])
def batch(request: pytest.FixtureRequest, runs: Runs) -> Callable[[Sequence[str]], Any]:
    """Both ways of running many connections in one run."""
    return runs.of_range if request.param == "range" else runs.of_config


Batch = Callable[[Sequence[str]], dg.ExecuteInProcessResult]


def test_a_batch_fills_the_partition_of_each_connection(runs: Runs, batch: Batch) -> None:
    """Whether planned by partitions or by config, one run materialises every connection."""
    ids = runs.linked(3)

    result = batch(ids)

    assert result.success
    for asset in ASSETS:
        assert runs.status(asset).materialized == {*ids}
    assert [runs.installation.differences(connection_id) for connection_id in ids] == [[], [], []]


def test_events_of_a_batch_share_a_session(runs: Runs) -> None:
    """Dagster opens two for each event by itself, which costs the server more than to store it."""
    ids = runs.linked(3)
    assert runs.of_config(ids).success  # first syncs
    opened = []
    for some in (ids[:1], ids):
        before = _sessions(runs)
        assert len(materializations(runs.of_config(some))) == 3 * len(some)
        opened.append(_sessions(runs) - before)

    assert opened[1] - opened[0] < 3 * len(ids[1:])


def _sessions(runs: Runs) -> int:
    """Count the sessions that were ever opened in this database."""
    query = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    with runs.installation.services.sync.engine.connect() as db:
        return int(db.execute(sa.text(query)).scalar_one())


def test_one_bad_connection_fails_alone(runs: Runs, batch: Batch) -> None:
    """
    The others are synced and recorded; the bad one shows as failed on its own partition, and
    the run's failure names it without a word of the provider's.
    """
    ids = runs.linked(3)
    runs.break_feed(ids[1], message=BODY)

    result = batch(ids)

    assert not result.success
    for asset in ASSETS:
        status = runs.status(asset)
        assert status.materialized == {ids[0], ids[2]}
        assert status.failed == {ids[1]}
    named = failure_metadata(result)
    assert set(named) == {ids[1]}
    assert "ITEM_LOGIN_REQUIRED" in named[ids[1]]
    assert runs.installation.differences(ids[0]) == []
    logged = everything_logged(runs.instance)
    assert BODY not in logged
    assert SECRET not in logged
    assert "access-sandbox" not in logged


def test_a_failed_partition_tells_why(runs: Runs, batch: Batch) -> None:
    """Its own page has the reason, so that nobody has to look for it among a run's others."""
    ids = runs.linked(2)
    runs.break_feed(ids[1], message=BODY)

    batch(ids)

    for asset in ASSETS:
        told = runs.instance.fetch_observations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=ids), limit=9
        )
        [one] = [record.asset_observation for record in told.records]
        assert one is not None
        assert one.partition == ids[1]
        assert "ITEM_LOGIN_REQUIRED" in str(one.metadata["failed"].value)
        assert BODY not in str(one.metadata)


def test_a_run_that_is_repeated_from_failure_does_what_failed(runs: Runs, batch: Batch) -> None:
    """What the run or an earlier repetition of it synced is left alone, and costs no call."""
    ids = runs.linked(3)
    runs.break_feed(ids[1])
    failed = batch(ids)
    again = runs.from_failure(failed)
    runs.installation.sandbox.faults.clear()
    calls_before = dict(runs.installation.sandbox.plaid.calls)

    repeated = runs.from_failure(again)

    assert repeated.success
    assert {m.partition for m in materializations(repeated)} == {ids[1]}
    items = [runs.installation.stored(connection_id).external_id for connection_id in ids]
    calls = runs.installation.sandbox.plaid.calls
    more = [calls[FEED, item] - calls_before[FEED, item] for item in items]
    assert [count > 0 for count in more] == [False, True, False]


def test_a_partition_recovers_from_failed(runs: Runs, batch: Batch) -> None:
    """A connection that failed and then succeeds is shown as materialised, not as failed."""
    ids = runs.linked(2)
    runs.break_feed(ids[0], message=BODY)
    batch(ids)
    runs.installation.sandbox.faults.clear()

    assert runs.of_partition(ids[0]).success

    for asset in ASSETS:
        assert runs.status(asset).materialized == {*ids}
        assert runs.status(asset).failed == set()


def test_an_unforeseen_error_names_its_place_and_not_its_words(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a bug says may quote a customer's row; where it is says enough."""
    [connection_id] = runs.linked()

    def broken() -> None:
        raise KeyError(BODY)

    monkeypatch.setattr("bank_pipeline.sync.next_consent.load_credential", lambda *_: broken())

    result = runs.of_partition(connection_id)

    assert not result.success
    assert failure_metadata(result)[connection_id].startswith("KeyError at test_assets.py:")
    assert BODY not in everything_logged(runs.instance)


def test_a_busy_connection_is_folded(runs: Runs, batch: Batch) -> None:
    """A connection that somebody else is syncing is left to them: no failure, no call."""
    ids = runs.linked(2)
    calls_before = runs.installation.sandbox.plaid.calls.total()

    with connection_lock(runs.installation.services.sync.engine, ids[0]):
        result = batch(ids)

    assert result.success
    item_id = runs.installation.stored(ids[0]).external_id
    assert runs.installation.sandbox.plaid.calls[FEED, item_id] == 0
    assert runs.installation.sandbox.plaid.calls.total() > calls_before
    assert {m.partition for m in materializations(result)} == {ids[1]}


def test_a_part_of_the_assets_can_be_run(runs: Runs) -> None:
    """Balances alone: no transaction is fetched or shown as fresh."""
    [connection_id] = runs.linked()

    result = runs.of_assets(connection_id, "balances")

    assert result.success
    assert {m.asset_key.to_user_string() for m in materializations(result)} == {"balances"}
    assert runs.installation.rows(connection_id) == 0
    assert runs.installation.value("SELECT count(*) FROM bank.balances") > 0
    assert runs.status("transactions").materialized == set()


@pytest.mark.parametrize("unknown", [UNKNOWN, "no-id-at-all"])
def test_an_unknown_connection_fails_and_the_known_are_synced(runs: Runs, unknown: str) -> None:
    """An id that is none of ours is named as such, and makes no partition."""
    [connection_id] = runs.linked()

    result = runs.of_config([unknown, connection_id])

    assert not result.success
    assert failure_metadata(result)[unknown].startswith("NotFoundError")
    assert runs.status("transactions").materialized == {connection_id}
    assert runs.status("transactions").failed == set()


def test_an_unknown_partition_fails(runs: Runs) -> None:
    """A partition whose connection is gone fails its run, which names it."""
    runs.instance.add_dynamic_partitions(CONNECTIONS, [UNKNOWN])

    result = runs.of_partition(UNKNOWN)

    assert not result.success
    assert set(failure_metadata(result)) == {UNKNOWN}


def test_a_run_of_nothing_fails(runs: Runs) -> None:
    """A run that names no connection is a mistake to be told, not a success."""
    result = runs.of_config([])

    assert not result.success


def test_a_connection_named_twice_is_synced_once(runs: Runs) -> None:
    """Naming a connection twice costs no second call and makes no second event."""
    [connection_id] = runs.linked()
    services = runs.installation.services
    one_by_one = services.settings.model_copy(update={"sync_threads": 1})  # else the lock folds it
    installation = replace(runs.installation, services=replace(services, settings=one_by_one))

    result = replace(runs, installation=installation).of_config([connection_id, connection_id])

    assert result.success
    assert len(materializations(result)) == len(ASSETS)


def test_metadata_is_a_closed_list(runs: Runs) -> None:
    """Counts, times, states and the bank's name; no text or number of a customer."""
    ids = runs.linked(3)

    result = runs.of_config(ids)

    for materialization in materializations(result):
        assert set(materialization.metadata) <= METADATA
        assert set(materialization.metadata) >= METADATA - {"next_attempt"}
    logged = everything_logged(runs.instance)
    assert [word for word in _customers_words(runs) if word in logged] == []


def test_an_unchanged_resync_says_so(runs: Runs) -> None:
    """A second run of an unchanged connection reports that nothing was new or changed."""
    [connection_id] = runs.linked()
    runs.of_partition(connection_id)

    result = runs.of_partition(connection_id)

    by_asset = {m.asset_key.to_user_string(): m.metadata for m in materializations(result)}
    counts = [
        metadata[name].value
        for metadata in by_asset.values()
        for name in ("rows_new", "rows_changed", "rows_removed")
    ]
    assert counts == [0] * 9


def _customers_words(runs: Runs) -> Iterator[str]:
    """Yield the descriptions, names and numbers that are stored, but not the banks' names."""
    with runs.installation.services.sync.engine.connect() as db:
        words = {*db.scalars(_WORDS)}
    assert len(words) > 20
    yield from words


_WORDS: Final = sa.text(
    "SELECT unnest(ARRAY[description, counterparty_name]) AS word FROM analytics.transactions "
    "UNION SELECT name FROM bank.accounts "
    "EXCEPT SELECT institution_name FROM bank.connections EXCEPT SELECT NULL"
)
