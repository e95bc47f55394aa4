"""Kills a process in the middle of a sync, wherever it happens to be."""

import json
import logging
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.simulation.installation import Installation

NAME: Final = "mortal"  # what a mortal's sessions are called on the server
_MODULE: Final = "bank_pipeline.simulation.mortal"
_GONE_S: Final = 10.0
_LOOK_S: Final = 0.001
_LOG: Final = logging.getLogger(__name__)
_SESSIONS: Final = sa.text(
    "SELECT 1 FROM pg_stat_activity WHERE application_name = :name AND datname = :database"
)


class Killer:
    """
    A warm process whose children sync and die. Started with the first order.

    What they log, and whatever else they write, is logged here in their place.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._written = tempfile.TemporaryFile("a+", encoding="utf-8")  # noqa: SIM115 - at the end
        self._heard = 0
        self.kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None and process.stdin is not None and process.stdout is not None:
            process.stdin.close()
            process.stdout.close()
            process.wait(timeout=_GONE_S)
        self._written.close()

    def warm_up(self) -> None:
        """Start the process, which then loads what it needs beside our own work."""
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._written,
                text=True,
            )

    def kill(self, place: Installation, connection_id: ConnectionId, point: int) -> bool:
        """Let a process sync, and die at its nth point; return whether it came that far."""
        place.tick()
        self.warm_up()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        order = {
            "point": point,
            "connection_id": connection_id,
            "database_url": place.database_url,
            "now": place.context.clock().isoformat(),
            "settings": to_json(place.settings),
        }
        print(json.dumps(order), file=process.stdin, flush=True)
        was_killed = bool(json.loads(process.stdout.readline())["was_killed"])
        _wait_until_gone(place)
        self._hear()
        self.kills += was_killed
        return was_killed

    def _hear(self) -> None:
        """Log what children wrote since the last time; they append, wherever we read."""
        self._written.seek(self._heard)
        for line in self._written.readlines():
            _LOG.debug("%s", line.rstrip())
        self._heard = self._written.tell()


def to_json(settings: Settings) -> dict[str, Any]:
    """Return settings for another process of ours, secrets in clear: they open a simulation."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings
        if value is not None
    }


def _wait_until_gone(place: Installation) -> None:
    """Wait until the server has noticed that its client is dead, as it does at once."""
    pause = threading.Event()
    wanted = {"name": NAME, "database": sa.make_url(place.database_url).database}
    for _ in range(int(_GONE_S / _LOOK_S)):
        with place.context.engine.connect() as db:
            if db.scalar(_SESSIONS, wanted) is None:
                return
        pause.wait(_LOOK_S)
    raise RuntimeError("the server still holds a dead process's session")
