"""What a run's process writes: every line of a sync tells which one, of what, in which run."""

from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.logs.lines import Lines


def test_lines_of_syncs_side_by_side_tell_what_they_are_of(runs: Runs) -> None:
    """Threads are shared by many syncs of a run; none speaks in another's name."""
    ids = runs.linked(3)
    runs.break_feed(ids[1])
    with Lines().beside("bank_pipeline") as lines:
        first = runs.of_config(ids)
        second = runs.of_config([ids[0]])
    found = [line for line in lines.read() if line["logger"] == "bank_pipeline.sync.connection"]

    stored = runs.installation.services.sync.engine
    with stored.connect() as db:
        query = (
            "SELECT id::text, connection_id::text, dagster_run_id, outcome FROM bank.sync_runs "
            "ORDER BY 1"
        )
        rows = {tuple(row) for row in db.exec_driver_sql(query)}
    assert len(rows) == 4
    assert {row[2] for row in rows} == {first.run_id, second.run_id}
    told = {
        (
            line["sync_run_id"],
            line["connection_id"],
            line["dagster_run_id"],
            "synced" if line["event"] == "synced" else "failed",
        )
        for line in found
    }
    assert told == rows
    [counted] = [line for line in found if line["dagster_run_id"] == second.run_id]
    assert counted.items() >= {"provider": "plaid", "reason": "manual", "inserted": 0}.items()
    others = [line for line in lines.read() if line not in found]
    assert not [line for line in others if "sync_run_id" in line and "connection_id" not in line]
