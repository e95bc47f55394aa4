"""The cache spares calls, tells no secrets, and holds nobody up."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from pydantic import SecretStr

from bank_pipeline.errors import SetupError
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.gocardless.tokens import TokenKeeper
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.seals import VaultSeal

WAIT_S = 10.0
VALUES = 400
TIMES_ALONE_MAX = 10
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


def test_a_value_is_found_as_fast_among_many_as_alone(tmp_path: Path) -> None:
    """Every account has a value: a look must not cost more the more accounts there are."""

    def made() -> dict[str, Any]:
        return {"institution": "A_BANK", "agreement": "x" * 36}

    def looks_s(cache: Cache) -> float:
        cache.get_or_create("account-0", made, ttl_s=60)
        begun = process_time()
        for _ in range(50):
            assert cache.get_or_create("account-0", made, ttl_s=60) == made()
        return process_time() - begun

    alone, among = build_file_cache(tmp_path / "alone"), build_file_cache(tmp_path / "among")
    for number in range(VALUES):
        among.get_or_create(f"account-{number}", made, ttl_s=60)
    assert looks_s(among) < TIMES_ALONE_MAX * looks_s(alone)
