"""Against the sandbox over HTTP: what is stored there is what we read, bank by bank."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import AccessRevokedError, RateLimitedError
from bank_pipeline.providers.answers import WindowRequest
from bank_pipeline.providers.base import LinkedConnection, LinkRequest
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.metering import metered_by
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sync.recording import CallLog
from bank_pipeline_tests.providers.gocardless.builders import QUICK, Archived

BANKS: Final = (
    "SANDBOXFINANCE_SFIN0000",
    "ABNAMRO_ABNANL2A",
    "AMERICAN_EXPRESS_AESUDEF1",
    "CETELEM_CETMPTP1XXX",
    "NATIONWIDE_NAIAGB21",
    "NBG_ETHNGRAAXXX",
    "NORWEGIAN_NO_NORWNOK1",
    "SEB_KORT_AB_SE_SKHSFI21",
)


@dataclass
class Scene:
    """One sandbox, our provider pointed at it, and the links that were made."""

    server: SandboxServer
    provider: GoCardlessProvider
    links: int = 0

    def now(self) -> datetime:
        return datetime.fromisoformat(self.asked("/_sim/clock")["now"]).astimezone(UTC)

    def asked(self, path: str) -> Any:
        with urlopen(f"{self.server.url}{path}") as answer:  # noqa: S310 - our own server
            return json.loads(answer.read(), parse_float=Decimal)

    def pause(self) -> None:
        """Let the company's calls by the minute come back."""
        self.server.advance(timedelta(seconds=61))

    def start(self, bank: str) -> tuple[str, SecretStr]:
        self.links += 1
        request = LinkRequest(
            customer_reference="team-1",
            state=SecretStr(f"state-{self.links}"),
            now=self.now(),
            institution_external_id=bank,
            return_url="http://127.0.0.1:9/back",
        )
        start = self.provider.start_link(request)
        return start.url, start.external_state

    def link(self, bank: str) -> LinkedConnection:
        self.pause()
        url, state = self.start(bank)
        visit(f"{url}?auto=approve")
        progress = self.provider.fetch_link_progress(state)
        return self.provider.complete_link(progress.exchange_tokens[0])

    def truth(self, linked: LinkedConnection) -> Any:
        connections = self.asked("/_sim/gocardless/truth")["connections"]
        return next(one for one in connections if one["external_id"] == linked.external_id)

    def window(self) -> WindowRequest:
        today = self.now().date()
        return WindowRequest(
            DateWindow(first=today - timedelta(days=729), last=today), is_first=True
        )


class _Stays(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Where the customer is sent back to, nobody listens."""


def visit(url: str) -> None:
    try:
        build_opener(_Stays).open(Request(url))  # noqa: S310 - our own server
    except OSError as error:
        assert getattr(error, "code", None) == 302  # noqa: PT017 - a redirect is the success


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("cache")
    with SandboxServer() as server:
        provider = GoCardlessProvider(
            secret_id="sandbox-secret-id",
            secret_key=SecretStr("sandbox-secret-key"),
            base_url=f"{server.url}/gocardless",
            timeout_s=20.0,
            redirect_url=None,
            cache=build_file_cache(folder),
            retry=QUICK,
        )
        yield Scene(server, provider)
        provider.close()


def chosen(balances: tuple[Balance, ...], kind: BalanceKind) -> Decimal | None:
    found = [one for one in balances if one.kind is kind]
    return min(found, key=lambda one: one.preference).amount if found else None


def amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.parametrize("bank", BANKS)
def test_what_is_true_at_a_bank_is_what_we_read(scene: Scene, bank: str) -> None:
    linked = scene.link(bank)
    assert linked.accounts is not None
    assert linked.accounts.is_complete
    truth = scene.truth(linked)["accounts"]
    assert {one.external_id for one in linked.accounts.accounts} == set(truth)
    account = linked.accounts.accounts[0]
    true = truth[account.external_id]
    archived = Archived()
    window = scene.provider.fetch_window(
        linked.credential, account, scene.window(), archive=archived
    )
    assert window.quarantined == ()
    pending = TransactionStatus.PENDING
    shown = sorted(
        (one.status is pending, one.amount, one.booking_date or one.transaction_date)
        for one in window.transactions
    )
    expected = sorted(
        (one["pending"], Decimal(one["amount"]), datetime.fromisoformat(one["day"]).date())
        for one in true["transactions"]
    )
    assert shown == expected
    again = scene.provider.to_window(archived, account, scene.window())
    assert again.transactions == window.transactions
    balances = scene.provider.fetch_balances(linked.credential, account, archive=archived).balances
    assert chosen(balances, BalanceKind.BOOKED) == amount(true["booked"])
    assert chosen(balances, BalanceKind.AVAILABLE) == amount(true["available"])


def test_a_customer_who_declines_has_no_connection(scene: Scene) -> None:
    scene.pause()
    url, state = scene.start("REVOLUT_REVOLT21")
    assert not scene.provider.fetch_link_progress(state).is_finished
    visit(f"{url}?auto=cancel")
    progress = scene.provider.fetch_link_progress(state)
    assert progress.exchange_tokens == ()


def test_four_calls_a_day_are_counted_down_and_the_fifth_says_when(scene: Scene) -> None:
    linked = scene.link("SANDBOXFINANCE_SFIN0000")
    assert linked.accounts is not None
    account = linked.accounts.accounts[0]
    left = []
    for _ in range(4):
        log = CallLog(scene.now)
        with metered_by(log):
            scene.provider.fetch_balances(linked.credential, account, archive=Archived())
        left.append(log.ended[-1][1].calls_left)
    assert left == [3, 2, 1, 0]
    with pytest.raises(RateLimitedError) as caught:
        scene.provider.fetch_balances(linked.credential, account, archive=Archived())
    assert caught.value.retry_after_s is not None
    assert 80_000 < caught.value.retry_after_s <= 86_400


def test_details_are_not_spent_again(scene: Scene) -> None:
    linked = scene.link("SANDBOXFINANCE_SFIN0000")
    assert linked.accounts is not None
    scene.pause()
    again = scene.provider.fetch_accounts(
        linked.credential, archive=Archived(), known=linked.accounts.accounts
    )
    assert again.accounts == linked.accounts.accounts
    assert again.calls_count == 1 + len(again.accounts)


def test_a_connection_that_was_ended_is_gone(scene: Scene) -> None:
    linked = scene.link("SANDBOXFINANCE_SFIN0000")
    scene.provider.disconnect(linked.credential)
    scene.provider.disconnect(linked.credential)
    with pytest.raises(AccessRevokedError):
        scene.provider.fetch_status(linked.credential, archive=Archived())


def test_every_bank_is_listed_with_its_limits(scene: Scene) -> None:
    answer = scene.provider.fetch_institutions()
    assert answer.unreadable == ()
    assert set(BANKS) <= {one.external_id for one in answer.institutions}
    bank = scene.provider.fetch_institution("SANDBOXFINANCE_SFIN0000")
    assert bank.history_days_max == 90
    assert bank.name


def test_keys_and_network_are_well(scene: Scene) -> None:
    scene.provider.check_health()
