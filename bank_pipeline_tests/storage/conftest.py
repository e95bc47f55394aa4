"""What tests of stored rows share."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline_tests.storage.linked import Linked, link


@pytest.fixture
def db(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose writes nobody else sees."""
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def linked(db: sa.Connection, now: datetime) -> Linked:
    """A linked connection with two accounts and nothing else."""
    return link(db, now)


@pytest.fixture
def sync_run_id() -> SyncRunId:
    """The id of some sync."""
    return SyncRunId(new_id())
