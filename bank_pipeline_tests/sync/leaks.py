"""Secrets to look out for, and what was logged. For tests; `scanning` searches the rest."""

import base64
import json
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import quote

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
