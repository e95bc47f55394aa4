"""Tell which process is the server of a data folder, and which only looks like it."""

import os
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bank_pipeline.errors import SetupError

PORT: Final = 5432  # only part of the socket's name
_SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)  # answered before any log-in, not logged
_ANSWER_TIMEOUT_S: Final = 5
_END_TIMEOUT_S: Final = 10


@dataclass(frozen=True)
class Postmaster:
    """A server's main process, as it describes itself in `postmaster.pid`."""

    pid: int
    socket_dir: Path
    is_ready: bool


def ready_server(data_dir: Path) -> Postmaster | None:
    """
    Return the server that answers on the folder's socket; takes about a millisecond.

    An answer is asked for, because for a moment the children of a killed server still listen.
    """
    server = _load_postmaster(data_dir)
    if server is None or not server.is_ready:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER_TIMEOUT_S)
        try:
            client.connect(str(server.socket_dir / f".s.PGSQL.{PORT}"))
            client.sendall(_SSL_REQUEST)
            return server if client.recv(1) else None
        except OSError:
            return None


def _load_postmaster(data_dir: Path) -> Postmaster | None:
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 8:  # noqa: PLR2004 -- the last of its lines is the state
        return None
    return Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip() == "ready")


def forget_stale_server(data_dir: Path, socket_dir: Path) -> None:
    """
    Remove the files by which a server that is gone would stop the start of another.

    PostgreSQL clears only what names a pid that no process has. After a reboot another program
    may have it, and in a container without an init the killed server stays as a zombie.
    """
    pid_file = data_dir / "postmaster.pid"
    try:
        if _is_over(psutil.Process(int(pid_file.read_text().split()[0])), data_dir):
            return
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        pass  # cut short by a crash, gone, a zombie, or another user's
    socket_file = socket_dir / f".s.PGSQL.{PORT}"
    for path in (pid_file, socket_file, socket_file.with_name(f"{socket_file.name}.lock")):
        path.unlink(missing_ok=True)


def end_server_of_deleted_data(data_dir: Path) -> None:
    """End a server whose folder was deleted under it: it would remove the new one's socket."""
    for process in psutil.process_iter(["name"]):
        try:
            is_at_path = process.info["name"] == "postgres" and process.cwd() == str(data_dir)
            if is_at_path and not _is_over(process, data_dir):
                process.kill()
                _wait_for_end(process)
        except psutil.Error:
            continue  # ended by itself, or another user's


def _is_over(process: psutil.Process, data_dir: Path) -> bool:
    """Say whether this process is a server of the folder that is there now."""
    if process.name() != "postgres" or process.cwd() != str(data_dir):
        return False
    if not Path("/proc/self/cwd").exists():  # macOS
        return (data_dir / "PG_VERSION").exists()
    try:
        return os.path.samestat(Path(f"/proc/{process.pid}/cwd").stat(), data_dir.stat())
    except FileNotFoundError:
        return False


def _wait_for_end(process: psutil.Process) -> None:
    """Wait until the process is gone, or a zombie: containers may have nobody who reaps."""
    deadline = time.monotonic() + _END_TIMEOUT_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            raise SetupError(f"Process {process.pid}, a PostgreSQL over deleted data: end it")
        time.sleep(0.02)  # noqa: TID251 -- a killed process ends at once
