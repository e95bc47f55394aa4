"""Every table has a rule for how it stays small, and rows go when theirs says so."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.retention import ENDED, PAST, POLICIES, Fate
from bank_pipeline.storage.tables import metadata
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.prune import prune
from bank_pipeline_tests.architecture.sources import ROOT
from bank_pipeline_tests.storage.rows import insert_row_everywhere

RAW: Final = timedelta(days=90)
RUNS: Final = timedelta(days=400)
OTHERS: Final = {
    "provider_calls": timedelta(days=7),
    "rate_limits": timedelta(days=1),
    "raw_payloads": RAW,
    "webhook_events": RAW,
    "webhook_refusals": RAW,
}
"""Pruned by functions of their own."""


@pytest.fixture
def context(engine: sa.Engine, vault: Vault, now: datetime, tmp_path: Path) -> SyncContext:
    return SyncContext(engine, {}, vault, lambda: now, build_file_cache(tmp_path))


def left(engine: sa.Engine, tables: set[str]) -> set[str]:
    with engine.connect() as db:
        return {
            name for name in tables if db.execute(sa.text(f"SELECT 1 FROM bank.{name}")).first()
        }


def insert_aged(engine: sa.Engine, at: datetime) -> None:
    """Fill every table; whatever can be over is."""
    with engine.begin() as db:
        insert_row_everywhere(db, at)
        for change in (
            "quarantine SET resolved_at = at",
            "notifications SET state = 'failed'",
            "sync_runs SET lineage = NULL, counts = '{}'",
            "webhook_events SET handled_at = received_at",
        ):
            db.execute(sa.text(f"UPDATE bank.{change}"))


def add_newer(engine: sa.Engine, now: datetime) -> None:
    """The newest of each connection stays: here is a newer one."""
    with engine.begin() as db:
        for table in ("sync_runs", "connection_events"):
            columns = [
                column
                for column in metadata.tables[f"bank.{table}"].c
                if column.name not in {"id", "started_at"}
            ]
            names = ", ".join(f'"{column.name}"' for column in columns)
            own = "id, started_at, " if table == "sync_runs" else ""
            values = "gen_random_uuid(), :now, " if own else ""
            inserted = f"INSERT INTO bank.{table} ({own}{names})"
            statement = sa.text(f"{inserted} SELECT {values}{names} FROM bank.{table}")
            db.execute(statement, {"now": now} if own else {})


PRUNED: Final = {name for name, policy in POLICIES.items() if policy.fate is Fate.PRUNED}


def test_every_table_has_a_rule() -> None:
    """A new one is thought of before it grows."""
    assert set(POLICIES) == {table.name for table in metadata.sorted_tables}


def test_every_rule_of_age_is_carried_out() -> None:
    """By the daily job: what a rule calls pruned has a statement that deletes it."""
    assert set(ENDED) | set(PAST) | set(OTHERS) == PRUNED


def test_rows_go_when_their_time_is_over_and_not_before(
    engine: sa.Engine, context: SyncContext, now: datetime
) -> None:
    ages = {**OTHERS, **dict.fromkeys(ENDED, RAW), **dict.fromkeys(PAST, RUNS)}
    for days in sorted({*ages.values()}):
        due = {name for name, age in ages.items() if age <= days}
        for margin in (timedelta(hours=-1), timedelta(hours=1)):
            with engine.begin() as db:
                db.exec_driver_sql("DELETE FROM bank.teams")
                for name in PRUNED:
                    db.exec_driver_sql(f"DELETE FROM bank.{name}")
                db.exec_driver_sql(
                    "DELETE FROM bank.provider_health; DELETE FROM bank.institutions; "
                    "DELETE FROM bank.erasures; DELETE FROM bank.data_keys"
                )
                db.exec_driver_sql(
                    "SET LOCAL session_replication_role = replica; "
                    "DELETE FROM bank.audit_seals; DELETE FROM bank.audit_log"
                )
            insert_aged(engine, now - days - margin)
            add_newer(engine, now)

            prune(context, retention=RAW, runs_kept=RUNS)

            gone = {name for name, age in ages.items() if age < days + margin}
            stays = PRUNED - gone | {"connection_events", "sync_runs"}
            assert left(engine, PRUNED) == stays, (days, margin, due)


def test_what_is_not_over_stays_however_old(
    engine: sa.Engine, context: SyncContext, now: datetime
) -> None:
    """Open questions, rows that nobody dealt with, consents to be ended, faults that last."""
    long_ago = now - 10 * RUNS
    with engine.begin() as db:
        insert_row_everywhere(db, long_ago)
        for change in (
            "account_questions SET decided_at = NULL",
            "consents_to_end SET ended_at = NULL",
            "operator_faults SET cleared_at = NULL",
            "quarantine SET resolved_at = NULL",
        ):
            db.execute(sa.text(f"UPDATE bank.{change}"))

    prune(context, retention=RAW, runs_kept=RUNS)

    waiting = {"account_questions", "consents_to_end", "operator_faults", "quarantine"}
    assert left(engine, PRUNED) >= waiting | {"connection_events", "sync_runs"}


def test_a_run_that_changed_rows_stays_with_them(
    engine: sa.Engine, context: SyncContext, now: datetime
) -> None:
    insert_aged(engine, now - 2 * RUNS)
    with engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE bank.sync_runs SET counts = "
                """'{"transactions": {"inserted": 0, "updated": 1, "removed": 0}}'"""
            )
        )
    add_newer(engine, now)

    prune(context, retention=RAW, runs_kept=RUNS)

    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM bank.sync_runs")) == 2


def test_every_rule_is_in_the_operators_guide() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    rows = {f"| `{name}` | {one.fate.value} | {one.rule} |" for name, one in POLICIES.items()}

    assert rows - {*text.splitlines()} == set()
