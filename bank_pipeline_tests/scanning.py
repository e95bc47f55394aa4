"""
Search a whole PostgreSQL cluster and folders of files for what may not be there. For tests.

Every table of every schema of every database, system catalogs and planner samples included;
every form in which a text could lie about (`Canaries`), compressed ones, too.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.sync.leaks import Canaries, leaks_in_files

_AT_ONCE: Final = 500


@dataclass(frozen=True, order=True)
class Finding:
    """One canary in one place: a column of a table, or a file."""

    canary: str
    place: str


def scan_cluster(
    server_url: str, canaries: Canaries, *, databases: Collection[str] | None = None
) -> list[Finding]:
    """
    Search all databases of a server, or those named.

    Places of the given databases are named `schema.table.column`, after the database when
    several are searched.
    """
    names = [*databases] if databases is not None else _databases(server_url)
    findings: set[Finding] = set()
    for name in names:
        url = sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
        engine = build_engine(url, application_name="scanning", connections_max=1)
        prefix = f"{name}." if len(names) > 1 else ""
        with engine.connect() as db:
            for canary, place in _in_database(db, canaries):
                findings.add(Finding(canary, prefix + place))
        engine.dispose()
    return sorted(findings)


def scan_files(folders: Iterable[Path], canaries: Canaries) -> list[Finding]:
    """Search every file of these folders, and its name."""
    found = leaks_in_files(canaries, folders)
    return sorted({Finding(leak.secret, leak.place) for leak in found})


def scan_texts(texts: Iterable[tuple[str, str]], canaries: Canaries) -> list[Finding]:
    """Search texts, each given with the name of its place: answers, output, logs."""
    return sorted(
        Finding(canary, place)
        for place, text in texts
        for canary in canaries.found_in(text.encode())
    )


def places(findings: Iterable[Finding]) -> set[str]:
    """Return where something was found."""
    return {one.place for one in findings}


def _databases(server_url: str) -> list[str]:
    engine = build_engine(server_url, application_name="scanning", connections_max=1)
    with engine.connect() as db:
        found = [*db.scalars(sa.text(_DATABASES))]
    engine.dispose()
    return found


def _in_database(db: sa.Connection, canaries: Canaries) -> Iterator[tuple[str, str]]:
    yield from _in_samples(db, canaries)
    for schema, table in db.execute(sa.text(_TABLES)).all():
        # Pseudo-types such as anyarray, and whatever a driver cannot read, come as text.
        columns = db.execute(sa.text(_COLUMNS), {"schema": schema, "table": table}).all()
        told = ", ".join(
            f'"{name}"' if kind == "bytea" else f'"{name}"::text' for name, kind in columns
        )
        if not told:
            continue
        quoted = f'"{schema}"."{table}"'
        result = db.execution_options(stream_results=True).exec_driver_sql(
            f"SELECT {told} FROM {quoted}"
        )
        for rows in result.partitions(_AT_ONCE):
            yield from _in_rows(rows, [name for name, _ in columns], f"{schema}.{table}", canaries)


def _in_samples(db: sa.Connection, canaries: Canaries) -> Iterator[tuple[str, str]]:
    """Search the values that the server keeps of columns, under the names of the columns."""
    for place, values in db.execute(sa.text(_SAMPLES)):
        for canary in canaries.found_in(values.encode()):
            yield canary, f"sample of {place}"


def _in_rows(
    rows: Iterable[Any], names: list[str], table: str, canaries: Canaries
) -> Iterator[tuple[str, str]]:
    contents = [
        (name, _legible(value))
        for row in rows
        for name, value in zip(names, row, strict=True)
        if value is not None
    ]
    # All at once first: hardly ever is anything found.
    if not canaries.found_in(b"\0".join(content for _, content in contents)):
        return
    for name, content in contents:
        for canary in canaries.found_in(content):
            yield canary, f"{table}.{name}"


def _legible(value: str | bytes | memoryview) -> bytes:
    """Return a value's bytes, and behind them what they are when they are compressed."""
    if isinstance(value, str):
        return value.encode()
    content = bytes(value)
    with suppress(zlib.error):
        return content + b"\0" + zlib.decompress(content)
    return content


_DATABASES: Final = "SELECT datname::text FROM pg_database WHERE datallowconn ORDER BY 1"
_TABLES: Final = """
    SELECT n.nspname::text, c.relname::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND n.nspname <> 'information_schema'
      AND c.relname <> 'pg_statistic' AND has_table_privilege(c.oid, 'SELECT')
    ORDER BY 1, 2
"""
_SAMPLES: Final = """
    SELECT schemaname || '.' || tablename || '.' || attname,
        concat(most_common_vals::text, histogram_bounds::text, most_common_elems::text)
    FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
_COLUMNS: Final = """
    SELECT a.attname::text, format_type(a.atttypid, NULL) FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE n.nspname = :schema AND c.relname = :table AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""
