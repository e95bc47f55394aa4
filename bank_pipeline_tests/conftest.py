"""What all tests share: one PostgreSQL for the session, an emptied database per test, a time."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from hypothesis import settings

from bank_pipeline.logs.setup import take_down
from bank_pipeline.storage import embedded
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.migrate import migrate
from bank_pipeline.storage.tables import metadata
from bank_pipeline_tests.emptying import EMPTY_AUDIT
from bank_pipeline_tests.vaults import KEY, VAULT

# The same examples at every run, so that a change is judged by what it changed. To look for
# new ones: HYPOTHESIS_PROFILE=explore pytest --hypothesis-seed=N
settings.register_profile("steady", derandomize=True, print_blob=True, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

_FOLDER: Final = "BANK_PIPELINE_TEST_SERVER"
"""Set by the first process of a session for its xdist workers: the server's state folder."""
_GIVEN: Final = "TEST_SERVER_URL"
"""A superuser's URL of a server that is there for tests alone: one of another release."""
_SHARE_SERVERS: Final = frozenset({"sandbox", "providers", "corpus"})
_TEMPLATE: Final = "migrated"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="bank-tests-")
        if _GIVEN in os.environ:
            _forget_former_tests(os.environ[_GIVEN])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Start what takes longest first, and keep a module's tests beside the server they share."""
    for item in items:
        has_own_group = item.get_closest_marker("xdist_group") is not None
        if not has_own_group and _SHARE_SERVERS & set(item.path.parts):
            item.add_marker(pytest.mark.xdist_group(item.path.stem + str(item.path.parent)))
    yield
    items.sort(key=lambda item: item.get_closest_marker("large") is None)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(_FOLDER))
        embedded.stop(folder)
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what an entry point that a test calls sets up for its process."""
    yield
    take_down()


@pytest.fixture(scope="session")
def server_url() -> str:
    """URL of a superuser on the session's server, for tests that make databases of their own."""
    given = os.environ.get(_GIVEN)
    return given or embedded.ensure_running(Path(os.environ[_FOLDER]), is_durable=False)


@pytest.fixture(scope="session")
def database_url(server_url: str) -> str:
    """URL of this worker's migrated database. Rows of earlier tests may be in it: see `engine`."""
    name = "test_" + os.environ.get("PYTEST_XDIST_WORKER", "alone")
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text("SELECT pg_advisory_lock(1)"))  # one worker makes the template
        if not db.scalar(sa.text(f"SELECT 1 FROM pg_database WHERE datname = '{_TEMPLATE}'")):
            _create_template(db, server_url)
        db.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
        db.execute(sa.text("SELECT pg_advisory_unlock(1)"))
    server.dispose()
    return _named(server_url, name)


@pytest.fixture(scope="session")
def _database(database_url: str) -> Iterator[sa.Engine]:
    engine = build_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(_database: sa.Engine) -> Iterator[sa.Engine]:
    """
    Engine on a migrated database without rows, the same engine for all tests of a worker.

    Emptied by DELETE: 4 ms, where TRUNCATE takes 15. Numbered ids go on counting.
    """
    with _database.begin() as db:
        db.exec_driver_sql(_EMPTY)
    yield _database
    assert _database.pool.checkedout() == 0, "the test left a connection open"  # type: ignore[attr-defined]


@pytest.fixture
def vault() -> Vault:
    """A vault with a fixed key."""
    return Vault([KEY])


@pytest.fixture
def now() -> datetime:
    """A fixed time: a Tuesday afternoon in summer."""
    return datetime(2026, 6, 16, 14, 30, tzinfo=UTC)


_EMPTY: Final = "; ".join(
    [
        EMPTY_AUDIT,
        *(f"DELETE FROM {table}" for table in reversed(metadata.sorted_tables)),
        # As an installation does at its start, of the key that `vault` has.
        (
            "INSERT INTO bank.encryption_keys (id, in_use_id, added_at) "
            f"VALUES ('{VAULT.key_id}', '{VAULT.key_id}', now())"
        ),
    ]
)


def _forget_former_tests(server_url: str) -> None:
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        query = (
            "SELECT datname FROM pg_database WHERE datname ~ '^(migrated|test_(alone|gw[0-9]+))$'"
        )
        for name in db.scalars(sa.text(query)).all():
            db.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def _create_template(db: sa.Connection, server_url: str) -> None:
    db.execute(sa.text(f"CREATE DATABASE {_TEMPLATE}"))
    template = build_engine(_named(server_url, _TEMPLATE))
    migrate(template)
    template.dispose()


def _named(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)
