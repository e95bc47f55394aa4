"""One sync per connection, and no lock outlives its process."""

import subprocess
import sys
from datetime import datetime

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.locks import connection_lock, load_held, lock_key

_HOLDER = """
import sys
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.locks import connection_lock
with connection_lock(build_engine(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def connection_id() -> ConnectionId:
    """The id of some connection."""
    return ConnectionId(new_id())


def test_a_held_connection_is_refused_and_others_are_not(
    engine: sa.Engine, connection_id: ConnectionId
) -> None:
    """While one sync holds it, a second is turned away at once; afterwards it is free."""
    with connection_lock(engine, connection_id):
        with pytest.raises(ConcurrentSyncError), connection_lock(engine, connection_id):
            pass
        with connection_lock(engine, ConnectionId(new_id())):
            pass
    with connection_lock(engine, connection_id):
        pass


def test_a_failure_inside_frees_the_lock(engine: sa.Engine, connection_id: ConnectionId) -> None:
    """The error goes on, and the next sync can begin."""
    with pytest.raises(ZeroDivisionError), connection_lock(engine, connection_id):
        raise ZeroDivisionError
    with connection_lock(engine, connection_id):
        pass


def test_no_transaction_is_open_while_it_is_held(
    engine: sa.Engine, connection_id: ConnectionId
) -> None:
    """A provider may take minutes to answer; an open transaction would hold up vacuum."""
    with connection_lock(engine, connection_id), engine.connect() as db:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        assert db.scalar(sa.text(query + " AND datname = current_database()")) == 0
        assert load_held(db, [connection_id]) == {connection_id}


def test_a_lost_session_is_not_kept_by_the_pool(
    engine: sa.Engine, connection_id: ConnectionId, caplog: pytest.LogCaptureFixture
) -> None:
    """When the server ends the session, the lock is gone: the sync ends and the log says so."""
    with connection_lock(engine, connection_id), engine.connect() as db:
        kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'"
        db.execute(
            sa.text(kill + " AND (classid::bigint << 32) | objid::bigint = :key"),
            {"key": lock_key(connection_id)},
        )
        db.rollback()
    assert "was lost" in caplog.text
    with connection_lock(engine, connection_id):
        pass


def test_a_killed_process_leaves_no_lock(
    engine: sa.Engine, database_url: str, connection_id: ConnectionId, now: datetime
) -> None:
    """SIGKILL gives no chance to clean up; the server does it."""
    command = [sys.executable, "-c", _HOLDER, database_url, connection_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConcurrentSyncError), connection_lock(engine, connection_id):
            pass
        holder.kill()
        holder.wait()
    _wait_until_free(engine, connection_id)
    with connection_lock(engine, connection_id):
        pass


def _wait_until_free(engine: sa.Engine, connection_id: ConnectionId) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        for _ in range(500):
            if not load_held(db, [connection_id]):
                return
            db.execute(sa.text("SELECT pg_sleep(0.01)"))
