"""Lines as they are written: one logger of a test's own, and what its handler was given."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bank_pipeline.logs.setup import build_formatter


class Lines:
    """A logger, and the lines that came of it."""

    def __init__(self, *, is_json: bool = True) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(build_formatter(is_json=is_json))
        self.log = logging.Logger("bank_pipeline.test", logging.DEBUG)  # noqa: LOG001 - heard by none
        self.log.addHandler(handler)
        self.handler = handler

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @contextmanager
    def beside(self, logger: str) -> Iterator["Lines"]:
        """Hear another logger, too, from DEBUG on."""
        other = logging.getLogger(logger)
        level = other.level
        other.addHandler(self.handler)
        other.setLevel(logging.DEBUG)
        try:
            yield self
        finally:
            other.removeHandler(self.handler)
            other.setLevel(level)
