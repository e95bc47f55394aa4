"""A disk of its own for the archive of answers: small, and full when we want it."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.embedded_user import grant_access, select_server_user

SIZE: Final = "96m"
_BLOCK: Final = b"\0" * 65_536
_PLACE: Final = "CREATE TABLESPACE chaos_archive LOCATION '{folder}'"
_MOVE: Final = "ALTER TABLE bank.raw_payloads SET TABLESPACE chaos_archive"


class SmallDisk:
    """A file system of bounded size, with a file on it that takes what is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold_archive(self, engine: sa.Engine) -> None:
        """Have the database keep the providers' answers here from now on."""
        place = self._folder / "archive"
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql(_PLACE.format(folder=place))
            db.exec_driver_sql(_MOVE)

    def fill(self) -> None:
        """Take all that is free."""
        try:
            with (self._folder / "ballast").open("ab", buffering=0) as ballast:
                while True:
                    ballast.write(_BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self) -> None:
        """Give it back."""
        (self._folder / "ballast").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, data_dir: Path) -> Iterator[SmallDisk | None]:
    """
    Mount a small file system that the server of `data_dir` may write to.

    None where this user may not mount.
    """
    folder.mkdir(mode=0o755)
    if not _mount(folder):
        yield None
        return
    try:
        user = select_server_user(data_dir)
        place = folder / "archive"
        place.mkdir(mode=0o700)
        if user is not None:
            os.chown(place, user.uid, user.gid)
            grant_access(place, user)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _mount(folder: Path) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    options = f"size={SIZE},mode=0755"
    command = ["mount", "-t", "tmpfs", "-o", options, "bank-chaos", str(folder)]
    with suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False
