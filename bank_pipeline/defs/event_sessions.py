"""How a run that tells of many connections stores its events."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def kept_sessions(instance: dg.DagsterInstance) -> Iterator[None]:
    """
    Have the instance store events over a session that is kept, where it stores them in Postgres.

    Dagster opens and closes two sessions for each event of an asset, which costs the server more
    than storing it. Its webserver is told to keep one (`optimize_for_webserver`); this does the
    same for as long as a run tells of its connections. A session is asked before it is used, as
    the server may have been started again.
    """
    from dagster_postgres import PostgresEventLogStorage  # noqa: PLC0415 - other storages need none
    from dagster_postgres.utils import create_pg_engine  # noqa: PLC0415

    storage = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        yield
        return
    opening = storage._engine  # noqa: SLF001 - there is no other way in
    keeping = create_pg_engine(
        storage.postgres_url,
        storage._token_provider,  # noqa: SLF001
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        pool_pre_ping=True,
    )
    storage._engine = keeping  # noqa: SLF001
    try:
        yield
    finally:
        storage._engine = opening  # noqa: SLF001
        keeping.dispose()
