"""The whole way against the sandbox: link, accounts, balances and rows equal to the truth."""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import WindowTooWideError
from bank_pipeline.providers.answers import WindowAnswer, WindowRequest
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.enable_banking.provider import (
    EnableBankingProvider,
    build_enable_banking,
)
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.providers.enable_banking.builders import (
    QUICK,
    Archived,
    link_request,
)

MONEY = (TransactionStatus.BOOKED, TransactionStatus.PENDING)


class _StaysPut(HTTPRedirectHandler):
    """Shows a redirect instead of following it: it leads to a page of nobody's."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Ground:
    """A sandbox with a provider on it."""

    server: SandboxServer
    bank: EnableBankingProvider

    def get(self, path: str, **query: str) -> Any:
        with build_opener().open(f"{self.server.url}{path}?{urlencode(query)}") as answer:
            return json.load(answer)

    def link(self, institution: str) -> LinkedConnection:
        """Link as the first customer whom the consent page offers."""
        start = self.bank.start_link(link_request(institution, now=self.server.clock.now()))
        with build_opener().open(start.url) as answer:
            form = re.search(r"<form.*?</form>", answer.read().decode(), re.DOTALL)
        assert form is not None
        filled = re.findall(r'name="(\w+)" value="([^"]*)"', form[0])
        request = Request(start.url, urlencode(filled).encode())  # noqa: S310 - our own server
        with pytest.raises(HTTPError) as redirected:
            build_opener(_StaysPut).open(request)
        returned = dict(parse_qsl(urlsplit(redirected.value.headers["Location"]).query))
        redirected.value.close()
        progress = self.bank.fetch_link_progress(start.external_state, returned=returned)
        return self.bank.complete_link(progress.exchange_tokens[0])

    def window(self, credential: SecretStr, account: Account, days: int = 730) -> WindowAnswer:
        today = self.server.clock.now().date()
        window = DateWindow(first=today - timedelta(days=days), last=today)
        request = WindowRequest(window, is_first=True)
        archived = Archived()
        answer = self.bank.fetch_window(credential, account, request, archive=archived)
        again = self.bank.to_window(archived, account, request)
        assert again.transactions == answer.transactions
        return answer

    def truth(self, linked: LinkedConnection) -> Any:
        return self.get("/_sim/enable_banking/truth", external_id=linked.external_id)["accounts"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with SandboxServer() as server:
        ground = Ground(server, None)  # type: ignore[arg-type]  # it is built of what this serves
        application = ground.get("/_sim/enable_banking/application")
        settings = Settings(
            _env_file=None,
            enable_banking_application_id=application["application_id"],
            enable_banking_key_base64=SecretStr(
                base64.b64encode(application["private_key_pem"].encode()).decode()
            ),
            enable_banking_redirect_url=application["redirect_urls"][0],
            enable_banking_base_url=f"{server.url}/enable_banking",
        )
        cache = build_file_cache(tmp_path_factory.mktemp("cache"))
        ground.bank = build_enable_banking(settings, cache, retry=QUICK)
        yield ground
        ground.bank.close()


def shown(rows: tuple[Transaction, ...]) -> Counter[Any]:
    return Counter(
        (
            row.amount,
            row.status is TransactionStatus.PENDING,
            str(row.booking_date or row.transaction_date),
        )
        for row in rows
        if row.status in MONEY
    )


def meant(rows: list[dict[str, Any]]) -> Counter[Any]:
    return Counter((Decimal(row["amount"]), row["pending"], row["day"]) for row in rows)


def best(balances: tuple[Balance, ...], kind: BalanceKind) -> Decimal | None:
    ranked = sorted((one for one in balances if one.kind is kind), key=lambda one: one.preference)
    return ranked[0].amount if ranked else None


def amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def test_the_sandbox_is_in_good_health(ground: Ground) -> None:
    ground.bank.check_health()
    assert len(ground.bank.fetch_institutions().institutions) > 40


@pytest.mark.parametrize(
    "institution",
    [
        "GB:Wise",  # a stale longest history, cards for names, one IBAN for many currencies
        "AT:Minusbank",  # a minus besides the indicator
        "DE:Namenlose Bank",  # no references at all
        "DE:Doppelbank",  # scheduled, cancelled and refused rows
        "SE:Nullbanken",  # null wherever null may be
        "NL:ABN AMRO",  # keys and values
        "FR:Boursorama",  # currency unknown, a card with nothing but 0
    ],
)
def test_what_is_read_of_a_bank_is_what_it_holds(ground: Ground, institution: str) -> None:
    linked = ground.link(institution)
    assert linked.accounts is not None
    truth = ground.truth(linked)
    archived = Archived()
    told = ground.bank.fetch_accounts(
        linked.credential, archive=archived, known=linked.accounts.accounts
    )
    assert (told.accounts, told.is_complete) == (linked.accounts.accounts, True)
    assert {one.external_id for one in told.accounts} >= {*truth} - {*told.troubles}
    assert not told.quarantined

    for account in told.accounts[1:]:  # the first one only has more of the same
        if account.external_id in told.troubles:
            continue
        held = truth[account.external_id]
        balances = ground.bank.fetch_balances(linked.credential, account, archive=archived)
        assert best(balances.balances, BalanceKind.BOOKED) == amount(held["booked"])
        assert best(balances.balances, BalanceKind.AVAILABLE) == amount(held["available"])
        answer = ground.window(linked.credential, account)
        assert answer.covered is not None
        assert not answer.quarantined
        assert shown(answer.transactions) == meant(held["transactions"])
        names = {row.external_id for row in answer.transactions if row.status in MONEY}
        fit = {row["external_id"] for row in held["transactions"]} - {None}
        assert {name for name in names if not name.startswith("fp-")} == fit


def test_rows_without_references_keep_their_names_on_the_next_look(ground: Ground) -> None:
    linked = ground.link("LU:Banque Changeante")
    assert linked.accounts is not None
    account = linked.accounts.accounts[1]
    looks = [ground.window(linked.credential, account, days) for days in (730, 60)]

    first, later = ({row.external_id for row in look.transactions} for look in looks)
    assert later
    assert later < first


def test_a_session_that_was_ended_is_closed_and_may_be_ended_again(ground: Ground) -> None:
    linked = ground.link("FI:Nordea")
    ground.bank.disconnect(linked.credential)
    ground.bank.disconnect(linked.credential)

    status = ground.bank.fetch_status(linked.credential, archive=Archived())
    assert status.error_code == "CLOSED"


def test_a_bank_gives_a_shorter_history_some_time_after_the_consent(ground: Ground) -> None:
    linked = ground.link("DE:N26")
    assert linked.accounts is not None
    account = linked.accounts.accounts[0]
    today = ground.server.clock.now().date()
    window = DateWindow(first=today - timedelta(days=365), last=today)

    first = ground.window(linked.credential, account)
    assert first.covered is not None
    assert first.covered.first > window.first  # nothing is claimed that was not told
    with pytest.raises(WindowTooWideError) as caught:
        ground.bank.fetch_window(
            linked.credential, account, WindowRequest(window, is_first=False), archive=Archived()
        )
    assert caught.value.earliest is not None
