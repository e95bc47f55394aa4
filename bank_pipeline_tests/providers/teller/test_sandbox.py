"""Teller against its simulator, over HTTP and over TLS: everything is read, and is the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountGoneError,
    ConfigurationError,
    ProductUnsupportedError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.answers import WindowRequest
from bank_pipeline.providers.base import EventKind, LinkedConnection
from bank_pipeline.providers.http import build_http
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.teller import window
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.serve import USUAL_START, SandboxServer
from bank_pipeline.sandbox.world import World
from bank_pipeline_tests.providers.teller.builders import Archived, build_provider
from bank_pipeline_tests.sandbox.plaid.ear import Ear

LATER = Retry(attempts_max=1)


@dataclass
class Sandbox:
    """A served simulator and its switches."""

    server: SandboxServer

    @property
    def url(self) -> str:
        return f"{self.server.url}/teller"

    def switch(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        """Use one of the simulator's own switches."""
        with build_http(read_timeout_s=20) as http:
            url = f"{self.server.url}/_sim/{path}"
            answer = http.request(method, url, json=asked) if asked else http.request(method, url)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    @property
    def today(self) -> date:
        return datetime.fromisoformat(self.switch("GET", "clock")["now"]).date()

    def connect(self, nonce: str, **asked: Any) -> dict[str, str]:
        """Do what the customer does in Teller Connect; return what our page is given."""
        told = self.switch("POST", "teller/connect", nonce=nonce, **asked)
        return {
            "access_token": told["accessToken"],
            "enrollment_id": told["enrollment"]["id"],
            "user_id": told["user"]["id"],
            "institution_name": told["enrollment"]["institution"]["name"],
            "signatures": ",".join(told["signatures"]),
        }

    def truth(self, external_id: str) -> dict[str, Any]:
        return self.switch("GET", f"teller/truth?external_id={external_id}")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    world = World(7, clock=VirtualClock(USUAL_START), logins=4, history_days=200)
    server = SandboxServer(seed=7, world=world)
    server.start()
    yield Sandbox(server)
    server.stop()


@pytest.fixture(scope="module")
def teller(sandbox: Sandbox) -> Iterator[TellerProvider]:
    told = sandbox.switch("GET", "teller/application")
    provider = build_provider(
        sandbox.url,
        retry=LATER,
        teller_application_id=told["application_id"],
        teller_signing_secret=",".join(told["signing_secrets"]),
        teller_token_signing_key=told["token_signing_key"],
    )
    yield provider
    provider.close()


def link(sandbox: Sandbox, teller: TellerProvider, login: str, **asked: Any) -> LinkedConnection:
    returned = sandbox.connect("state-1", login=login, **asked)
    progress = teller.fetch_link_progress(SecretStr("state-1"), returned=returned)
    return teller.complete_link(progress.exchange_tokens[0])


def whole(sandbox: Sandbox) -> WindowRequest:
    today = sandbox.today
    return WindowRequest(DateWindow(first=today - timedelta(days=900), last=today), is_first=True)


def us_logins(sandbox: Sandbox) -> list[str]:
    world = sandbox.server.world
    banks = {bank.id for bank in world.banks.values() if bank.country == "US"}
    return [login.id for login in world.logins.values() if login.bank_id in banks]


def test_everything_that_is_read_is_the_truth(
    sandbox: Sandbox, teller: TellerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "PAGE_ROWS", 60)
    pages_counts, without_balances = set(), 0
    for login in us_logins(sandbox):
        linked = link(sandbox, teller, login)
        truth = sandbox.truth(linked.external_id)
        assert linked.accounts is not None
        assert {one.external_id for one in linked.accounts.accounts} == {
            key for key, one in truth["accounts"].items() if one["listed"]
        }
        for account in linked.accounts.accounts:
            expected = truth["accounts"][account.external_id]
            answer = teller.fetch_window(
                linked.credential, account, whole(sandbox), archive=Archived()
            )
            assert (answer.trouble, answer.quarantined) == (None, ())
            assert answer.covered is not None
            pages_counts.add(answer.pages_count)
            pending = TransactionStatus.PENDING
            found = {
                row.external_id: (
                    row.amount,
                    row.currency,
                    row.status is pending,
                    str(row.booking_date or row.transaction_date),
                    row.description,
                )
                for row in answer.transactions
            }
            assert found == {
                row["external_id"]: (
                    Decimal(row["amount"]).normalize() + 0,
                    row["currency"],
                    row["pending"],
                    row["day"],
                    row["description"],
                )
                for row in expected["transactions"]
            }
            try:
                balances = teller.fetch_balances(linked.credential, account, archive=Archived())
            except ProductUnsupportedError:
                without_balances += 1
                assert [one.amount for one in answer.balances] == [Decimal(expected["booked"])]
                continue
            told = {one.kind: one.amount for one in balances.balances}
            assert told[BalanceKind.BOOKED] == Decimal(expected["booked"])
            assert answer.balances == ()
    assert without_balances
    assert max(pages_counts) > 3


def test_a_broken_login_is_told_and_its_repair_keeps_everything(
    sandbox: Sandbox, teller: TellerProvider
) -> None:
    linked = link(sandbox, teller, us_logins(sandbox)[0])
    path = f"teller/enrollments/{linked.external_id}"
    sandbox.switch("POST", f"{path}/disconnect", suffix="user_action.mfa_required")
    status = teller.fetch_status(linked.credential, archive=Archived())
    assert status.error_code == "enrollment.disconnected.user_action.mfa_required"
    assert type(teller.to_error(status.error_code)) is ReauthRequiredError
    returned = sandbox.connect("state-2", enrollment_id=linked.external_id)
    progress = teller.fetch_link_progress(SecretStr("state-2"), returned=returned)
    again = teller.complete_link(progress.exchange_tokens[0])
    assert again.credential == linked.credential
    assert again.accounts is not None
    assert linked.accounts is not None
    assert again.accounts.accounts == linked.accounts.accounts


def test_a_deleted_enrollment_is_gone_and_may_be_deleted_again(
    sandbox: Sandbox, teller: TellerProvider
) -> None:
    linked = link(sandbox, teller, us_logins(sandbox)[0])
    teller.disconnect(linked.credential)
    teller.disconnect(linked.credential)
    with pytest.raises(AccessRevokedError):
        teller.fetch_accounts(linked.credential, archive=Archived())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("bad_request", ConfigurationError),
        ("unauthorized", ConfigurationError),
        ("forbidden", AccessRevokedError),
        ("enrollment.disconnected.captcha_required", ReauthRequiredError),
        ("account.closed.at_the_bank", AccountGoneError),
        ("unprocessable_entity", ConfigurationError),
        ("too_many_requests", RateLimitedError),
        ("internal_server_error", TransientError),
        ("bad_gateway", TransientError),
        ("not_found", TransientError),  # the list of accounts says that the account is there
    ],
)
def test_each_failure_has_its_class_and_passes(
    sandbox: Sandbox, teller: TellerProvider, code: str, expected: type[Exception]
) -> None:
    linked = link(sandbox, teller, us_logins(sandbox)[0])
    assert linked.accounts is not None
    account, request = linked.accounts.accounts[0], whole(sandbox)
    fault = {"kind": "error", "code": code}
    sandbox.switch("POST", "faults", operation="teller:transactions", fault=fault)
    with pytest.raises(expected) as caught:
        teller.fetch_window(linked.credential, account, request, archive=Archived())
    assert type(caught.value) is expected
    answer = teller.fetch_window(linked.credential, account, request, archive=Archived())
    assert answer.covered == request.window


def test_what_it_sends_is_believed(sandbox: Sandbox, teller: TellerProvider) -> None:
    with Ear("Teller-Signature") as ear:
        sandbox.switch("POST", "teller/webhook_url", url=ear.url)
        sandbox.switch("POST", "teller/webhooks", type="webhook.test", payload={})
        assert ear.wait_for(1)
        sandbox.switch("POST", "teller/webhook_url", url=None)
    heard = ear.heard[-1]
    now = datetime.fromisoformat(sandbox.switch("GET", "clock")["now"])
    headers = {"Teller-Signature": heard.signature or ""}
    event = teller.verify_webhook(headers, heard.body, now=now)
    assert (event.kind, event.code) == (EventKind.IGNORE, "webhook.test")


def test_the_certificate_opens_the_tls_listener(
    sandbox: Sandbox, teller: TellerProvider, tmp_path: Path
) -> None:
    linked = link(sandbox, teller, us_logins(sandbox)[0])
    told = sandbox.switch("GET", "teller/certificate")
    paths = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "ca")}
    for name, path in paths.items():
        path.write_text(told[name])
    files = {"teller_cert_path": paths["certificate"], "teller_key_path": paths["key"]}
    secure = build_provider(
        told["tls_url"],
        retry=LATER,
        teller_environment="production",
        teller_ca_path=paths["ca"],
        **files,
    )
    stranger = build_provider(told["tls_url"], retry=LATER, **files)
    bare = build_provider(told["tls_url"], retry=LATER, teller_ca_path=paths["ca"])
    try:
        secure.check_health()
        assert secure.fetch_accounts(linked.credential, archive=Archived()).is_complete
        with pytest.raises(TransientError):
            stranger.check_health()
        with pytest.raises((TransientError, ConfigurationError)):
            bare.fetch_accounts(linked.credential, archive=Archived())
    finally:
        for provider in (secure, stranger, bare):
            provider.close()
