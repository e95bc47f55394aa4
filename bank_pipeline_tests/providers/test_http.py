"""The HTTP client of our own: no redirects, no long silence, exact numbers, no secrets."""

import subprocess
import sys
from decimal import Decimal

import pytest

from bank_pipeline.errors import SetupError
from bank_pipeline.providers.http import build_http, fetch_json, redact_url
from bank_pipeline_tests.providers.stub import Fault, Reply, Stub, hangs, resets


def test_numbers_are_exact(stub: Stub) -> None:
    stub.plays(Reply(b'{"now": "2026-03-05T12:00:00Z", "n": 0.10000000000000000001}'))
    assert fetch_json(f"{stub.url}/_sim/clock")["n"] == Decimal("0.10000000000000000001")


@pytest.mark.parametrize(
    "reply",
    [
        resets,
        hangs,
        Reply(b"<html>"),
        Reply(b'{"n": NaN}'),
        Reply(b"{}", 500),
        Reply(b"{}", 307, {"Location": "/elsewhere"}),
    ],
)
def test_failures_name_the_address_without_its_secrets(stub: Stub, reply: Reply | Fault) -> None:
    stub.plays(reply)
    with pytest.raises(SetupError) as caught:
        fetch_json(f"{stub.url}/clock?token=hush#hush", read_timeout_s=0.2)
    assert f"{stub.url}/clock" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_endless_answer_is_cut_off(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank_pipeline.providers.http.BODY_BYTES_MAX", 10)
    stub.plays(Reply({"text": "more than ten bytes"}))
    with pytest.raises(SetupError):
        fetch_json(stub.url)


def test_user_password_query_and_fragment_are_redacted() -> None:
    assert (
        redact_url("https://me:pw@bank.example:8443/a/b?t=1#f") == "https://bank.example:8443/a/b"
    )


def test_redirects_are_not_followed() -> None:
    with build_http(read_timeout_s=1) as http:
        assert not http.follow_redirects


def test_neither_the_sdk_nor_httpx_is_loaded_before_the_first_call() -> None:
    program = (
        "import sys; import bank_pipeline.providers.plaid.provider; "
        "import bank_pipeline.providers.http; "
        "sys.exit(any(name.split('.')[0] in ('plaid', 'httpx') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
