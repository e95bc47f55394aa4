"""
How others write transactions: batches of upserts, row by row through an ORM, and dlt's merge.

Each begins, as ours does, with domain values in memory, and ends with a commit.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase, Session

from bank_pipeline.domain.ids import AccountId, TeamId
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.rows import BANK_COLUMNS, to_values

UPSERT_BATCH: Final = 500
ORM_BATCH: Final = 100  # rows of an account share a commit
_NOW: Final = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)
_KEY: Final = ("account_id", "external_id")
_CHANGING: Final = (*BANK_COLUMNS[1:], "content_hash", "last_sync_run_id", "updated_at")


class Rows:
    """Makes rows of the table out of transactions."""

    def __init__(self, team_id: TeamId, account_ids: Mapping[str, AccountId]) -> None:
        self._team_id = team_id
        self._account_ids = account_ids

    def of(self, transactions: Sequence[Transaction]) -> Iterator[dict[str, Any]]:
        """Yield a row for each, its content hash included."""
        run_id = new_id()
        for one in transactions:
            yield {
                "id": new_id(),
                "team_id": self._team_id,
                "account_id": self._account_ids[one.account_external_id],
                "first_sync_run_id": run_id,
                "last_sync_run_id": run_id,
                "created_at": _NOW,
                "updated_at": _NOW,
                "content_hash": one.content_hash,
                **dict(zip(BANK_COLUMNS, to_values(one), strict=True)),
            }


def upsert_batches(
    engine: sa.Engine, name: str, rows: Rows, transactions: Sequence[Transaction]
) -> None:
    """INSERT ... ON CONFLICT DO UPDATE of 500 rows at a time, in one transaction."""
    table = sa.Table(name, sa.MetaData(), autoload_with=engine)
    statement = insert(table)
    given = {column: statement.excluded[column] for column in _CHANGING}
    statement = statement.on_conflict_do_update(index_elements=_KEY, set_=given)
    with engine.begin() as db:
        for start in range(0, len(transactions), UPSERT_BATCH):
            db.execute(statement, [*rows.of(transactions[start : start + UPSERT_BATCH])])


class PerRow:
    """Looks each row up, sets what came, and lets the ORM find out what that changes."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        class Base(DeclarativeBase):
            pass

        table = sa.Table(name, Base.metadata, autoload_with=engine)
        self._engine = engine
        self._row: Any = type("Row", (Base,), {"__table__": table})

    def write(self, rows: Rows, transactions: Sequence[Transaction]) -> None:
        """Write transactions; those of a batch share a commit."""
        row = self._row
        with Session(self._engine) as session:
            for number, given in enumerate(rows.of(transactions), start=1):
                found = session.scalars(
                    sa.select(row).where(
                        row.account_id == given["account_id"],
                        row.external_id == given["external_id"],
                    )
                ).one_or_none()
                if found is None:
                    session.add(row(**given))
                else:
                    for column in BANK_COLUMNS:
                        setattr(found, column, given[column])
                if number % ORM_BATCH == 0:
                    session.commit()
                    session.expunge_all()
            session.commit()


class Dlt:
    """dlt's merge by upsert, into a table of its own making, whose only index is on the key."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
        import dlt  # noqa: PLC0415 - only `make bench` installs it

        self._dlt = dlt
        self._engine = engine
        url = engine.url
        credentials = {
            "drivername": "postgresql",
            "host": quote(str(url.host or url.query["host"]), safe=""),  # may be a socket's path
            "port": url.port or 5432,
            "database": url.database,
            "username": url.username,
            "password": url.password or "none",
        }
        self._pipeline = dlt.pipeline(
            pipeline_name="bench",
            pipelines_dir=str(folder / "dlt"),
            destination=dlt.destinations.postgres(credentials=credentials),
            dataset_name="dlt_bench",
        )

    def write(self, rows: Rows, transactions: Sequence[Transaction]) -> None:
        """Extract, normalise, load and merge."""
        resource = self._dlt.resource(
            lambda: rows.of(transactions),
            name="transactions",
            primary_key=list(_KEY),
            write_disposition={"disposition": "merge", "strategy": "upsert"},
            max_table_nesting=0,
            columns={"content_hash": {"data_type": "binary"}},
        )
        self._pipeline.run(resource()).raise_on_failed_jobs()

    def count(self) -> int:
        """Return how many rows there are."""
        with self._engine.connect() as db:
            query = sa.text("SELECT count(*) FROM dlt_bench.transactions")
            return int(db.execute(query).scalar_one())

    def forget(self) -> None:
        """Drop everything that was loaded."""
        with self._engine.begin() as db:
            db.execute(sa.text("DROP SCHEMA IF EXISTS dlt_bench, dlt_bench_staging CASCADE"))
        self._pipeline.drop()
