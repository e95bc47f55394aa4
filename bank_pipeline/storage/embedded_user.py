"""
Which OS user the embedded PostgreSQL runs as, and how it reaches its folder.

PostgreSQL refuses to run as root. Where we are root (containers), it runs as the owner of its
data folder, or for a new folder as the system user `bank-pipeline`, which exists for nothing
else. That user is let through our folders by an access control entry for it alone: nobody
else gains access to a folder such as /root.
"""

import errno
import os
import pwd
import shutil
import stat
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bank_pipeline.errors import SetupError

SYSTEM_USER: Final = "bank-pipeline"
_ACL: Final = "system.posix_acl_access"
_ACL_VERSION: Final = struct.pack("<I", 2)
_ACL_ENTRY: Final = struct.Struct("<HHI")  # tag, permissions, user or group id
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID: Final = 0xFFFFFFFF
_TRAVERSE: Final = 1
_ALL: Final = 7
_ELSEWHERE: Final = (
    "run as an ordinary user, set BANK_PIPELINE_STATE_DIR to a folder such as "
    "/var/lib/bank-pipeline, or set BANK_PIPELINE_DATABASE_URL to a PostgreSQL of your own"
)


@dataclass(frozen=True)
class ServerUser:
    """The OS user a server runs as."""

    name: str
    uid: int
    gid: int


def select_server_user(data_dir: Path) -> ServerUser | None:
    """
    Choose the user to run the server of this folder as; None means: as ourselves.

    Raises:
        SetupError: the folder belongs to somebody else, or we are root and cannot have a user.
    """
    owner_id = data_dir.stat().st_uid if data_dir.exists() else None
    if os.geteuid() != 0:
        if owner_id not in (None, os.geteuid()):
            raise SetupError(
                f"The database folder {data_dir} belongs to another user (uid {owner_id}): run "
                "as that user or as root, or set BANK_PIPELINE_STATE_DIR to a folder of your own"
            )
        return None
    if owner_id == 0 and (data_dir / "PG_VERSION").exists():
        raise SetupError(
            f"The database in {data_dir} belongs to root, as whom PostgreSQL does not run: "
            f"`chown -R {_ensure_user().pw_name} {data_dir}`"
        )
    entry = _ensure_user(owner_id or None)
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def grant_access(path: Path, user: ServerUser) -> None:
    """
    Let the user pass through all folders above `path`, and give no other right to anybody.

    Raises:
        SetupError: a folder is closed and its file system knows no access control lists.
    """
    for folder in reversed(path.parents):
        status = folder.stat()
        if status.st_mode & stat.S_IXOTH or status.st_uid == user.uid:
            continue
        try:
            _let_through(folder, user)
        except OSError as error:
            raise SetupError(
                f"The OS user {user.name}, as which PostgreSQL runs because root may not, "
                f"cannot enter {folder} ({error.strerror}): `chmod o+x {folder}`, or {_ELSEWHERE}"
            ) from error


def _ensure_user(uid: int | None = None) -> pwd.struct_passwd:
    """
    Return the user of this id, or our system user, created if need be.

    An id without a name is one from an earlier container, whose data is on a volume.
    """
    found = _find_user(SYSTEM_USER, uid)
    if found is not None:
        return found
    name = SYSTEM_USER if _find_user(SYSTEM_USER, None) is None else f"{SYSTEM_USER}-{uid}"
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise SetupError(
            f"PostgreSQL does not run as root, and there is no `useradd` to create the user "
            f"{name}: {_ELSEWHERE}"
        )
    command = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    command += ["--uid", str(uid), name] if uid is not None else [name]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = _find_user(name, uid)  # created by us, or by another process just before
    if found is None:
        raise SetupError(
            f"PostgreSQL does not run as root, and the user {name} could not be created "
            f"({outcome.stderr.strip()}): {_ELSEWHERE}"
        )
    return found


def _find_user(name: str, uid: int | None) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name) if uid is None else pwd.getpwuid(uid)
    except KeyError:
        return None


def _let_through(folder: Path, user: ServerUser) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "no access control lists")
    entries = {(tag, who): rights for tag, rights, who in _load_entries(folder)}
    mask = entries.get((_MASK, _NO_ID), _ALL)
    if entries.get((_USER, user.uid), 0) & mask & _TRAVERSE:
        return
    for tag, who in entries:
        if tag in (_USER, _GROUP, _NAMED_GROUP):
            entries[tag, who] &= mask  # what a wider mask below must not bring back to life
    entries[_USER, user.uid] = _TRAVERSE
    entries[_MASK, _NO_ID] = _TRAVERSE | (entries[_GROUP, _NO_ID] if mask == _ALL else mask)
    body = b"".join(
        _ACL_ENTRY.pack(tag, rights, who) for (tag, who), rights in sorted(entries.items())
    )
    os.setxattr(folder, _ACL, _ACL_VERSION + body)


def _load_entries(folder: Path) -> list[tuple[int, int, int]]:
    """Read the folder's list, or the one its mode bits amount to, as (tag, rights, id)."""
    assert sys.platform == "linux", "the caller has checked"
    try:
        return list(_ACL_ENTRY.iter_unpack(os.getxattr(folder, _ACL)[len(_ACL_VERSION) :]))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    mode = folder.stat().st_mode
    return [
        (_OWNER, mode >> 6 & 7, _NO_ID),
        (_GROUP, mode >> 3 & 7, _NO_ID),
        (_OTHER, mode & 7, _NO_ID),
    ]
