"""What tests of undo, replay and lineage look at."""

from typing import Any, Final

from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline_tests.providers.contract.stage import Stage

_TABLES: Final = ("accounts", "account_coverage", "balances", "transactions")
_MOVED: Final = "cursor, history_stage, last_full_accounts_at, refused_beyond_days"


def contents(stage: Stage) -> dict[str, list[Any]]:
    """Return every column of every row that a sync brings, as text."""
    found = {
        table: [row[0] for row in stage.query(f"SELECT t::text FROM bank.{table} t ORDER BY 1")]
        for table in _TABLES
    }
    moved = stage.query(f"SELECT {_MOVED} FROM bank.connections ORDER BY id")
    found["connections"] = [tuple(row) for row in moved]
    return found


def last_run_id(stage: Stage, connection: ConnectionId) -> SyncRunId:
    """Return the newest run of a connection."""
    return stage.last_run(connection).id
