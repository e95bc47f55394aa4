"""What programs read of many rows: all of them once, and by work that grows as they do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.storage import reading
from bank_pipeline.storage.reading import TRANSACTIONS, TeamRows
from bank_pipeline_tests.storage.rows import insert_row_everywhere

# Ids are 1 to n in a UUID's last digits, so that a new row may come anywhere between others.
_COLUMNS: Final = (
    "team_id, account_id, status, amount, description, details, content_hash, "
    "first_sync_run_id, last_sync_run_id, created_at, updated_at"
)
_INSERT: Final = f"""
    INSERT INTO bank.transactions (id, external_id, booking_date, {_COLUMNS})
    SELECT lpad(to_hex(i), 32, '0')::uuid, i::text, date '2026-01-01' + (i * 7919 % 1000)::int,
           {_COLUMNS}
    FROM bank.transactions, generate_series(:first ::bigint, :last, :step) AS i
    WHERE external_id = 'external_id of transactions'
"""
_LIVE: Final = "SELECT id FROM bank.transactions WHERE removed_at IS NULL"


@pytest.fixture
def rows(engine: sa.Engine, now: datetime) -> TeamRows:
    """A team with one row."""
    with engine.begin() as db:
        made = insert_row_everywhere(db, now)
    return TeamRows(engine, TeamId(made["teams"]["id"]))


def insert(rows: TeamRows, first: int, last: int, *, step: int = 1) -> None:
    with rows.engine.begin() as db:
        db.execute(sa.text(_INSERT), {"first": first, "last": last, "step": step})


def change(rows: TeamRows, what: str, *, first: int, last: int) -> None:
    """Change the rows between two ids."""
    statement = f"UPDATE bank.transactions SET {what} WHERE id BETWEEN :first AND :last"
    with rows.engine.begin() as db:
        db.execute(sa.text(statement), {"first": f"{first:032x}", "last": f"{last:032x}"})


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[tuple[str, Any]]]:
    """Write down what is asked of the view."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if "analytics.transactions" in statement:
            asked.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def rows_read(plan: Mapping[str, Any]) -> float:
    """Count the rows of the table that a plan has looked at."""
    count = sum(rows_read(one) for one in plan.get("Plans", ()))
    if plan.get("Relation Name") == "transactions":
        told = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        count += told * plan["Actual Loops"]
    return float(count)


def test_all_rows_are_read_by_looking_at_each_of_them_a_few_times(
    rows: TeamRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorting for each chunk what is left, 60 of them would look at each row 60 times."""
    insert(rows, 1, 6_000)
    with rows.engine.begin() as db:
        db.exec_driver_sql("ANALYZE bank.transactions")
    monkeypatch.setattr(reading, "CSV_CHUNK", 100)

    with statements(rows.engine) as asked:
        chunks = [*rows.stream(TRANSACTIONS, given={})]

    assert (len(chunks), sum(map(len, chunks))) == (61, 6_001)
    with rows.connect() as db:
        plans = [
            db.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {one}", given).scalar_one()
            for one, given in asked
        ]
    assert sum(rows_read(plan["Plan"]) for [plan] in plans) < 4 * 6_001


def test_rows_that_come_go_and_move_while_all_are_read_leave_out_and_double_none(
    rows: TeamRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More come between two that were there than one chunk holds, and some at the end."""
    insert(rows, 1_000, 100_000, step=1_000)
    change(rows, "removed_at = now()", first=61_000, last=70_000)
    monkeypatch.setattr(reading, "CSV_CHUNK", 10)

    chunks = rows.stream(TRANSACTIONS, given={})
    told = [row["transaction_id"] for row in next(chunks)]
    change(rows, "booking_date = '1999-01-01'", first=5_000, last=40_000)
    change(rows, "booking_date = '2999-01-01'", first=41_000, last=50_000)
    insert(rows, 55_001, 55_035)
    change(rows, "removed_at = NULL", first=61_000, last=70_000)
    change(rows, "removed_at = now()", first=75_000, last=95_000)
    insert(rows, 100_001, 100_025)
    told += [row["transaction_id"] for chunk in chunks for row in chunk]

    with rows.connect() as db:
        live = sorted(db.scalars(sa.text(_LIVE)))
    assert len(live) == 1 + 100 - 21 + 35 + 25
    assert told == live


@pytest.mark.parametrize("count", [0, 1, 8, 9, 10, 19, 20])
def test_any_number_of_rows_is_read_whole(
    rows: TeamRows, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Also where the last chunk is full."""
    monkeypatch.setattr(reading, "CSV_CHUNK", 10)
    insert(rows, 1, count)

    told = [row["transaction_id"] for chunk in rows.stream(TRANSACTIONS, given={}) for row in chunk]

    with rows.connect() as db:
        assert told == sorted(db.scalars(sa.text(_LIVE)))
    assert len(told) == count + 1
