"""The cache spares calls, tells no secrets, and holds nobody up."""

import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from bank_pipeline.config import Settings
from bank_pipeline.errors import SetupError
from bank_pipeline.providers import cache as module
from bank_pipeline.providers.cache import EXPIRES_S, LASTING, Cache, build_cache, build_file_cache
from bank_pipeline.providers.gocardless.tokens import TokenKeeper
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline_tests.e2e.centre import redis

WAIT_S = 10.0
CANARY = "canary-token-of-the-company"


@pytest.fixture
def cache(tmp_path: Path, vault: Vault) -> Cache:
    return build_file_cache(tmp_path, seal=VaultSeal(vault))


def test_many_who_miss_at_once_make_one_call(cache: Cache) -> None:
    made: list[int] = []
    entered = threading.Barrier(8)

    def make() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    def ask() -> dict[str, int]:
        entered.wait(WAIT_S)
        return cache.get_or_create("one", make, ttl_s=60)

    with ThreadPoolExecutor(8) as pool:
        found = [one.result(WAIT_S) for one in [pool.submit(ask) for _ in range(8)]]
    assert (found, made) == ([{"n": 1}] * 8, [1])


def test_a_slow_creation_holds_up_nobody_elses(cache: Cache) -> None:
    begun, other_done = threading.Event(), threading.Event()

    def slow() -> dict[str, bool]:
        begun.set()
        return {"was_alone": not other_done.wait(WAIT_S)}

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get_or_create, "slow", slow, ttl_s=60)
        assert begun.wait(WAIT_S)
        assert cache.get_or_create("other", lambda: {"n": 1}, ttl_s=60) == {"n": 1}
        other_done.set()
        assert first.result(WAIT_S) == {"was_alone": False}


def test_a_creation_may_need_the_token_that_others_wait_for(cache: Cache) -> None:
    """As on the first start: one thread reads a bank and needs a token, another wants one, too."""
    keeper = TokenKeeper(cache, lambda: SecretStr(CANARY), name="company")
    creating, waiting = threading.Event(), threading.Event()

    def read_bank() -> dict[str, str]:
        creating.set()
        waiting.wait(WAIT_S)
        return {"with": keeper.current().get_secret_value()}

    def want_token() -> SecretStr:
        creating.wait(WAIT_S)
        waiting.set()
        return keeper.current()

    with ThreadPoolExecutor(2) as pool:
        bank = pool.submit(cache.get_or_create, "bank", read_bank, ttl_s=60)
        token = pool.submit(want_token)
        assert token.result(WAIT_S).get_secret_value() == CANARY
        assert bank.result(WAIT_S) == {"with": CANARY}


def test_a_secret_lies_sealed_in_the_file_and_opens_for_all(
    tmp_path: Path, vault: Vault, cache: Cache
) -> None:
    assert cache.get_or_create_secret("token", lambda: SecretStr(CANARY), ttl_s=60)
    again = build_file_cache(tmp_path, seal=VaultSeal(vault))
    found = again.get_or_create_secret("token", lambda: SecretStr("made anew"), ttl_s=60)

    assert found.get_secret_value() == CANARY
    contents = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    assert b"token" in contents
    assert CANARY.encode() not in contents


def test_a_secret_of_another_key_is_made_anew(tmp_path: Path, cache: Cache) -> None:
    cache.get_or_create_secret("token", lambda: SecretStr(CANARY), ttl_s=60)
    stranger = build_file_cache(tmp_path, seal=VaultSeal(Vault([bytes(32)])))
    found = stranger.get_or_create_secret("token", lambda: SecretStr("anew"), ttl_s=60)
    assert found.get_secret_value() == "anew"


def test_without_a_seal_no_secret_is_stored(tmp_path: Path) -> None:
    cache = build_file_cache(tmp_path)
    for _ in range(2):
        assert cache.get_or_create_secret("token", lambda: SecretStr(CANARY), ttl_s=60)
    assert CANARY.encode() not in b"".join(
        one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()
    )


def test_what_was_dropped_is_made_anew_and_a_failure_is_not_kept(cache: Cache) -> None:
    def fail() -> dict[str, int]:
        raise SetupError("not now")

    with pytest.raises(SetupError):
        cache.get_or_create("n", fail, ttl_s=60)
    assert cache.get_or_create("n", lambda: {"n": 1}, ttl_s=60) == {"n": 1}
    assert cache.get_or_create("n", fail, ttl_s=60) == {"n": 1}
    cache.drop("n")
    assert cache.get_or_create("n", lambda: {"n": 2}, ttl_s=60) == {"n": 2}


def test_what_was_emptied_is_nowhere_in_the_files(cache: Cache, tmp_path: Path) -> None:
    cache.get_or_create("about somebody", lambda: {"iban": CANARY}, ttl_s=60)
    assert CANARY.encode() in _content(tmp_path)

    assert cache.empty()

    assert CANARY.encode() not in _content(tmp_path)
    assert b"about somebody" not in _content(tmp_path)
    assert cache.get_or_create("about somebody", lambda: {"n": 1}, ttl_s=60) == {"n": 1}


def test_what_tells_of_nobody_outlives_the_emptying(cache: Cache) -> None:
    cache.get_or_create(f"{LASTING}count", lambda: {"n": 1}, ttl_s=60)

    assert cache.empty()

    assert cache.get_or_create(f"{LASTING}count", lambda: {"n": 2}, ttl_s=60) == {"n": 1}
    cache.drop(f"{LASTING}count")
    assert cache.get_or_create(f"{LASTING}count", lambda: {"n": 2}, ttl_s=60) == {"n": 2}


def test_files_too_old_to_be_good_are_pruned_and_no_others(cache: Cache, tmp_path: Path) -> None:
    for key in ("old", f"{LASTING}old", "young", f"{LASTING}young"):
        cache.get_or_create(key, lambda: {"n": 1}, ttl_s=60)
    for path in tmp_path.glob("*/*"):
        if b"old" in path.read_bytes():
            os.utime(path, (time.time() - EXPIRES_S - 60,) * 2)

    cache.prune()

    left = _content(tmp_path)
    assert b"young" in left
    assert f"{LASTING}young".encode() in left
    assert b"old" not in left


def test_without_a_folder_it_only_costs_calls(tmp_path: Path) -> None:
    """As on a disk that is read-only: nothing fails for a cache."""
    (tmp_path / "file").touch()
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    cache = build_file_cache(tmp_path / "file" / "cache")

    assert [cache.get_or_create("one", make, ttl_s=60) for _ in range(2)] == [{"n": 1}, {"n": 2}]
    cache.drop("one")
    cache.prune()


def test_a_cache_that_cannot_be_reached_is_not_called_empty() -> None:
    url = SecretStr("redis://127.0.0.1:1/0")
    assert not build_cache(Settings(_env_file=None, redis_url=url)).empty()


def test_an_option_of_a_shared_caches_url_that_makes_no_sense_is_refused_in_words() -> None:
    url = SecretStr("redis://:canary@127.0.0.1:1/?db=first")
    with pytest.raises(SetupError, match=r"BANK_PIPELINE_REDIS_URL: .*'db'") as refused:
        build_cache(Settings(_env_file=None, redis_url=url))
    assert "canary" not in str(refused.value)


def test_without_its_client_a_shared_cache_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client comes with the extra packages for several hosts."""
    monkeypatch.setitem(sys.modules, "redis", None)
    url = SecretStr("redis://:canary@127.0.0.1:1/0")
    with pytest.raises(SetupError, match="BANK_PIPELINE_REDIS_URL needs more packages") as told:
        build_cache(Settings(_env_file=None, redis_url=url))
    assert "canary" not in str(told.value)


def test_a_shared_server_loses_our_values_alone(redis_port: int) -> None:
    """The broker's queues may be on the same one."""
    url = SecretStr(f"redis://127.0.0.1:{redis_port}/0")
    cache = build_cache(Settings(_env_file=None, redis_url=url))
    cache.get_or_create("about somebody", lambda: {"iban": CANARY}, ttl_s=60)
    with Redis("127.0.0.1", redis_port) as client:
        client.set("queue", "of others")
        [ours] = client.keys("bank_pipeline:*")
        assert client.ttl(ours) > 0

        lasting = f"bank_pipeline:{LASTING}count"
        cache.get_or_create(f"{LASTING}count", lambda: {"n": 1}, ttl_s=60)

        assert cache.empty()

        assert {*client.keys("*")} == {b"queue", lasting.encode()}


def _content(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in folder.rglob("*") if one.is_file())


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with redis(tmp_path) as port:
        yield port


def test_whoever_was_killed_while_making_a_value_holds_nobody_up(
    redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A dead process's lock lies in Redis for a quarter of an hour; nobody waits for it so long.

    It is waited for only a little, and left alone: it may be somebody's who is slow.
    """
    monkeypatch.setattr(module, "WAIT_S_MAX", 0.3)
    url = SecretStr(f"redis://127.0.0.1:{redis_port}/0")
    cache = build_cache(Settings(_env_file=None, redis_url=url))
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    with Redis("127.0.0.1", redis_port) as client:
        client.set("_lockbank_pipeline:one", "of a process that was killed")
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(cache.get_or_create, "one", make, ttl_s=60) for _ in range(2)]
            found = [one.result(WAIT_S) for one in asked]

        assert len(made) <= 2
        assert cache.get_or_create("one", make, ttl_s=60) in found
        assert len(made) <= 2
        assert client.get("_lockbank_pipeline:one") == b"of a process that was killed"

        cache.get_or_create("two", make, ttl_s=60)

        assert client.get("_lockbank_pipeline:two") is None


def test_what_somebody_else_put_into_the_cache_is_not_run(redis_port: int) -> None:
    """Nor is it believed, unless it is JSON: what does not fit is made anew."""
    cache = build_cache(
        Settings(_env_file=None, redis_url=SecretStr(f"redis://127.0.0.1:{redis_port}/0"))
    )
    cache.get_or_create("one", lambda: {"n": 1}, ttl_s=60)
    with Redis("127.0.0.1", redis_port) as client:
        stored = client.get("bank_pipeline:one")
        assert isinstance(stored, bytes)
        assert b'{"n": 1}' in stored
        client.set("bank_pipeline:one", stored.replace(b'{"n": 1}', pickle.dumps(Planted())))
        assert cache.get_or_create("one", lambda: {"n": 2}, ttl_s=60) == {"n": 2}
    assert Planted.ran == 0


class Planted:
    """Tells when it is unpickled."""

    ran = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _plant, ()


def _plant() -> str:
    Planted.ran += 1
    return "{}"
