"""
Where the keys come from that seal what is stored: the environment, a file, or a command.

The first key of a source seals, all of them open.
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
import secrets
import shlex
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.folders import sync_folder

KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 8
FILE_NAME: Final = "encryption.key"
VARIABLE: Final = "BANK_PIPELINE_ENCRYPTION_KEY"
_MAKE_ONE: Final = "`openssl rand -base64 32` makes one"
_TEXT_BYTES_MAX: Final = 4096  # some dozens of keys; more is not a list of keys
_COMMAND_S_MAX: Final = 20.0  # a secret store that is asked over a network
_ASKED_AGAIN_AFTER_S: Final = 60.0  # a row that nobody can open must not start a command each time
_OURS_ALONE: Final = 0o077
_NOT_THE_WORLDS: Final = 0o007  # what a cluster mounts belongs to root and to our group


class KeySource(Protocol):
    """Where keys are read from, at the start and again when they may have changed."""

    @property
    def name(self) -> str:
        """What it is, for messages; never what it holds."""

    def read(self) -> tuple[bytes, ...]:
        """Return the keys; a SetupError where there are none that can be used."""

    def may_have_changed(self, *, is_needed: bool) -> bool:
        """Say whether reading again may help. `is_needed`: a key is missing."""


class EnvironmentKeys:
    """Keys in a variable: a process has those that it was started with."""

    def __init__(self, text: SecretStr) -> None:
        self._text = text

    @property
    def name(self) -> str:
        """The variable."""
        return VARIABLE

    def read(self) -> tuple[bytes, ...]:
        """Return the keys; a SetupError where they are malformed."""
        return parse_keys(self._text.get_secret_value(), self.name)

    def may_have_changed(self, *, is_needed: bool) -> bool:  # noqa: ARG002 - as others
        """Say no: nobody changes the environment of a process that runs."""
        return False


class FileKeys:
    """
    Keys in a file, which is looked at before each use: whoever changes it is followed at once.

    One in our own state folder is made on first use and is for us alone. One that was named is
    somebody's work: that it is missing is a mistake, and a cluster may mount it for a group.
    """

    def __init__(self, path: Path, *, is_ours: bool) -> None:
        self.path = path
        self._is_ours = is_ours
        self._seen: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """The file, by its path."""
        return f"The key file {self.path}"

    def read(self) -> tuple[bytes, ...]:
        """
        Return the keys.

        Raises:
            SetupError: the file is readable by others, unreadable for us, or not a key file.
        """
        try:
            if self._is_ours and not self.path.exists():
                _create_key_file(self.path)
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                text = file.read(_TEXT_BYTES_MAX).decode(errors="replace")
        except OSError as error:
            raise SetupError(
                f"The key file {self.path} cannot be read{' or made' if self._is_ours else ''} "
                f"({error.strerror}): check who owns it, or set {VARIABLE}"
            ) from error
        self._seen = _signature(status)
        if stat.S_IMODE(status.st_mode) & (_OURS_ALONE if self._is_ours else _NOT_THE_WORLDS):
            raise SetupError(
                f"Others may read the key file {self.path}: `chmod 600 {self.path}`, or mount it "
                "with mode 0440. If others could: `bank-pipeline keys add`, `keys rotate`, and "
                "have the banks' consents renewed"
            )
        return parse_keys(text, self.name)

    def may_have_changed(self, *, is_needed: bool) -> bool:  # noqa: ARG002 - as others
        """Say whether it is another file, or another content, than was read last."""
        try:
            return _signature(self.path.stat()) != self._seen
        except OSError:
            return False

    def put_first(self, key: bytes) -> None:
        """Put a new key before the others: the file changes at once and whole."""
        with _changing(self.path):
            self._write([key, *self.read()])

    def take_out(self, key_id: str) -> bool:
        """Take a key out of the file, unless it is the first; return whether it was there."""
        with _changing(self.path):
            first, *others = self.read()
            kept = [one for one in others if key_id_of(one) != key_id]
            if len(kept) < len(others):
                self._write([first, *kept])
            return len(kept) < len(others)

    def _write(self, keys: Sequence[bytes]) -> None:
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
            aside = _write_aside(self.path, keys)
            try:
                aside.chmod(mode)
                aside.replace(self.path)
            finally:
                aside.unlink(missing_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise SetupError(
                f"The key file {self.path} cannot be changed ({error.strerror}): change it where "
                "it comes from, as for keys in the environment (docs/operations.md, `Keys`)"
            ) from error


class CommandKeys:
    """
    Keys that a command prints, such as one that asks a secret store.

    It is run without a shell. What it says on standard error is nobody's to see: it may quote
    the key.
    """

    def __init__(self, command: SecretStr) -> None:
        self._command = command
        self._asked_at = float("-inf")

    @property
    def name(self) -> str:
        """The variable that names the command."""
        return f"{VARIABLE}_COMMAND"

    def read(self) -> tuple[bytes, ...]:
        """
        Run the command and return the keys it prints.

        Raises:
            SetupError: it cannot be run, fails, takes too long, or prints no keys.
        """
        self._asked_at = time.monotonic()
        try:
            arguments = shlex.split(self._command.get_secret_value())
        except ValueError:
            raise SetupError(f"{self.name} has a quote that is not closed") from None
        return parse_keys(self._run(arguments), f"What {self.name} prints")

    def may_have_changed(self, *, is_needed: bool) -> bool:
        """Say whether a key is missing, and the command was not asked just before."""
        return is_needed and time.monotonic() - self._asked_at >= _ASKED_AGAIN_AFTER_S

    def _run(self, arguments: Sequence[str]) -> str:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own, and no shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, IndexError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is empty"
            raise SetupError(f"{self.name} cannot be run ({why}): is its path right?") from None
        late = threading.Event()

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(_COMMAND_S_MAX, stop)
        timer.start()
        printed = b""
        try:
            assert process.stdout is not None, "it was asked for"
            printed = process.stdout.read(_TEXT_BYTES_MAX + 1)
            process.stdout.close()  # whoever goes on printing is told so
            process.wait()
        finally:
            timer.cancel()
            if process.returncode is None:
                _kill(process)
                process.wait()
        if late.is_set():
            raise SetupError(f"{self.name} did not end within {_COMMAND_S_MAX:.0f} s")
        if len(printed) > _TEXT_BYTES_MAX:
            raise SetupError(f"{self.name} prints more than keys: it must print them alone")
        if process.returncode != 0:
            raise SetupError(
                f"{self.name} failed (exit code {process.returncode}): run it yourself to see "
                "why. What it says is not shown here, because it may quote the key"
            )
        return printed.decode(errors="replace")


def open_source(settings: Settings) -> KeySource:
    """Return where the settings say that the keys are: without a word in the state folder."""
    if settings.encryption_key is not None:
        return EnvironmentKeys(settings.encryption_key)
    if settings.encryption_key_command is not None:
        return CommandKeys(settings.encryption_key_command)
    if settings.encryption_key_file is not None:
        return FileKeys(settings.encryption_key_file.expanduser().resolve(), is_ours=False)
    return FileKeys(settings.state_dir.expanduser().resolve() / FILE_NAME, is_ours=True)


def new_key() -> bytes:
    """Make a key."""
    return secrets.token_bytes(KEY_BYTES)


def key_id_of(key: bytes) -> str:
    """Return what a key is called: derived from it, so that names cannot be mixed up."""
    return derive(key, "id")[:_KEY_ID_BYTES].hex()


def derive(key: bytes, purpose: str) -> bytes:
    """Return another key for one purpose; from it nobody learns the first."""
    return hmac.digest(key, f"bank_pipeline {purpose}".encode(), hashlib.sha256)


def parse_keys(text: str, source: str) -> tuple[bytes, ...]:
    """
    Read keys in base64, separated by commas or lines: the first seals, all open.

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


def _create_key_file(path: Path) -> None:
    """Write a new key aside, safely on disk, then give it its name if nobody was faster."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = _write_aside(path, [new_key()])
    try:
        with suppress(FileExistsError):
            path.hardlink_to(aside)
    finally:
        aside.unlink()
    sync_folder(path.parent)


def _write_aside(path: Path, keys: Sequence[bytes]) -> Path:
    """Write keys to a file that only we may read, safely on disk, beside the one to be."""
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # 0600
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(base64.b64encode(key) + b"\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
    return Path(aside)


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Hold a file's folder against others who change a key file in it, too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
