"""
Search databases, folders of files and texts for what may not be there. For tests.

Every table of every schema, of a whole cluster with its catalogs and planner samples; every form
in which a text could lie about (`Canaries`), compressed ones, too.
"""

import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.sync.leaks import Canaries

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
    Search all databases of a server, or those named, system catalogs included.

    Places of the given databases are named `schema.table.column`, after the database when
    several are searched.
    """
    names = [*databases] if databases is not None else _databases(server_url)
    findings: set[Finding] = set()
    for name in names:
        url = sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
        engine = build_engine(url, application_name="scanning", connections_max=1)
        prefix = f"{name}." if len(names) > 1 else ""
        found = scan_database(engine, canaries, has_catalogs=True)
        findings |= {Finding(one.canary, prefix + one.place) for one in found}
        engine.dispose()
    return sorted(findings)


def scan_database(
    engine: sa.Engine, canaries: Canaries, *, has_catalogs: bool = False
) -> list[Finding]:
    """Search one database, its system catalogs left out unless asked for."""
    with engine.connect() as db:
        return sorted(
            {Finding(*found) for found in _in_database(db, canaries, has_catalogs=has_catalogs)}
        )


def table_names(engine: sa.Engine) -> set[str]:
    """Return the schemas and tables that a search of one database goes through."""
    with engine.connect() as db:
        return {f"{schema}.{table}" for schema, table in _tables(db, has_catalogs=False)}


def scan_files(
    folders: Iterable[Path], canaries: Canaries, *, but: Collection[str] = ()
) -> list[Finding]:
    """
    Search every file of these folders, and its name, except files called so.

    A server's own folder changes while it is read: what is gone by then hides nothing.
    """
    findings: set[Finding] = set()
    for path in _files_in(folders):
        if path.name in but or not path.is_file():
            continue
        with suppress(FileNotFoundError):
            found = canaries.found_in(path.read_bytes() + str(path).encode())
            findings |= {Finding(canary, str(path)) for canary in found}
    return sorted(findings)


def scan_texts(texts: Mapping[str, str], canaries: Canaries) -> list[Finding]:
    """Search texts, each under the name of its place: answers, output, logs."""
    return sorted(
        Finding(canary, place)
        for place, text in texts.items()
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


def _in_database(
    db: sa.Connection, canaries: Canaries, *, has_catalogs: bool
) -> Iterator[tuple[str, str]]:
    if has_catalogs:
        yield from _in_samples(db, canaries)
    for schema, table in _tables(db, has_catalogs=has_catalogs):
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


def _tables(db: sa.Connection, *, has_catalogs: bool) -> list[tuple[str, str]]:
    return [(*row,) for row in db.execute(sa.text(_TABLES), {"has_catalogs": has_catalogs})]


def _files_in(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for inside, _, names in os.walk(folder):  # which looks past a folder that vanishes
            yield from (Path(inside, name) for name in names)


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
      AND (:has_catalogs OR n.nspname <> 'pg_catalog')
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
