"""One sync per connection, and no lock outlives its process."""

import subprocess
import sys
from datetime import datetime

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.locks import connection_lock, link_lock, load_held, lock_key
from bank_pipeline_tests.waiting import wait_for_lock

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
    wait_for_lock(engine, lock_key(connection_id))
    with connection_lock(engine, connection_id):
        pass


def test_a_link_is_held_by_one_and_free_when_it_lets_go(engine: sa.Engine) -> None:
    """Whoever waits is told in time whether it could be had."""
    session_id = LinkSessionId(new_id())
    with link_lock(engine, session_id, wait_s=0) as is_mine:
        with link_lock(engine, session_id, wait_s=0.3) as is_theirs:
            assert (is_mine, is_theirs) == (True, False)
        with link_lock(engine, LinkSessionId(new_id()), wait_s=0) as is_theirs:
            assert is_theirs
    with link_lock(engine, session_id, wait_s=10) as is_theirs:
        assert is_theirs


def test_a_link_is_held_without_a_session_of_the_pool(engine: sa.Engine) -> None:
    """What was exchanged once must find one, however many wait for it."""
    small = build_engine(engine.url.render_as_string(hide_password=False), connections_max=1)
    session_id = LinkSessionId(new_id())
    with small.connect(), link_lock(small, session_id, wait_s=0) as is_mine:
        assert is_mine
    small.dispose()


def test_a_link_is_free_when_whoever_held_it_lost_its_session(engine: sa.Engine) -> None:
    """Behind it the provider's calls go on: what they bring is stored all the same."""
    session_id = LinkSessionId(new_id())
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with link_lock(engine, session_id, wait_s=0):
        with engine.connect() as db:
            assert db.scalar(sa.text(end))
        with link_lock(engine, session_id, wait_s=10) as is_mine:
            assert is_mine
