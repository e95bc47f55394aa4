"""One token for all, renewed once; one retry at most; nothing secret is kept or told."""

import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from bank_pipeline.errors import (
    BankPipelineError,
    ConfigurationError,
    PayloadError,
    RateLimitedError,
    SecretError,
    TransientError,
)
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.gocardless.tokens import TokenKeeper
from bank_pipeline_tests.providers.gocardless.builders import (
    REQUISITION,
    SECRET,
    TOKEN_REPLY,
    Archived,
    account,
    agreement,
    build_provider,
    refusal,
    requisition,
)
from bank_pipeline_tests.providers.stub import Reply, Stub, resets, truncates

PAGE = Reply({"count": 0, "next": None, "results": []})
INVALID = refusal("Invalid token", 401, detail="Token is invalid or expired")


class Seal:
    """Reverses, so that what is stored can be told from what was sealed."""

    def close(self, secret: SecretStr, name: str) -> str:
        return f"{name}|{secret.get_secret_value()[::-1]}"

    def open(self, text: str, name: str) -> SecretStr:
        named, _, rest = text.partition("|")
        if named != name:
            raise SecretError("another name")
        return SecretStr(rest[::-1])


def sealed_cache(folder: Path) -> Cache:
    return build_file_cache(folder, seal=Seal())


def paths(stub: Stub) -> list[str]:
    return [request.path for request in stub.received]


def test_a_token_is_asked_for_once_with_our_keys(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, PAGE)
    gocardless.check_health()
    gocardless.check_health()
    assert paths(stub) == ["/api/v2/token/new/", *2 * ["/api/v2/requisitions/?limit=1"]]
    assert stub.received[0].body == {"secret_id": "secret-id-1", "secret_key": SECRET}
    assert "authorization" not in stub.received[0].headers
    assert stub.received[1].headers["authorization"] == "Bearer token-1"


def test_processes_share_a_token_through_a_sealed_cache(stub: Stub, tmp_path: Path) -> None:
    stub.plays(TOKEN_REPLY, PAGE)
    for _ in range(2):
        provider = build_provider(stub.url, sealed_cache(tmp_path))
        provider.check_health()
        provider.close()
    assert paths(stub).count("/api/v2/token/new/") == 1
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"token-1" not in kept.replace(b"gocardless-token-", b"")  # the name of the entry


def test_threads_that_miss_at_once_ask_once(stub: Stub, gocardless: GoCardlessProvider) -> None:
    stub.plays(TOKEN_REPLY, PAGE)
    threads = [threading.Thread(target=gocardless.check_health) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths(stub).count("/api/v2/token/new/") == 1
    assert len(stub.received) == 5


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_token_that_is_refused_is_renewed_once(
    stub: Stub, tmp_path: Path, is_sealed: bool
) -> None:
    cache = sealed_cache(tmp_path) if is_sealed else build_file_cache(tmp_path)
    provider = build_provider(stub.url, cache)
    stub.plays(TOKEN_REPLY, PAGE, INVALID, Reply({"access": "token-2"}), PAGE)
    provider.check_health()
    provider.check_health()
    provider.check_health()
    tokens = [request.headers.get("authorization") for request in stub.received]
    assert tokens == [None, *2 * ["Bearer token-1"], None, *2 * ["Bearer token-2"]]
    provider.close()


def test_a_token_that_was_refused_is_not_taken_up_again(tmp_path: Path) -> None:
    """Another thread had read it from the cache just before."""
    made = iter(["token-1", "token-2"])
    keeper = TokenKeeper(build_file_cache(tmp_path), lambda: SecretStr(next(made)), name="x")
    refused = keeper.current()
    renewed = keeper.renewed(refused)
    keeper._remember(refused)  # noqa: SLF001 - as that thread does next
    assert (renewed, keeper.current()) == (SecretStr("token-2"), SecretStr("token-2"))


def test_a_token_that_another_process_renewed_is_taken_from_the_cache(
    stub: Stub, tmp_path: Path
) -> None:
    stub.plays(TOKEN_REPLY, PAGE, PAGE, INVALID, Reply({"access": "token-2"}), PAGE, INVALID, PAGE)
    one, other = (build_provider(stub.url, sealed_cache(tmp_path)) for _ in range(2))
    one.check_health()
    other.check_health()
    one.check_health()  # renews
    other.check_health()  # is refused with the old one
    assert paths(stub).count("/api/v2/token/new/") == 2
    assert stub.received[-1].headers["authorization"] == "Bearer token-2"
    one.close()
    other.close()


def test_a_token_that_is_refused_for_ever_is_our_own_trouble(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, INVALID, Reply({"access": "token-2"}), INVALID)
    with pytest.raises(ConfigurationError, match="INVALID_TOKEN"):
        gocardless.check_health()
    assert len(stub.received) == 4


@pytest.mark.parametrize(
    ("summary", "status", "code"),
    [
        ("Authentication failed", 401, "AUTHENTICATION_FAILED"),
        ("IP address access denied", 403, "IP_DENIED"),
    ],
)
def test_keys_that_are_refused_are_our_own_trouble(
    stub: Stub, gocardless: GoCardlessProvider, summary: str, status: int, code: str
) -> None:
    stub.plays(refusal(summary, status))
    with pytest.raises(ConfigurationError, match=code):
        gocardless.check_health()
    assert len(stub.received) == 1


def test_a_token_that_is_none_is_an_error(stub: Stub, gocardless: GoCardlessProvider) -> None:
    stub.plays(Reply({"access": None}))
    with pytest.raises(PayloadError, match="NO_TOKEN"):
        gocardless.check_health()


@pytest.mark.parametrize(
    "failure", [resets, truncates, Reply(b"<html>Bad Gateway</html>", 502), Reply(b"<html>", 200)]
)
def test_what_may_pass_is_tried_once_more_and_no_more(
    stub: Stub, gocardless: GoCardlessProvider, failure: Reply
) -> None:
    stub.plays(TOKEN_REPLY, failure, PAGE)
    gocardless.check_health()
    stub.received.clear()
    stub.plays(failure)
    with pytest.raises(TransientError):
        gocardless.check_health()
    assert len(stub.received) == 2


@pytest.mark.parametrize(
    "failure",
    [
        refusal("Couldn't update", 500, type="UnknownRequestError"),
        refusal("Couldn't update", 503, type="ServiceError"),
        refusal("Rate limit exceeded", 429, detail="Please try again in 42 seconds"),
        refusal("Account is being processed", 409),
    ],
)
def test_what_counts_against_an_account_is_not_tried_again(
    stub: Stub, gocardless: GoCardlessProvider, failure: Reply
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), failure)
    with pytest.raises(TransientError):
        gocardless.fetch_balances(REQUISITION, account(), archive=Archived())
    assert paths(stub)[-1] == "/api/v2/accounts/account-1/balances/"
    assert len(stub.received) == 3


def test_a_wait_is_told_and_not_waited_for(stub: Stub, gocardless: GoCardlessProvider) -> None:
    detail = "The rate limit for this resource is 4/day. Please try again in 85092 seconds"
    stub.plays(
        TOKEN_REPLY, Reply(requisition()), refusal("Rate limit exceeded", 429, detail=detail)
    )
    with pytest.raises(RateLimitedError) as caught:
        gocardless.fetch_balances(REQUISITION, account(), archive=Archived())
    assert caught.value.retry_after_s == 85_092


def test_a_base_url_may_end_as_in_the_official_client(stub: Stub, tmp_path: Path) -> None:
    provider = build_provider(f"{stub.url}/api/v2/", tmp_path)
    stub.plays(TOKEN_REPLY, PAGE)
    provider.check_health()
    assert paths(stub)[0] == "/api/v2/token/new/"
    provider.close()


def test_nothing_secret_is_in_an_error_or_in_the_archive(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), refusal("x", 418))
    gocardless.fetch_status(REQUISITION, archive=archived)
    with pytest.raises(BankPipelineError) as caught:
        gocardless.fetch_status(REQUISITION, archive=archived)
    secrets = (SECRET, "token-1", REQUISITION.get_secret_value())
    told = [str(caught.value), repr(caught.value), *(str(one.body) for one in archived)]
    assert archived
    assert not any(secret in text for secret in secrets for text in told)


def test_an_id_cannot_leave_its_place_in_the_path(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply({"balances": []}))
    odd = account(external_id="../requisitions/?x=")
    gocardless.fetch_balances(REQUISITION, odd, archive=Archived())
    assert paths(stub)[-1] == "/api/v2/accounts/..%2Frequisitions%2F%3Fx%3D/balances/"
