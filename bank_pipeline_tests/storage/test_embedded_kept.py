"""The embedded server is started again while `bank-pipeline up` runs, and never made anew."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from bank_pipeline.storage import embedded
from bank_pipeline.storage.engine import build_engine

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A folder with a path that is short enough for its socket."""
    folder = Path(tempfile.mkdtemp())
    yield folder / "state"
    embedded.stop(folder / "state")
    shutil.rmtree(folder)


def test_a_server_that_was_killed_is_back_with_its_rows(state_dir: Path) -> None:
    """As by a machine that ran out of memory: no other process would start it."""
    engine = build_engine(embedded.ensure_running(state_dir))
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE kept AS SELECT 42 AS answer"))
    pid = embedded.status(state_dir).pid
    assert pid is not None
    psutil.Process(pid).kill()
    engine.dispose()

    embedded.keep_running(state_dir)

    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT answer FROM kept")) == 42
    engine.dispose()


def test_where_the_data_is_gone_none_is_made(state_dir: Path) -> None:
    """Whoever deletes it under what runs wants no empty one in its place."""
    embedded.keep_running(state_dir)

    assert not state_dir.exists()
