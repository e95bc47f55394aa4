"""Where the keys come from that encrypt credentials: the environment, or a file made once."""

import base64
import binascii
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from bank_pipeline.errors import SetupError

KEY_BYTES: Final = 32
FILE_NAME: Final = "encryption.key"
_MAKE_ONE: Final = "`openssl rand -base64 32` makes one"
_FILE_BYTES_MAX: Final = 4096  # some dozens of keys; more is not a key file


def parse_keys(text: str, source: str) -> tuple[bytes, ...]:
    """
    Read keys in base64, separated by commas or lines: the first encrypts, all decrypt.

    `source` names where the text is from, for the message.

    Raises:
        SetupError: not one or more different keys of 32 bytes.
    """
    keys = []
    for part in text.replace(",", "\n").split():
        try:
            key = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            raise SetupError(f"{source} is not base64: it must be 32 bytes, {_MAKE_ONE}") from None
        if len(key) != KEY_BYTES:
            raise SetupError(
                f"{source} must hold {KEY_BYTES} bytes and has {len(key)}: {_MAKE_ONE}"
            )
        keys.append(key)
    if not keys or len(set(keys)) != len(keys):
        raise SetupError(f"{source} is empty or repeats a key: {_MAKE_ONE}")
    return tuple(keys)


def load_key_file(state_dir: Path) -> tuple[bytes, ...]:
    """
    Read the keys in `<state_dir>/encryption.key`, making the file with a new key if there is none.

    Processes that make it at once agree on one: the file appears whole, under its name, once.

    Raises:
        SetupError: the file is readable by others, unreadable for us, or not a key file.
    """
    path = state_dir.expanduser().resolve() / FILE_NAME
    try:
        if not path.exists():
            _create_key_file(path)
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_FILE_BYTES_MAX).decode(errors="replace")
    except OSError as error:
        raise SetupError(
            f"The key file {path} cannot be read or made ({error.strerror}): check who owns it, "
            "or set BANK_PIPELINE_ENCRYPTION_KEY"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise SetupError(
            f"Others may read the key file {path}: `chmod 600 {path}`. If others could, make a "
            "new key, keep the old one below it in the file, and store the credentials again"
        )
    return parse_keys(text, f"The key file {path}")


def _create_key_file(path: Path) -> None:
    """Write a new key aside, safely on disk, then give it its name if nobody was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            Path(path).hardlink_to(aside)
    finally:
        Path(aside).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # before anything is encrypted with it
    finally:
        os.close(folder)
