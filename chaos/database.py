"""The embedded PostgreSQL, durable as in production: stopped, crashed, killed and started again."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import psutil
import sqlalchemy as sa

from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded
from chaos.plan import Blow

_GONE_S: Final = 30.0
_SESSIONS: Final = sa.text(
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
    "AND pid <> pg_backend_pid() ORDER BY pid"
)
_DROP: Final = sa.text("SELECT pg_terminate_backend(:pid)")


def bring_down(state_dir: Path, blow: Blow) -> bool:
    """End the server in one of three ways; say whether it ran."""
    if blow is Blow.DATABASE_STOPPED:
        return embedded.stop(state_dir)
    pid = embedded.status(state_dir).pid
    if pid is None:
        return False
    # SIGQUIT is PostgreSQL's immediate shutdown: no checkpoint, so it has to recover.
    os.kill(pid, signal.SIGQUIT if blow is Blow.DATABASE_CRASHED else signal.SIGKILL)
    with suppress(psutil.Error):
        psutil.Process(pid).wait(_GONE_S)
    return True


def bring_up(state_dir: Path) -> bool:
    """Start the server; say whether it runs: while its disk is full it may not recover."""
    try:
        embedded.ensure_running(state_dir)
    except SetupError:
        return False
    return True


def drop_sessions(engine: sa.Engine, rolled: Random) -> int:
    """End a share of all sessions, be it all of them; return how many."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        pids = [*db.scalars(_SESSIONS)]
        chosen = rolled.sample(pids, rolled.randint(min(1, len(pids)), len(pids)))
        return sum(bool(db.scalar(_DROP, {"pid": pid})) for pid in chosen)
