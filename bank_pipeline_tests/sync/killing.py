"""Kill a working process at any point, and put a database back to where it was. For tests."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import sqlalchemy as sa

from bank_pipeline.storage.tables import metadata
from bank_pipeline.sync.context import SyncContext
from bank_pipeline_tests.emptying import EMPTY_AUDIT
from bank_pipeline_tests.sync import mortal
from bank_pipeline_tests.sync.ground import Ground

_GONE_S: Final = 10.0
_LOOK_S: Final = 0.002


@dataclass(frozen=True)
class Death:
    """How one life went: the points it passed; not killed when it had fewer than asked."""

    was_killed: bool
    points: tuple[str, ...]
    status: int

    def between(self, request: str) -> range:
        """Return the points, from 1, after a request and up to the commit of its credential."""
        names = list(enumerate(self.points, 1))
        asked = next(number for number, name in names if request in name)
        kept = next(number for number, name in names if "INTO bank.credentials" in name)
        commit = next(number for number, name in names if number > kept and name == "commit")
        return range(asked + 1, commit + 1)


class Killer:
    """A warm process whose children do the work and die."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", mortal.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=10) == 0

    def kill(self, ground: Ground, point: int, **order: str) -> Death:
        """Let a process work on `order` and die at its nth point; return when it is gone."""
        told = {"sandbox_url": ground.sandbox.url, "cache_dir": str(ground.cache_dir), **order}
        return self.kill_over(ground.context, point, told)

    def kill_over(self, context: SyncContext, point: int, order: Mapping[str, Any]) -> Death:
        """Do the same for any context; `order` says which provider, and how it is set up."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = {
            "point": point,
            "database_url": context.engine.url.render_as_string(hide_password=False),
            "now": context.clock().isoformat(),
            "act": "sync",
            **order,
        }
        print(json.dumps(told), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        _wait_until_gone(context.engine)
        return Death(answer["was_killed"], tuple(answer["points"]), answer["status"])


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator["Snapshot"]:
    """Keep a copy of every row, to return to."""
    one = Snapshot(engine)
    try:
        yield one
    finally:
        one.drop()


class Snapshot:
    """A copy of all tables beside them, in the same database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        names = [table.name for table in metadata.sorted_tables]
        copies = "; ".join(f"CREATE TABLE kept.{one} AS TABLE bank.{one}" for one in names)
        with engine.begin() as db:
            db.exec_driver_sql(f"CREATE SCHEMA kept; {copies}")
        deletes = "; ".join(f"DELETE FROM bank.{one}" for one in reversed(names))
        inserts = "; ".join(
            f"INSERT INTO bank.{one} OVERRIDING SYSTEM VALUE SELECT * FROM kept.{one}"
            for one in names
        )
        self._restore = f"{EMPTY_AUDIT}; {deletes}; {inserts}"

    def restore(self) -> None:
        """Put every row back."""
        with self._engine.begin() as db:
            db.exec_driver_sql(self._restore)

    def drop(self) -> None:
        """Forget the copy."""
        with self._engine.begin() as db:
            db.exec_driver_sql("DROP SCHEMA kept CASCADE")


def _wait_until_gone(engine: sa.Engine) -> None:
    """Wait until the server has noticed that its client is dead, as it does at once."""
    pause = threading.Event()
    query = sa.text(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = :name AND datname = :db"
    )
    for _ in range(int(_GONE_S / _LOOK_S)):
        with engine.connect() as db:
            found = db.execute(query, {"name": mortal.NAME, "db": engine.url.database}).all()
        if not found:
            return
        pause.wait(_LOOK_S)
    raise AssertionError("the server still holds a dead process's session")
