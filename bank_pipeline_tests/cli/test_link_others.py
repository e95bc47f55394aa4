"""`bank-pipeline link` for the providers beside Plaid, and the sandbox's own variables."""

import io
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bank_pipeline.cli import link
from bank_pipeline.cli.playground import wings_environment
from bank_pipeline.config import Environment, Settings
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.cli.conftest import CommandLine, Outcome
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.waiting import wait_until

DATABASE: Final = "BANK_PIPELINE_DATABASE_URL"
KEY: Final = "BANK_PIPELINE_ENCRYPTION_KEY"


@pytest.fixture
def banks(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The installation with every provider configured, and no gateway."""
    folder = installation.services.settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in wings_environment(folder, installation.sandbox.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(
        "ENABLE_BANKING_REDIRECT_URL", "https://app.example.com/connect/enable_banking"
    )
    monkeypatch.setenv("GOCARDLESS_REDIRECT_URL", "https://app.example.com/connect/gocardless")
    monkeypatch.setattr(link, "POLL_S", 0.1)
    return installation


def printed_page(outcome: Outcome) -> str:
    [url] = re.findall(r"https?://\S+", outcome.out)[:1]
    return str(url)


def session_of(outcome: Outcome) -> str:
    [session] = set(re.findall(r"bank-pipeline link finish (\S+)", outcome.out))
    return str(session)


def agree(page: str, login: str) -> str:
    """Agree on a simulated consent page; return the address that the browser would show."""
    answer = httpx.post(page, data={"outcome": "approve", "login": login})
    assert answer.is_redirect, answer.text
    return str(answer.headers["location"])


def test_without_a_gateway_the_address_of_the_end_is_pasted(
    cli: CommandLine, banks: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    begun = cli("link", "enable-banking", "--institution", "FI:Nordea")
    assert begun.code != 0
    assert "Paste the address" in begun.out
    address = agree(printed_page(begun), "login-2")

    monkeypatch.setattr(sys, "stdin", io.StringIO("https://app.example.com/\n"))
    half = cli("link", "finish", session_of(begun), "--paste")
    assert "paste it whole" in half.err

    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{address}\n"))
    done = cli("link", "finish", session_of(begun), "--paste")
    assert (done.code, "connected:" in done.out) == (0, True)
    assert [row["provider"] for row in cli("connections", "--json").json] == ["enable_banking"]


def test_a_companys_login_is_asked_for_and_renewed_as_one(
    cli: CommandLine, banks: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many banks keep the logins of persons and of companies apart."""

    def go_through(*arguments: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        begun = cli("link", "enable-banking", *arguments)
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{agree(printed_page(begun), 'login-2')}\n"))
        assert cli("link", "finish", session_of(begun), "--paste").code == 0

    go_through("--institution", "FI:Nordea", "--kind", "business")
    go_through("--renew", banks.value("SELECT id::text FROM bank.connections"))

    wing = banks.sandbox.wings["enable_banking"]
    assert isinstance(wing, EnableBanking)
    with wing.lock:
        assert [one.psu_type for one in wing.sessions] == ["business", "business"]


def test_gocardless_is_asked_how_the_link_stands(cli: CommandLine, banks: Installation) -> None:
    begun = cli("link", "gocardless", "--institution", "REVOLUT_REVOLT21", "--wait-s", "0")
    assert (begun.code, "not finished yet" in begun.out) == (1, True)

    agree(printed_page(begun), "login-2")

    done = cli("link", "finish", session_of(begun))
    assert (done.code, "connected:" in done.out) == (0, True)


def test_a_bank_must_be_named_where_the_provider_does_not_ask(
    cli: CommandLine, banks: Installation
) -> None:
    for command in ("enable-banking", "gocardless"):
        refused = cli("link", command)
        assert refused.code != 0
        assert "institutions search" in refused.err


def test_tellers_widget_runs_in_a_page_of_this_command(
    cli: CommandLine, banks: Installation
) -> None:
    """The command serves the page itself for as long as it waits."""

    def person() -> None:
        wait_until(lambda: banks.value("SELECT count(*) FROM bank.link_sessions") == 1, seconds=15)

    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(person)
        told = cli("link", "teller", "--wait-s", "1")
        seen.result()

    page = urlsplit(printed_page(told))
    assert (page.hostname, page.path) == ("127.0.0.1", "/link/widget/teller")
    assert len(parse_qs(page.query)["state"][0]) > 30
    assert "not finished yet" in told.out


def use_sandbox(cli: CommandLine, sandbox_url: str, patch: pytest.MonkeyPatch) -> None:
    """Do what a shell does with the printed variables."""
    printed = cli("sandbox", "env", "--url", sandbox_url).out
    for name, value in re.findall(r"^export (\w+)='?([^'\n]*)'?$", printed, re.MULTILINE):
        patch.setenv(name, value)


def test_the_sandbox_prints_the_variables_that_open_it(
    cli: CommandLine, banks: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: os.environ[name] for name in (DATABASE, KEY)}
    use_sandbox(cli, banks.sandbox.url, monkeypatch)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PLAID_SECRET", banks.sandbox.plaid.options.secret)

    states = {row["part"]: row["state"] for row in cli("doctor", "--json").json}
    assert {states[one] for one in ("plaid", "enable_banking", "gocardless", "teller")} == {"ok"}


def test_a_shell_at_the_sandbox_has_nothing_of_the_real_installation(
    cli: CommandLine, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else real connections would be asked for at simulated banks, which know none of them."""
    (alone / ".env").write_text(
        f"{DATABASE}=postgresql://bank@db.internal/bank\n{KEY}_FILE=real.keys\n"
        "PLAID_CLIENT_ID=real\nPLAID_SECRET=real\nPLAID_ENV=production\nPLAID_LINK=embedded\n"
        "ENABLE_BANKING_APPLICATION_ID=real\nENABLE_BANKING_KEY_PATH=real.pem\n"
        "TELLER_APPLICATION_ID=real\nTELLER_CERT_PATH=real.pem\nTELLER_KEY_PATH=real.key\n"
    )
    with SandboxServer() as sandbox:
        use_sandbox(cli, sandbox.url, monkeypatch)
        settings = Settings()

    assert (settings.database_url, settings.encryption_key_file) == (None, None)
    assert (settings.plaid_env, settings.is_plaid_embedded) == (Environment.SANDBOX, False)
    assert settings.enable_banking_key_path is None
    assert settings.teller_cert_path is None
