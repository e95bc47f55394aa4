"""Files of an export: each table as JSON lines and as Parquet, and the sums that prove them."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.exporting import ExportedTable, Kind

_READ_AT_ONCE: Final = 1 << 20
_OWNER_ONLY: Final = 0o600


class FileFormat(StrEnum):
    """How a table's rows are written."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True)
class WrittenFile:
    """A finished file of an export."""

    name: str
    table: str
    rows: int
    bytes: int
    sha256: str


def check_formats(formats: Sequence[FileFormat]) -> None:
    """
    Make sure that the formats can be written, before anything is read.

    Raises:
        SetupError: a package is missing.
    """
    if FileFormat.PARQUET in formats:
        _pyarrow()


def write_table(
    folder: Path, table: ExportedTable, formats: Sequence[FileFormat]
) -> list[WrittenFile]:
    """Write one table's files, a few rows at a time, and have them on disk for good."""
    rows_count = 0
    with ExitStack() as files:
        sinks = [_SINKS[one](folder, table, files) for one in formats]
        for rows in table.batches:
            rows_count += len(rows)
            for sink in sinks:
                sink(rows)
    return [
        prove(folder / f"{table.name}.{one}", table=table.name, rows=rows_count) for one in formats
    ]


def prove(path: Path, *, table: str, rows: int) -> WrittenFile:
    """Make a file last, and return what its content is known by."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(_READ_AT_ONCE):
            digest.update(block)
            size += len(block)
    return WrittenFile(path.name, table, rows, size, digest.hexdigest())


def create(path: Path) -> int:
    """Open a new file that nobody else may read; for `open` as its opener."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY)


_Sink = Callable[[Sequence[Sequence[Any]]], None]


def _write_jsonl(folder: Path, table: ExportedTable, files: ExitStack) -> _Sink:
    path = folder / f"{table.name}.{FileFormat.JSONL}"
    file = files.enter_context(os.fdopen(create(path), "w", encoding="utf-8"))
    names = [json.dumps(column.name) for column in table.columns]
    to_json = [_TO_JSON[column.kind] for column in table.columns]

    def write(rows: Sequence[Sequence[Any]]) -> None:
        for row in rows:
            values = zip(names, to_json, row, strict=True)
            told = ("null" if value is None else tell(value) for _, tell, value in values)
            pairs = (f"{name}:{text}" for name, text in zip(names, told, strict=True))
            file.write("{" + ",".join(pairs) + "}\n")

    return write


def _write_parquet(folder: Path, table: ExportedTable, files: ExitStack) -> _Sink:
    pa, pq = _pyarrow()
    types = {
        Kind.NUMBER: pa.int64(),
        Kind.FLAG: pa.bool_(),
        Kind.MOMENT: pa.timestamp("us", tz="UTC"),
        Kind.DAY: pa.date32(),
        Kind.BYTES: pa.binary(),
        Kind.TEXTS: pa.list_(pa.string()),
    }
    schema = pa.schema(
        [(column.name, types.get(column.kind, pa.string())) for column in table.columns]
    )
    path = folder / f"{table.name}.{FileFormat.PARQUET}"
    file = files.enter_context(os.fdopen(create(path), "wb"))
    writer = files.enter_context(pq.ParquetWriter(file, schema, compression="zstd"))

    def write(rows: Sequence[Sequence[Any]]) -> None:
        arrays = [
            pa.array([row[place] for row in rows], type=field.type)
            for place, field in enumerate(schema)
        ]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

    return write


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise SetupError(
            "Parquet needs one more package: `pip install 'bank-pipeline[parquet]'`, or say "
            "--format jsonl"
        ) from None
    return pa, parquet


def _moment(value: datetime) -> str:
    return json.dumps(value.astimezone(UTC).isoformat())


def _day(value: date) -> str:
    return json.dumps(value.isoformat())


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bytes(value: bytes) -> str:
    return json.dumps(base64.b64encode(value).decode())


_TO_JSON: Final[Mapping[Kind, Callable[[Any], str]]] = {
    Kind.TEXT: _text,
    Kind.AMOUNT: _text,
    Kind.NUMBER: str,
    Kind.FLAG: json.dumps,
    Kind.MOMENT: _moment,
    Kind.DAY: _day,
    Kind.JSON: str,  # it is JSON already, and its numbers are as they came
    Kind.BYTES: _bytes,
    Kind.TEXTS: _text,
}
_SINKS: Final = {FileFormat.JSONL: _write_jsonl, FileFormat.PARQUET: _write_parquet}
