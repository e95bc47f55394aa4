"""Search everything that an installation leaves behind for secrets in clear. For tests."""

import base64
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from bank_pipeline.logs.setup import build_formatter


class Canaries:
    """Secrets by name, and every form in which each could lie about."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}

    def add(self, name: str, secret: str) -> None:
        """Look out for one more secret."""
        plain = secret.encode()
        forms = (
            plain,
            plain.hex().encode(),
            base64.b64encode(plain),
            base64.urlsafe_b64encode(plain).rstrip(b"="),
            quote(secret, safe="").encode(),
            json.dumps(secret)[1:-1].encode(),
        )
        self._forms |= dict.fromkeys(forms, name)

    def found_in(self, content: bytes) -> set[str]:
        """Return the names of the secrets in some bytes, compressed ones too."""
        contents = [content]
        with suppress(zlib.error):
            contents.append(zlib.decompress(content))
        return {name for form, name in self._forms.items() for one in contents if form in one}


@dataclass(frozen=True)
class Leak:
    """One secret in one place."""

    secret: str
    place: str


@dataclass
class Recorder(logging.Handler):
    """
    Keeps every log line, of every level, with its traceback.

    `lines` hold all that was said; `written` is what the gateway and workers write of it.
    """

    lines: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._formatters = [build_formatter(is_json=is_json) for is_json in (True, False)]

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.args!r} {self.format(record)}")
        self.written += [one.format(record) for one in self._formatters]

    __hash__ = logging.Handler.__hash__


@contextmanager
def recorded_logs(*loggers: str) -> Iterator[Recorder]:
    """Record what the root logger and these hear, from DEBUG on."""
    recorder = Recorder()
    watched = [logging.getLogger(), *map(logging.getLogger, loggers)]
    levels = [one.level for one in watched]
    for one in watched:
        one.addHandler(recorder)
        one.setLevel(logging.DEBUG)
    try:
        yield recorder
    finally:
        for one, level in zip(watched, levels, strict=True):
            one.removeHandler(recorder)
            one.setLevel(level)


def leaks_in_texts(canaries: Canaries, texts: Mapping[str, str]) -> list[Leak]:
    """Search texts, each under the name of its place."""
    return [
        Leak(name, place)
        for place, text in texts.items()
        for name in canaries.found_in(text.encode())
    ]


def leaks_in_files(
    canaries: Canaries, folders: Iterable[Path], *, but: frozenset[str] = frozenset()
) -> list[Leak]:
    """
    Search every file of these folders and its name, except files called so.

    A server's own folder changes while it is read: what is gone by then hides nothing.
    """
    leaks: list[Leak] = []
    for path in _files_in(folders):
        if path.name in but or not path.is_file():
            continue
        with suppress(FileNotFoundError):
            found = canaries.found_in(path.read_bytes() + str(path).encode())
            leaks += [Leak(name, str(path)) for name in found]
    return leaks


def _files_in(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for inside, _, names in os.walk(folder):  # which looks past a folder that vanishes
            yield from (Path(inside, name) for name in names)


def leaks_in_database(canaries: Canaries, engine: sa.Engine) -> list[Leak]:
    """Search every row of every table of every schema, binary columns as they are."""
    leaks: list[Leak] = []
    with engine.connect() as db:
        for schema, table in db.execute(_TABLES).all():
            rows = db.exec_driver_sql(
                f'SELECT * FROM "{schema}"."{table}"'
            )  # names from the server
            for row in rows.mappings():
                for column, value in row.items():
                    content = bytes(value) if isinstance(value, bytes) else str(value).encode()
                    place = f"{schema}.{table}.{column}"
                    leaks += [Leak(name, place) for name in canaries.found_in(content)]
    return leaks


def table_names(engine: sa.Engine) -> set[str]:
    """Return the schemas and tables that a search goes through."""
    with engine.connect() as db:
        return {f"{schema}.{table}" for schema, table in db.execute(_TABLES)}


_TABLES = sa.text(
    "SELECT schemaname, tablename FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
)
