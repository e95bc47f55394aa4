"""What tests of stored rows share."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline_tests.storage.linked import Linked, link


@pytest.fixture
def db(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose writes nobody else sees."""
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def empty(server_url: str) -> Iterator[sa.Engine]:
    """Engine on a database of its own that was never migrated."""
    name = f"empty_{new_id().replace('-', '')}"
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text(f"CREATE DATABASE {name}"))
    engine = build_engine(sa.make_url(server_url).set(database=name).render_as_string())
    yield engine
    engine.dispose()
    with server.connect() as db:
        db.execute(sa.text(f"DROP DATABASE {name}"))
    server.dispose()


@pytest.fixture
def linked(db: sa.Connection, now: datetime) -> Linked:
    """A linked connection with two accounts and nothing else."""
    return link(db, now)


@pytest.fixture
def sync_run_id() -> SyncRunId:
    """The id of some sync."""
    return SyncRunId(new_id())
