"""A cache for what providers say slowly and rarely change. It never decides; it only spares."""

import hashlib
import json
import logging
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from dogpile.cache import make_region, register_backend
from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex, CantDeserializeException
from dogpile.cache.backends.file import FileLock
from dogpile.cache.backends.redis import RedisBackend
from dogpile.cache.region import CacheRegion
from dogpile.util import KeyReentrantMutex
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.errors import BankPipelineError, SetupError

INSTITUTION_TTL_S: Final = 24 * 3600
LOCK_S_MAX: Final = 900  # above the slowest creation: the lock of a killed process ends then
WAIT_S_MAX: Final = 30.0  # nobody waits so long for a killed one: then it is made once more
SOCKET_S_MAX: Final = 5.0
LOCK_FILES: Final = 64  # creations of different keys rarely wait for each other

EXPIRES_S: Final = 100 * 24 * 3600  # above the longest time for which a value is good

LASTING: Final = "lasting-"
"""Keys that begin so tell of nobody, nor do their values: they outlive `Cache.empty`."""

_PREFIX: Final = "bank_pipeline:"
_FILE_BACKEND: Final = "bank_pipeline.file"
_REDIS_BACKEND: Final = "bank_pipeline.redis"
_log: Final = logging.getLogger(__name__)


class Seal(Protocol):
    """Encrypts what must not be read out of a cache; the text of one name opens under no other."""

    def close(self, secret: SecretStr, name: str) -> str:
        """Return the secret as text that says nothing."""

    def open(self, text: str, name: str) -> SecretStr:
        """Return the secret; a BankPipelineError when it does not open."""


class Cache:
    """
    Get-or-create with a lock, so that many who miss at once make one call.

    Values are JSON. Shared by processes (files, or Redis by URL). Fails open: a broken
    cache costs a call, never an answer. Connection status and transactions do not belong
    here; secrets are sealed before they are stored.
    """

    def __init__(self, region: CacheRegion, *, seal: Seal | None = None) -> None:
        self._region = region
        self._seal = seal

    def get_or_create(
        self, key: str, create: Callable[[], dict[str, Any]], *, ttl_s: int
    ) -> dict[str, Any]:
        """Return the value under `key`, made by `create` when absent or older than `ttl_s`."""
        failed: list[BankPipelineError] = []

        def create_text() -> str:
            try:
                return json.dumps(create())
            except BankPipelineError as error:
                failed.append(error)
                raise

        try:
            text = self._region.get_or_create(key, create_text, expiration_time=ttl_s)
            value: dict[str, Any] = json.loads(text)
        except Exception as error:
            if failed:
                raise
            _log.warning("cache unusable (%s): going on without it", type(error).__name__)
            return create()
        return value

    def get_or_create_secret(
        self, key: str, create: Callable[[], SecretStr], *, ttl_s: int
    ) -> SecretStr:
        """
        Return the secret under `key`, made by `create` when absent, older or not to be opened.

        Without a seal nothing is stored: every call creates.
        """
        seal = self._seal
        if seal is None:
            return create()
        found = self.get_or_create(key, lambda: {"sealed": seal.close(create(), key)}, ttl_s=ttl_s)
        try:
            return seal.open(str(found.get("sealed")), key)
        except BankPipelineError:  # sealed with a key that is no more
            self.drop(key)
            return create()

    def is_reachable(self) -> bool:
        """Say whether it answers; nothing fails while it does not."""
        try:
            self._region.get("is it there?")
        except Exception:  # noqa: BLE001 - whatever a backend raises, it did not answer
            return False
        return True

    def drop(self, key: str) -> None:
        """Forget a value, so that the next one who asks makes it anew."""
        try:
            self._region.delete(key)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, it only spares
            _log.warning("cache unusable (%s): nothing dropped", type(error).__name__)

    def empty(self) -> bool:
        """
        Forget everything that was ever stored, and say whether that could be done.

        All of it, because nobody can tell which values are about whom; each is made anew when
        it is wanted. What is `LASTING` is about nobody, and stays.
        """
        try:
            self._empty()
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, nothing is forgotten
            _log.warning("cache unusable (%s): not emptied", type(error).__name__)
            return False
        return True

    def prune(self) -> None:
        """Delete what is too old to be good for anything; Redis does so by itself."""
        backend = self._region.actual_backend
        if not isinstance(backend, _FileBackend):
            return
        try:
            backend.prune()
        except OSError as error:
            _log.warning("cache unusable (%s): nothing pruned", type(error).__name__)

    def _empty(self) -> None:
        backend = self._region.actual_backend
        if isinstance(backend, _FileBackend):
            backend.empty()
            return
        lasting = _to_redis_key(LASTING).encode()
        for key in backend.writer_client.scan_iter(match=f"{_PREFIX}*"):
            if not key.startswith(lasting):
                backend.writer_client.delete(key)


def build_cache(settings: Settings, *, seal: Seal | None = None) -> Cache:
    """
    Build the cache that the settings name. Touches no file or network until first use.

    Raises:
        SetupError: it is in Redis, and the client for that is not installed, or its URL has an
            option that makes no sense.
    """
    if settings.redis_url is not None:
        if find_spec("redis") is None:
            raise SetupError(
                "BANK_PIPELINE_REDIS_URL needs more packages: install requirements-hosts.lock, or "
                "`pip install 'bank-pipeline[hosts]'`"
            )
        arguments = {
            "url": settings.redis_url.get_secret_value(),
            "distributed_lock": True,
            "thread_local_lock": False,
            "lock_timeout": LOCK_S_MAX,
            "lock_blocking_timeout": WAIT_S_MAX,
            "socket_timeout": SOCKET_S_MAX,
        }
        # The server may be shared with others, the broker's queues included.
        region = _make_region(key_mangler=_to_redis_key)
        try:
            return Cache(region.configure(_REDIS_BACKEND, arguments=arguments), seal=seal)
        except ValueError as error:  # it names the option
            raise SetupError(f"BANK_PIPELINE_REDIS_URL: {error}") from None
    return build_file_cache(settings.state_dir / "cache", seal=seal)


def build_file_cache(folder: Path, *, seal: Seal | None = None) -> Cache:
    """Build a cache in files of `folder`, shared by the processes of this machine."""
    return Cache(_make_region().configure(_FILE_BACKEND, arguments={"folder": folder}), seal=seal)


def _make_region(**options: Any) -> CacheRegion:  # noqa: ANN401 - the library's
    # Not pickled, as the library would: whoever may write there could have us run their code.
    return make_region(serializer=str.encode, deserializer=_to_text, **options)


def _to_text(stored: bytes) -> str:
    try:
        text = stored.decode()
        json.loads(text)
    except ValueError:
        raise CantDeserializeException from None
    return text


def _to_redis_key(key: str) -> str:
    return f"{_PREFIX}{key}"


class _FileBackend(BytesBackend):
    """
    A cache of one small file per value, with many locks for creating them.

    The library's own keeps all values in one dbm file. Where Python has no other dbm than its
    plainest, every look reads the whole index anew, and there are values of every account.
    A file is written aside and put in place, so that who reads it finds a whole one or none.

    Who creates one value may need another on the way, and a slow creation must not hold up
    everybody else's.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._folder: Path = arguments["folder"]
        with suppress(OSError):  # then it keeps nothing, and `doctor` says so
            self._folder.mkdir(parents=True, exist_ok=True)
        self._mutexes = [
            KeyReentrantMutex.factory(  # type: ignore[no-untyped-call]
                FileLock(f"{self._folder / 'creating'}.{number:02d}.lock")  # type: ignore[no-untyped-call]
            )
            for number in range(LOCK_FILES)
        ]

    def empty(self) -> None:
        """Delete every value that there is, but for those in the folder of the lasting ones."""
        for path in self._folder.glob("??/*"):
            path.unlink(missing_ok=True)

    def prune(self) -> None:
        """Delete every value that was written longer ago than any is good for."""
        oldest = time.time() - EXPIRES_S
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):  # somebody else's prune, or an erasure
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def get_mutex(self, key: str) -> Any:  # noqa: ANN401 - as the library has it
        return self._mutexes[zlib.crc32(key.encode()) % LOCK_FILES](key)

    def get_serialized(self, key: str) -> Any:  # noqa: ANN401 - as the library has it
        try:
            head, _, value = self._path(key).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return NO_VALUE
        return value if head == _head(key) else NO_VALUE

    def get_serialized_multi(self, keys: Iterable[str]) -> list[Any]:
        return [self.get_serialized(key) for key in keys]

    def set_serialized(self, key: str, value: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as aside:
            aside.write(_head(key) + b"\n" + value)
        Path(aside.name).replace(path)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        for key, value in mapping.items():
            self.set_serialized(key, value)

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def delete_multi(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def _path(self, key: str) -> Path:
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self._folder / ("lasting" if key.startswith(LASTING) else name[:2]) / name


def _head(key: str) -> bytes:
    """Return the line that a value's file begins with: what it is of."""
    return json.dumps(key).encode()


class _PatientLock(CacheMutex):
    """
    A lock in Redis that is waited for, but not for ever.

    Whoever held it may have been killed, and then it stays until its own time is over. Who has
    waited long enough goes on without it, and leaves alone what is somebody else's. One object
    serves all threads of a process that want the same key.
    """

    def __init__(self, lock: Any) -> None:  # noqa: ANN401 - as the library has it
        self._lock = lock
        self._held = threading.local()

    def acquire(self, wait: bool = True) -> bool:  # noqa: FBT001, FBT002 - as the library has it
        self._held.is_ours = bool(self._lock.acquire(wait))
        if wait and not self._held.is_ours:
            _log.warning("cache: whoever makes a value takes too long, it is made once more")
        return wait or self._held.is_ours

    def release(self) -> None:
        if self._held.is_ours:
            self._held.is_ours = False
            self._lock.release()

    def locked(self) -> bool:
        return bool(self._lock.locked())


class _RedisBackend(RedisBackend):
    """A cache in Redis: a killed process holds nobody up for long, and nothing stays for ever."""

    def set_serialized(self, key: str, value: bytes) -> None:
        # The library's own uses a command that the client calls deprecated.
        self.writer_client.set(key, value, ex=EXPIRES_S)

    def get_mutex(self, key: str) -> _PatientLock:
        return _PatientLock(super().get_mutex(key))  # type: ignore[no-untyped-call]  # as above


register_backend(  # type: ignore[no-untyped-call]
    _REDIS_BACKEND, __name__, _RedisBackend.__name__
)
register_backend(  # type: ignore[no-untyped-call]
    _FILE_BACKEND, __name__, _FileBackend.__name__
)
