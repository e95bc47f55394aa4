"""
Export a team: all its rows as of one moment, in files that prove themselves.

The folder appears whole or not at all: files are written beside it, and it takes its name when
the manifest is in it. Where they cannot be written to the end, they go at once; what a crash left
is thrown away by the next export, which reads anew: two moments are never mixed.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import BusyError, RefusedError
from bank_pipeline.storage.exporting import ExportedTable, export_tables, left_out, snapshot
from bank_pipeline.storage.folders import sync_folder
from bank_pipeline.storage.migrate import head
from bank_pipeline.storage.teams import load_team_by
from bank_pipeline.sync.audit import note
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.export_files import (
    FileFormat,
    WrittenFile,
    check_formats,
    create,
    write_table,
)

FORMAT: Final = "bank_pipeline team export 1"
MANIFEST: Final = "manifest.json"
PARTIAL: Final = ".partial"
_OWNER_ONLY: Final = 0o700
_CONVENTIONS: Final = {
    "amounts": "text, exactly as stored; positive is money in",
    "moments": "UTC",
    "bytes": "base64 in JSON lines, binary in Parquet",
    "json": "values in JSON lines, text in Parquet",
    "raw_payloads.body": "what the provider answered, as text",
    "unopened": "rows whose stored value does not open: it is null, whatever it was",
}


@dataclass(frozen=True)
class ExportReport:
    """
    What was exported, and as of when.

    `unopened`: rows whose sealed value did not open and is null, by `table.column`.
    """

    team_id: TeamId
    folder: str
    snapshot_at: datetime
    files: tuple[WrittenFile, ...]
    unopened: Mapping[str, Sequence[str]]


def export_team(
    context: SyncContext,
    team: str,
    folder: Path,
    *,
    formats: Sequence[FileFormat] = tuple(FileFormat),
) -> ExportReport:
    """
    Write all rows of a team, named or by id, to a new folder.

    Raises:
        NotFoundError: there is no such team.
        RefusedError: the folder is there already, or cannot be made or written.
        BusyError: another export writes to it just now.
        SetupError: a format needs a package that is not there.
    """
    with context.engine.connect() as db:
        team_id, _ = load_team_by(db, team)
    check_formats(formats)
    with _partial(folder) as partial:
        with _or_refused(folder, partial):
            snapshot_at, files, unopened = _write_all(context, team_id, partial, formats)
            partial.rename(folder)
        (folder / _LOCK_NAME).unlink()  # only now: who finds no lock may take the folder
        sync_folder(folder.parent)
    rows_count = sum(one.rows for one in files) // len(formats)
    _note(context, team_id, state="done", rows=rows_count, files=len(files))
    return ExportReport(team_id, str(folder), snapshot_at, tuple(files), unopened)


def _write_all(
    context: SyncContext, team_id: TeamId, partial: Path, formats: Sequence[FileFormat]
) -> tuple[datetime, list[WrittenFile], Mapping[str, Sequence[str]]]:
    _note(context, team_id, state="begun")
    with snapshot(context.engine) as db:
        snapshot_at = context.clock()
        _, name = load_team_by(db, team_id)
        files, hidden, unopened = _write_tables(db, context, team_id, partial, formats)
    manifest = {
        "format": FORMAT,
        "team_id": team_id,
        "team_name": name,
        "snapshot_at": snapshot_at.isoformat(),
        "schema_version": head(),
        "conventions": _CONVENTIONS,
        "files": [asdict(one) for one in files],
        "tables_left_out": left_out(),
        "columns_left_out": hidden,
        "unopened": unopened,
    }
    _write_manifest(partial / MANIFEST, manifest)
    return snapshot_at, files, unopened


def _write_tables(
    db: sa.Connection,
    context: SyncContext,
    team_id: TeamId,
    folder: Path,
    formats: Sequence[FileFormat],
) -> tuple[list[WrittenFile], dict[str, dict[str, str]], dict[str, list[str]]]:
    files: list[WrittenFile] = []
    hidden: dict[str, dict[str, str]] = {}
    unopened: dict[str, list[str]] = {}
    for table in export_tables(db, team_id, vault=context.vault):
        files += write_table(folder, table, formats)
        hidden |= _hidden(table)
        unopened |= {f"{table.name}.{name}": rows for name, rows in table.unopened.items()}
    return files, hidden, unopened


def _hidden(table: ExportedTable) -> dict[str, dict[str, str]]:
    return {table.name: dict(table.hidden)} if table.hidden else {}


_LOCK_NAME: Final = ".lock"


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """Make an empty folder beside the one to be, for us alone; what a crash left there goes."""
    try:
        if folder.exists():
            raise RefusedError(f"{folder} is there already: name a folder that is not")
        partial = folder.with_name(folder.name + PARTIAL)
        partial.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        lock = os.open(partial / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise RefusedError(f"{folder} cannot be made: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another export writes to {partial}") from None
        with _or_refused(folder, partial):
            _empty(partial)
        yield partial
    finally:
        os.close(lock)


@contextmanager
def _or_refused(folder: Path, partial: Path) -> Iterator[None]:
    """Say what to do where files cannot be written; a disk that is full gets its room back."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            _empty(partial)
        raise RefusedError(
            f"{folder} was not written: {error.strerror or error}. Make room, or name another "
            f"place, and say it again; nothing in {partial} is of use"
        ) from None


def _empty(partial: Path) -> None:
    for left in partial.iterdir():
        if left.name != _LOCK_NAME:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    with os.fdopen(create(path), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _note(context: SyncContext, team_id: TeamId, **details: int | str) -> None:
    with context.engine.begin() as db:
        note(context, db, AuditAction.EXPORTED, team_id, **details)
