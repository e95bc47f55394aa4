"""
A PostgreSQL of our own in `<state_dir>/pg`, started on demand and left running.

Any process may ask for it at any time. What keeps them apart:

* `pg.lock` is held (flock) while a process creates, starts or stops the server.
* `pg.alive` is held by the server itself: it inherits the open file. Held means alive,
  whatever `postmaster.pid` says after a kill, a reboot, or from another container.
* A new data folder is made under another name and renamed when whole, so that a folder `pg`
  always has its database.

Security: no TCP; the socket lies in the data folder (0700, owned by the server's user), so
that only that user and root can connect, and may then do so without a password.
"""

import fcntl
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.embedded_binaries import MAJOR, explain, run_program
from bank_pipeline.storage.embedded_process import (
    PORT,
    Postmaster,
    end_server_of_deleted_data,
    forget_stale_server,
    ready_server,
)
from bank_pipeline.storage.embedded_user import ServerUser, grant_access, select_server_user

DATABASE: Final = "bank_pipeline"
SUPERUSER: Final = "postgres"
_SOCKET_PATH_MAX: Final = 103  # bytes, on macOS; Linux has 107
_START_TIMEOUT_S: Final = 60
_LOG: Final = "server.log"
_LOG_BYTES_MAX: Final = 1_000_000  # then the log is moved aside, once, at the next start
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",  # threads, and one per event stream of Dagster's
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # our queries are short
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # details and contexts quote rows: bank data stays out of logs
    "log_min_error_statement": "panic",  # and so do statements
}
_NOT_DURABLE: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class EmbeddedStatus:
    """What there is of an embedded server: data at all, and a server over it."""

    data_dir: Path
    has_data: bool
    is_running: bool
    pid: int | None
    """None unless running. As seen by the server: another container counts its own."""


def ensure_running(state_dir: Path, *, is_durable: bool = True) -> str:
    """
    Return the URL (postgresql+psycopg) of the running server's database, starting it if need be.

    `is_durable=False` trades crash safety for speed; for tests only, and only when this call
    is what starts the server.

    Raises:
        SetupError: it cannot run; the message says what to do.
    """
    data_dir = _data_dir(state_dir)
    with _usable(data_dir):
        server = ready_server(data_dir)
        if server is None:
            data_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _hold(data_dir.with_suffix(".lock"), _START_TIMEOUT_S * 3):
                server = ready_server(data_dir) or _start(data_dir, is_durable=is_durable)
        return _url(server.socket_dir)


def stop(state_dir: Path) -> bool:
    """
    Stop the server, ending its sessions; return whether one was running.

    Raises:
        SetupError: it does not stop.
    """
    data_dir = _data_dir(state_dir)
    with _usable(data_dir):
        if not data_dir.exists():
            return False
        with _hold(data_dir.with_suffix(".lock"), _START_TIMEOUT_S * 3):
            server = ready_server(data_dir)
            if server is None:
                return False
            _stop_server(data_dir)
            if server.socket_dir != data_dir:
                shutil.rmtree(server.socket_dir, ignore_errors=True)
            return True


def status(state_dir: Path) -> EmbeddedStatus:
    """
    Look at the server without changing anything.

    Raises:
        SetupError: the folder is closed to us.
    """
    data_dir = _data_dir(state_dir)
    with _usable(data_dir):
        server = ready_server(data_dir)
        has_data = (data_dir / "PG_VERSION").exists()
        pid = server.pid if server else None
        return EmbeddedStatus(data_dir, has_data, server is not None, pid)


def keep_running(state_dir: Path) -> None:
    """
    Start the server again where it has ended over its data; where there is none, make none.

    Raises:
        SetupError: it cannot run; the message says what to do.
    """
    if status(state_dir).has_data:
        ensure_running(state_dir)


def _data_dir(state_dir: Path) -> Path:
    return state_dir.expanduser().resolve() / "pg"


def _url(socket_dir: Path) -> str:
    where = {"host": str(socket_dir), "port": str(PORT)}
    url = sa.URL.create("postgresql+psycopg", username=SUPERUSER, database=DATABASE, query=where)
    return url.render_as_string(hide_password=False)


@contextmanager
def _usable(data_dir: Path) -> Iterator[None]:
    """Turn what the operating system refuses into what the operator can do about it."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"The database folder {data_dir} cannot be used ({error.strerror}: "
            f"{error.filename}): check the disk, and who owns the folders on the way, or set "
            "BANK_PIPELINE_STATE_DIR to a folder of your own"
        ) from error


@contextmanager
def _hold(path: Path, timeout_s: float) -> Iterator[int]:
    """Hold the lock file, and give its descriptor; waits for another process that holds it."""
    deadline = time.monotonic() + timeout_s
    while True:
        descriptor = _lock(path)
        if descriptor is not None:
            break
        if time.monotonic() > deadline:
            raise SetupError(
                f"Another process has held {path} for {timeout_s:.0f} s: wait for it, or end it"
            )
        time.sleep(0.02)  # noqa: TID251 -- another process is starting the server
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # not LOCK_UN: a server that inherited the file keeps the lock


def _lock(path: Path) -> int | None:
    """Take the lock of a file that is still in its place, or return None."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _start(data_dir: Path, *, is_durable: bool) -> Postmaster:
    """Start the server over its data, made first if there is none. Needs `pg.lock`."""
    user = select_server_user(data_dir)
    end_server_of_deleted_data(data_dir)
    if not _verify_data(data_dir):
        _create_data(data_dir, user, is_durable=is_durable)
    elif user is not None:
        grant_access(data_dir, user)
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        alive = _lock(data_dir.with_suffix(".alive"))
        if alive is not None:
            try:
                _start_server(data_dir, user, alive, is_durable=is_durable)
            finally:
                os.close(alive)
        server = ready_server(data_dir)
        if server is not None:
            return server
        time.sleep(0.05)  # noqa: TID251 -- a server that is alive gets ready, or ends
    raise SetupError(
        f"A PostgreSQL over {data_dir} is running but does not answer (its process is named in "
        f"{data_dir}/postmaster.pid, its log is {_LOG}): if it recovers from a crash, run the "
        "command again later; if the folder was moved, end that process"
    )


def _verify_data(data_dir: Path) -> bool:
    """Say whether there is data; raise where there is something else or it cannot be used."""
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return False
    try:
        major = (data_dir / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise SetupError(
            f"{data_dir} holds something that is not a PostgreSQL database: move it away, or "
            "set BANK_PIPELINE_STATE_DIR to another folder"
        ) from error
    if major != str(MAJOR):
        raise SetupError(
            f"{data_dir} holds data of PostgreSQL {major}, and this release brings {MAJOR}: dump "
            "it with the release that wrote it and restore it here, or move the folder away"
        )
    if not (data_dir / "global" / "pg_control").exists():
        raise SetupError(
            f"The database in {data_dir} has lost files: restore a backup, or move the folder "
            "away to begin anew"
        )
    return True


def _create_data(data_dir: Path, user: ServerUser | None, *, is_durable: bool) -> None:
    made_in = data_dir.with_suffix(".new")
    shutil.rmtree(made_in, ignore_errors=True)  # left by a process that was killed
    made_in.mkdir(mode=0o700)
    if user is not None:
        os.chown(made_in, user.uid, user.gid)
        grant_access(made_in, user)
    options = ["--username", SUPERUSER, "--auth-local=trust", "--auth-host=reject"]
    # A locale of PostgreSQL's own: an update of the system cannot change how text is ordered.
    options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    options += ["--builtin-locale=C.UTF-8"] + ([] if is_durable else ["--no-sync"])
    made = run_program("initdb", ["-D", ".", *options], user=user, folder=made_in)
    if made.returncode == 0:
        single = ["--single", "-D", ".", *([] if is_durable else ["-F"]), SUPERUSER]
        sql = f"CREATE DATABASE {DATABASE}"
        made = run_program("postgres", single, user=user, folder=made_in, text=sql)
    if made.returncode != 0:
        shutil.rmtree(made_in, ignore_errors=True)
        raise SetupError(
            f"The database could not be created in {data_dir}: {explain(made.stdout + made.stderr)}"
        )
    if data_dir.exists():
        data_dir.rmdir()
    made_in.rename(data_dir)


def _start_server(data_dir: Path, user: ServerUser | None, alive: int, *, is_durable: bool) -> None:
    """Start the server, who inherits the file `alive`, and wait until it answers."""
    socket_dir = _socket_dir(data_dir, user)
    forget_stale_server(data_dir, socket_dir)
    log = data_dir / _LOG
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".old.log"))
    settings = _SETTINGS | {"unix_socket_directories": str(socket_dir)}
    settings |= {} if is_durable else _NOT_DURABLE
    options = shlex.join(
        part for name, value in settings.items() for part in ("-c", f"{name}={value}")
    )
    size_before = log.stat().st_size if log.exists() else 0
    arguments = ["start", "-D", ".", "-l", _LOG, "-w", "-t", str(_START_TIMEOUT_S), "-o", options]
    outcome = run_program("pg_ctl", arguments, user=user, folder=data_dir, inherited=[alive])
    if outcome.returncode != 0:
        said = log.read_bytes()[size_before:].decode(errors="replace") if log.exists() else ""
        raise SetupError(
            f"The embedded PostgreSQL in {data_dir} does not start: "
            f"{explain(said or outcome.stdout + outcome.stderr)} (its log: {log})"
        )


def _stop_server(data_dir: Path) -> None:
    arguments = ["stop", "-D", ".", "-m", "fast", "-w", "-t", str(_START_TIMEOUT_S)]
    user = select_server_user(data_dir)
    outcome = run_program("pg_ctl", arguments, user=user, folder=data_dir)
    if outcome.returncode != 0:
        raise SetupError(
            f"The embedded PostgreSQL in {data_dir} does not stop: {explain(outcome.stderr)}"
        )


def _socket_dir(data_dir: Path, user: ServerUser | None) -> Path:
    """Choose the data folder, or where its path is too long a private one of a short name."""
    if len(os.fsencode(data_dir / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_MAX:
        return data_dir
    name = sha256(os.fsencode(data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"bank-pipeline-{name}"
    owner_id = user.uid if user else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
            grant_access(folder, user)
    except FileExistsError:
        pass
    found = folder.lstat()
    if found.st_uid != owner_id or found.st_mode & 0o777 != 0o700 or folder.is_symlink():  # noqa: PLR2004
        raise SetupError(
            f"{folder}, for the database's socket, is not a private folder of ours: remove it, or "
            "set BANK_PIPELINE_STATE_DIR to a folder with a shorter path"
        )
    return folder
