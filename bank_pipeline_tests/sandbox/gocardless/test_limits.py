"""Claims about limits: what counts, what is told in which headers, what a 429 says."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import Caller, served

ACCOUNT = "http_x_ratelimit_account_success_"
COMPANY = "http_x_ratelimit_"


def level(answer: httpx.Response, prefix: str = ACCOUNT) -> tuple[int, int, int]:
    limit, remaining, reset = (
        int(answer.headers[f"{prefix}{one}"]) for one in ("limit", "remaining", "reset")
    )
    return limit, remaining, reset


@pytest.fixture
def limited() -> Iterator[SandboxServer]:
    with served(quiet=True, daily_limit=4, limit_scale=1.0) as server:
        yield server


def test_four_successes_per_account_and_scope_in_a_rolling_day(limited: SandboxServer) -> None:
    with Caller(limited) as caller:
        linked = caller.link()
        path = f"accounts/{linked.accounts[0]}/balances/"
        remaining = []
        for _ in range(4):
            remaining.append(level(caller.http.get(path)))
            limited.advance(timedelta(hours=1))
        refused = caller.http.get(path)
        elsewhere = [
            caller.http.get(f"accounts/{linked.accounts[0]}/details/").status_code,
            caller.http.get(f"accounts/{linked.accounts[1]}/balances/").status_code,
            caller.http.get(f"accounts/{linked.accounts[0]}/").status_code,
        ]
    limited.advance(timedelta(hours=20))
    with Caller(limited) as caller:
        freed = caller.http.get(path)
        again = caller.http.get(path)

    assert remaining == [(4, 3, 86_400), (4, 2, 82_800), (4, 1, 79_200), (4, 0, 75_600)]
    assert refused.status_code == 429
    assert refused.json() == {
        "summary": "Rate limit exceeded",
        "detail": "The rate limit for this resource is 4/day. Please try again in 72000 seconds",
        "status_code": 429,
    }
    assert level(refused) == (4, 0, 72_000)
    assert "retry-after" not in refused.headers
    assert elsewhere == [200, 200, 200]
    assert (freed.status_code, again.status_code) == (200, 429)


def test_calls_that_fail_cost_nothing(limited: SandboxServer) -> None:
    with Caller(limited) as caller:
        linked = caller.link()
        path = f"accounts/{linked.accounts[0]}/transactions/"
        limited.faults.add(
            "gocardless:transactions", Fault(FaultKind.ERROR, code="service_error"), times=5
        )
        failed = [caller.http.get(path).status_code for _ in range(5)]
        after = level(caller.http.get(path))

    assert failed == [503] * 5
    assert after[1] == 3


def test_an_answer_that_was_lost_was_paid_for(limited: SandboxServer) -> None:
    with Caller(limited) as caller:
        linked = caller.link()
        path = f"accounts/{linked.accounts[0]}/balances/"
        limited.faults.add("gocardless:balances", Fault(FaultKind.LOST_ANSWER))
        with pytest.raises(httpx.HTTPError):
            caller.http.get(path)
        after = level(caller.http.get(path))

    assert after[1] == 2


def test_the_company_has_limits_of_its_own(limited: SandboxServer) -> None:
    with Caller(limited) as caller:
        told = level(caller.http.get("institutions/"), COMPANY)
        answers = [caller.http.get("institutions/XX/") for _ in range(300)]
        limited.advance(timedelta(minutes=1))
        later = caller.http.get("institutions/")

    assert told == (300, 299, 60)
    assert ACCOUNT + "limit" not in answers[0].headers
    assert [one.status_code for one in answers] == [404] * 299 + [429]
    assert answers[-1].json()["detail"] == (
        "The rate limit for this resource is 300/minute. Please try again in 60 seconds"
    )
    assert later.status_code == 200


@pytest.mark.parametrize(
    ("style", "name"),
    [
        ("documented", "http_x_ratelimit_account_success_remaining"),
        ("dashed", "http-x-ratelimit-account-success-remaining"),
        ("bare", "x_ratelimit_account_success_remaining"),
        ("bare_dashed", "x-ratelimit-account-success-remaining"),
        ("none", None),
    ],
)
def test_headers_arrive_as_proxies_leave_them(
    limited: SandboxServer, style: str, name: str | None
) -> None:
    with Caller(limited) as caller:
        linked = caller.link()
        caller.switch("settings", header_style=style)
        answer = caller.http.get(f"accounts/{linked.accounts[0]}/balances/")

    told = [one for one in answer.headers if "ratelimit" in one]
    assert (name in told) if name else (told == [])


def test_limits_can_be_switched_off(caller: Caller) -> None:
    linked = caller.link()
    answers = [caller.http.get(f"accounts/{linked.accounts[0]}/balances/") for _ in range(6)]

    assert {one.status_code for one in answers} == {200}
    assert not [one for one in answers[0].headers if "ratelimit" in one]


def test_a_planned_refusal_can_tell_anything(limited: SandboxServer) -> None:
    with Caller(limited) as caller:
        linked = caller.link()
        path = f"accounts/{linked.accounts[0]}/balances/"
        for fault in (
            Fault(FaultKind.RATE_LIMITED, seconds=77),
            Fault(FaultKind.RATE_LIMITED, headers={f"{ACCOUNT}reset": "-1875538"}),
            Fault(FaultKind.RATE_LIMITED, code="bank_quota", retry_after="9"),
        ):
            limited.faults.add("gocardless:balances", fault)
        daily, negative, bank = (caller.http.get(path) for _ in range(3))
        limited.faults.add("gocardless:institutions", Fault(FaultKind.RATE_LIMITED))
        company = caller.http.get("institutions/")
        untouched = level(caller.http.get(path))

        limited.faults.add("gocardless:*", Fault(FaultKind.RATE_LIMITED, code="company_quota_gc"))
        short = caller.http.get(path)

    assert level(daily) == (4, 0, 77)
    assert ("100/minute" in short.json()["detail"], short.status_code) == (True, 429)
    assert "4/day. Please try again in 77 seconds" in daily.json()["detail"]
    assert level(negative)[2] == -1_875_538
    assert (bank.json()["type"], bank.headers["retry-after"]) == ("RateLimitError", "9")
    assert "100/minute" in company.json()["detail"]
    assert {one.status_code for one in (daily, negative, bank, company)} == {429}
    assert untouched[1] == 3
