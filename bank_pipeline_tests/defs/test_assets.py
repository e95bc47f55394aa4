"""The assets: what one run does for many connections, and what the operator then sees."""

from bank_pipeline_tests.defs.runs import ASSETS, Runs


def test_one_partition_fills_three_assets(runs: Runs) -> None:
    """A run of one connection materialises its partition of accounts, balances, transactions."""
    [connection_id] = runs.linked()

    result = runs.of_partition(connection_id)

    for e in result.all_events:
        if e.is_failure: print(e)
    assert result.success
    for asset in ASSETS:
        assert runs.status(asset).materialized == {connection_id}
