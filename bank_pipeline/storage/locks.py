"""One sync per connection and one end per link, whatever asks for it and on whatever machine."""

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import BusyError
from bank_pipeline.storage.engine import build_unpooled

_LOOK_AGAIN_S: Final = 0.2
_log: Final = logging.getLogger(__name__)


@contextmanager
def connection_lock(engine: sa.Engine, connection_id: ConnectionId) -> Iterator[sa.Connection]:
    """
    Hold the connection's lock while the context lasts.

    Yields the session that holds it, for statements that are worth no transaction of their own:
    each commits by itself, and fails when the lock is lost.

    A session lock of Postgres on a database connection of its own: no transaction stays
    open, and when the process dies the server lets go. A sync therefore takes two
    connections from the pool, and behind a pooler it needs session pooling.

    Raises:
        BusyError: somebody else holds it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        if not session.scalar(_TRY_LOCK, {"key": lock_key(connection_id)}):
            raise BusyError(f"connection {connection_id} is being synced already")
        try:
            yield session
        finally:
            _unlock(session, connection_id)


@contextmanager
def link_lock(engine: sa.Engine, session_id: LinkSessionId, *, wait_s: float) -> Iterator[bool]:
    """
    Hold a link while the context lasts; yield whether it could be had within `wait_s`.

    Its session is none of the pool's: whoever has exchanged what can be exchanged once must find
    one to store what it got, however many others wait. Behind a pooler it needs session pooling.
    """
    deadline = time.monotonic() + wait_s
    alone = build_unpooled(engine).execution_options(isolation_level="AUTOCOMMIT")
    key = {"key": _to_key(f"bank_pipeline.link:{session_id.lower()}")}
    pause = threading.Event()
    with alone.connect() as session:  # its end lets go
        while not (is_mine := bool(session.scalar(_TRY_LOCK, key))):
            if time.monotonic() >= deadline:
                break
            pause.wait(_LOOK_AGAIN_S)
        yield is_mine


def lock_key(connection_id: ConnectionId) -> int:
    """Return the advisory lock's number, a signed 64-bit integer. Pure."""
    return _to_key(f"bank_pipeline.sync:{connection_id.lower()}")


def _to_key(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def load_held(db: sa.Connection, among: Collection[ConnectionId]) -> set[ConnectionId]:
    """Load those of `among` whose lock somebody holds right now."""
    held = frozenset(int(key) for key in db.scalars(_HELD)) if among else frozenset()
    return {id_ for id_ in among if lock_key(id_) in held}


def _unlock(session: sa.Connection, connection_id: ConnectionId) -> None:
    """Free the lock, or else close the session: the pool must not keep one that holds it."""
    was_held = False
    try:
        was_held = bool(session.scalar(_UNLOCK, {"key": lock_key(connection_id)}))
    except sa.exc.DBAPIError:
        pass  # the session is dead, and its lock with it
    finally:  # also when we are interrupted: a pooled session would hold it for ever
        if not was_held:
            session.invalidate()
            _log.warning("the lock of connection %s was lost while it was held", connection_id)


_TRY_LOCK: Final = sa.text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK: Final = sa.text("SELECT pg_advisory_unlock(:key)")
_HELD: Final = sa.text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks "
    "WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
