"""The embedded server starts for anybody, once, and heals or explains what is wrong."""

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import pytest
import sqlalchemy as sa

from bank_pipeline.errors import SetupError
from bank_pipeline.storage import embedded
from bank_pipeline.storage.embedded_user import ServerUser, grant_access
from bank_pipeline.storage.engine import build_engine
from bank_pipeline_tests.waiting import wait_until

NOBODY: Final = 65534
ENSURE: Final = (
    "import sys, pathlib; from bank_pipeline.storage import embedded; "
    "print(embedded.ensure_running(pathlib.Path(sys.argv[1]), is_durable=False))"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become other users")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with folder_of(os.geteuid()) as folder:
        yield folder / "state"


def ensure(state_dir: Path) -> str:
    return embedded.ensure_running(state_dir, is_durable=False)


def ensure_in_process(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENSURE, str(state_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def as_user(uid: int, act: Callable[[], object]) -> str:
    """Return what `act` returns or raises as another user, in a fork: that user may lack Python."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(writer, repr(act()).encode())
        except Exception as error:  # noqa: BLE001 -- handed to the test
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as outcome:
        return outcome.read()


def knock(data_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(data_dir / ".s.PGSQL.5432"))


def query(url: str, statement: str) -> object:
    engine = build_engine(url)
    try:
        with engine.begin() as db:
            result = db.execute(sa.text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def postmaster(state_dir: Path) -> psutil.Process:
    pid = embedded.status(state_dir).pid
    assert pid is not None
    return psutil.Process(pid)


def kill(process: psutil.Process) -> None:
    """Kill a server as a power cut does; it is not our child, so it is gone at once or soon."""
    process.kill()
    while not is_gone(process):
        os.sched_yield()


def is_gone(process: psutil.Process) -> bool:
    """Say whether it has ended, be it that nobody has asked for its exit code yet."""
    with suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def test_first_use_makes_a_database_that_later_calls_find(state_dir: Path) -> None:
    """The second call returns the same URL without starting anything."""
    url = ensure(state_dir)
    first = postmaster(state_dir).pid

    assert query(url, "SELECT current_database()") == "bank_pipeline"
    assert ensure(state_dir) == url
    assert postmaster(state_dir).pid == first


def test_the_server_is_as_we_want_it(state_dir: Path) -> None:
    """UTC, no TCP, PostgreSQL's own collation, checksums; and the log quotes no rows."""
    url = ensure(state_dir)

    assert query(url, "SHOW listen_addresses") == ""
    assert query(url, "SHOW timezone") == "UTC"
    assert query(url, "SHOW data_checksums") == "on"
    assert query(url, "SHOW log_error_verbosity") == "terse"
    provider = "SELECT datlocprovider::text FROM pg_database WHERE datname = current_database()"
    assert query(url, provider) == "b"


def test_it_is_durable_unless_told_otherwise(state_dir: Path) -> None:
    """What the product starts must survive a power cut."""
    assert query(embedded.ensure_running(state_dir), "SHOW fsync") == "on"


def test_no_secret_of_ours_is_in_the_server(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server outlives us and runs as another user: it inherits a few variables only."""
    monkeypatch.setenv("PLAID_SECRET", "not for the server")

    ensure(state_dir)

    assert "PLAID_SECRET" not in postmaster(state_dir).environ()


def test_processes_that_start_at_once_agree_on_one_server(state_dir: Path) -> None:
    """Six processes race for a first start, initdb included."""
    processes = [ensure_in_process(state_dir) for _ in range(6)]
    outcomes = [(process.communicate(timeout=60), process.returncode) for process in processes]

    assert [code for _, code in outcomes] == [0] * 6, outcomes
    assert {output for (output, _), _ in outcomes} == {ensure(state_dir) + "\n"}
    assert len(servers_over(state_dir)) == 1


def servers_over(state_dir: Path) -> list[psutil.Process]:
    """Return the postmasters: their own children have the same folder."""
    found = []
    for process in psutil.process_iter(["name", "ppid"]):
        with suppress(psutil.NoSuchProcess):
            if process.info["name"] == "postgres" and process.cwd() == str(state_dir / "pg"):
                found.append(process)
    pids = {process.pid for process in found}
    return [process for process in found if process.info["ppid"] not in pids]


def test_a_killed_server_comes_back_with_its_rows(state_dir: Path) -> None:
    """Committed rows survive kill -9, and the stale postmaster.pid is no obstacle."""
    query(embedded.ensure_running(state_dir), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill(postmaster(state_dir))

    assert not embedded.status(state_dir).is_running
    assert query(ensure(state_dir), "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("text", ["{pid}\n/elsewhere\n", "", "garbage"])
def test_a_stale_pid_file_is_no_obstacle(state_dir: Path, text: str) -> None:
    """After a reboot the pid may belong to another program; a crash may cut the file short."""
    ensure(state_dir)
    embedded.stop(state_dir)
    (state_dir / "pg" / "postmaster.pid").write_text(text.format(pid=os.getpid()))

    assert query(ensure(state_dir), "SELECT 1") == 1


def test_a_first_start_that_was_killed_is_begun_anew(state_dir: Path) -> None:
    """Half a data folder is never taken for a whole one."""
    (state_dir / "pg.new" / "base").mkdir(parents=True)
    (state_dir / "pg").mkdir()

    assert query(ensure(state_dir), "SELECT 1") == 1
    assert not (state_dir / "pg.new").exists()


def test_a_state_folder_deleted_under_its_server_is_made_anew(state_dir: Path) -> None:
    """The server of the deleted data ends, so that it cannot disturb the new one."""
    query(ensure(state_dir), "CREATE TABLE gone ()")
    old = postmaster(state_dir)
    shutil.rmtree(state_dir)

    assert query(ensure(state_dir), "SELECT to_regclass('gone')") is None
    assert is_gone(old)


def test_stop_ends_sessions_and_says_whether_it_ran(state_dir: Path) -> None:
    """Stopping what does not run, or never was, is no error."""
    assert not embedded.stop(state_dir)
    engine = build_engine(ensure(state_dir))
    with engine.connect():
        assert embedded.stop(state_dir)
    engine.dispose()

    assert not embedded.stop(state_dir)
    status = embedded.status(state_dir)
    assert (status.has_data, status.is_running, status.pid) == (True, False, None)


def test_a_folder_of_something_else_is_refused(state_dir: Path) -> None:
    """Nothing of the user's is overwritten."""
    (state_dir / "pg").mkdir(parents=True)
    (state_dir / "pg" / "thesis.txt").write_text("years of work")

    with pytest.raises(SetupError, match=r"not a PostgreSQL database.*move it away"):
        ensure(state_dir)
    assert (state_dir / "pg" / "thesis.txt").exists()


def test_data_of_another_release_is_refused(state_dir: Path) -> None:
    """The message names both versions."""
    ensure(state_dir)
    embedded.stop(state_dir)
    (state_dir / "pg" / "PG_VERSION").write_text("16\n")

    with pytest.raises(SetupError, match=r"PostgreSQL 16.*brings 18"):
        ensure(state_dir)


@pytest.mark.parametrize("lost", ["global/pg_control", "postgresql.conf", "pg_wal"])
def test_data_with_missing_files_is_refused(state_dir: Path, lost: str) -> None:
    """It is neither started nor replaced, and the message names the folder."""
    ensure(state_dir)
    embedded.stop(state_dir)
    path = state_dir / "pg" / lost
    path.rename(state_dir / "taken")

    with pytest.raises(SetupError, match=str(state_dir / "pg")):
        ensure(state_dir)
    (state_dir / "taken").rename(path)


def test_a_path_too_long_for_a_socket_works(state_dir: Path) -> None:
    """The socket moves to a private folder with a short path, which goes with the server."""
    deep = state_dir / ("long" * 20) / ("folder's $name " * 5)
    url = ensure(deep)
    socket_dir = Path(str(sa.make_url(url).query["host"]))

    assert query(url, "SELECT 1") == 1
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    assert embedded.stop(deep)
    assert not socket_dir.exists()


def test_a_state_folder_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    with pytest.raises(SetupError, match="BANK_PIPELINE_STATE_DIR"):
        ensure(tmp_path / "state")


@needs_root
def test_as_root_it_runs_as_a_user_of_its_own_and_opens_nothing(state_dir: Path) -> None:
    """Folders above stay closed to everybody but that user, also once they were closed again."""
    closed = state_dir / "closed"
    closed.mkdir(mode=0o700, parents=True)
    ensure(closed / "state")
    embedded.stop(closed / "state")
    closed.chmod(0o700)
    url = ensure(closed / "state")

    process = postmaster(closed / "state")
    assert process.username() == "bank-pipeline"
    assert query(url, "SELECT 1") == 1
    assert not closed.stat().st_mode & stat.S_IRWXO
    assert embedded.stop(closed / "state")
    assert "SetupError" in as_user(NOBODY, lambda: ensure(closed / "state"))


@needs_root
def test_an_ordinary_user_runs_its_own_server_that_others_cannot_reach() -> None:
    """Nobody's server runs as nobody; root finds and uses it; a third user is refused."""
    with folder_of(NOBODY) as folder:
        url = as_user(NOBODY, lambda: ensure(folder / "state"))

        assert postmaster(folder / "state").uids().effective == NOBODY
        assert url == repr(ensure(folder / "state"))
        (folder / "state").chmod(0o755)
        assert "SetupError" in as_user(1, lambda: ensure(folder / "state"))
        assert "PermissionError" in as_user(1, lambda: knock(folder / "state" / "pg"))


@needs_root
def test_root_restarts_a_server_as_the_owner_of_its_data() -> None:
    """One command with sudo does not change who owns the data."""
    with folder_of(NOBODY) as folder:
        as_user(NOBODY, lambda: ensure(folder / "state"))
        embedded.stop(folder / "state")

        ensure(folder / "state")

        assert postmaster(folder / "state").uids().effective == NOBODY


@needs_root
def test_data_of_a_user_without_a_name_runs() -> None:
    """A volume may hold data of an earlier container's user, who is not known here."""
    with folder_of(NOBODY) as folder:
        ensure(folder / "state")
        embedded.stop(folder / "state")
        for path in [*(folder / "state" / "pg").rglob("*"), folder / "state" / "pg"]:
            os.chown(path, 61234, 61234)

        ensure(folder / "state")

        assert postmaster(folder / "state").uids().effective == 61234
    command = ["userdel", pwd.getpwuid(61234).pw_name]  # refused while a process of its ends
    ended = partial(subprocess.run, command, check=False, capture_output=True)
    wait_until(lambda: ended().returncode == 0, seconds=20, what="its user is gone")


@needs_root
def test_data_of_root_is_explained(state_dir: Path) -> None:
    """Such as a backup restored by root."""
    ensure(state_dir)
    embedded.stop(state_dir)
    os.chown(state_dir / "pg", 0, 0)

    with pytest.raises(SetupError, match="chown -R bank-pipeline"):
        ensure(state_dir)


@needs_root
def test_a_folder_that_may_not_be_written_is_explained() -> None:
    with folder_of(0) as folder:
        folder.chmod(0o755)
        outcome = as_user(NOBODY, lambda: ensure(folder / "state"))

    assert "SetupError" in outcome
    assert "BANK_PIPELINE_STATE_DIR" in outcome


@needs_root
def test_a_full_disk_is_explained_and_leaves_nothing_half_made(state_dir: Path) -> None:
    """The folder is as before, so that the same call works once there is space."""
    state_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(state_dir)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("may not mount")
    try:
        with pytest.raises(SetupError, match="disk is full"):
            ensure(state_dir)
        assert not (state_dir / "pg").exists()
    finally:
        subprocess.run(["umount", state_dir], check=True)


@needs_root
def test_letting_a_user_through_gives_nothing_else_to_anybody() -> None:
    """Twice is once, two users are two entries, and a closed folder's group stays outside."""
    with folder_of(0) as above:
        folder = above / "closed"
        folder.mkdir(mode=0o750)
        grant_access(folder / "inside", ServerUser("first", 1, 1))
        folder.chmod(0o700)
        for uid in (NOBODY, NOBODY):
            grant_access(folder / "inside", ServerUser("second", uid, uid))
        above.chmod(0o711)

        entries = os.getxattr(folder, "system.posix_acl_access")
        rights = [
            as_user(uid, lambda: (os.access(folder, os.X_OK), os.access(folder, os.R_OK)))
            for uid in (NOBODY, 1, 2)
        ]
    assert len(entries) == 4 + 8 * 6  # owner, two users, group, mask, others
    assert rights == ["(True, False)", "(False, False)", "(False, False)"]


@contextmanager
def folder_of(uid: int) -> Iterator[Path]:
    """Make a folder that every user can reach: pytest closes its own again at every start."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, uid, uid)
    try:
        yield folder
    finally:
        embedded.stop(folder / "state")
        shutil.rmtree(folder)
