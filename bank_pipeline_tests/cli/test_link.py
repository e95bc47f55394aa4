"""`bank-pipeline link`: a bank is connected from the terminal, through the hosted page."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.cli import link
from bank_pipeline.domain.ids import LinkSessionId
from bank_pipeline.providers.http import build_http
from bank_pipeline.storage.link_sessions import load_link_session
from bank_pipeline_tests.cli.conftest import CommandLine, Outcome
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.waiting import wait_until

OPEN: Final = sa.text("SELECT id::text FROM bank.link_sessions WHERE outcome IS NULL")


def decide(installation: Installation, *, outcome: str) -> None:
    """Decide on the page of the link under way, as a person would."""
    sync = installation.services.sync
    with sync.engine.connect() as db:
        session_id = LinkSessionId(db.execute(OPEN).scalar_one())
        token = load_link_session(db, session_id, vault=sync.vault).state.get_secret_value()
    page = f"{installation.sandbox.url}/link/hosted/{token}"
    form = {"outcome": outcome, "login": installation.logins[0]}
    with build_http(read_timeout_s=10) as http:
        http.post(page, data=form).raise_for_status()


def link_and_decide(cli: CommandLine, installation: Installation, outcome: str) -> Outcome:
    """Run the command, and decide on its page once it waits."""

    def person() -> None:
        wait_until(lambda: installation.value(OPEN.text) is not None, seconds=15)
        decide(installation, outcome=outcome)

    with ThreadPoolExecutor(1) as pool:
        decided = pool.submit(person)
        told = cli("link", "plaid", "--wait-s", "20")
        decided.result()
    return told


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "POLL_S", 0.1)


def test_linking_prints_a_page_and_ends_with_the_connection(
    cli: CommandLine, installation: Installation
) -> None:
    """The page can be opened from the terminal's text; the connection's id ends the command."""
    outcome = link_and_decide(cli, installation, "success")

    assert outcome.code == 0
    assert re.search(rf"{installation.sandbox.url}/link/hosted/\S+", outcome.out)
    [row] = cli("connections", "--json").json
    assert f"connected: {row['id']}" in outcome.out
    assert cli("sync", row["id"]).code == 0


def test_a_customer_who_leaves_is_told_apart(cli: CommandLine, installation: Installation) -> None:
    """No connection, exit code 1, and nothing stored but the link's end."""
    outcome = link_and_decide(cli, installation, "exit")

    assert outcome.code == 1
    assert "without a connection" in outcome.out
    assert cli("connections", "--json").json == []


def test_a_link_can_be_taken_up_again(cli: CommandLine, installation: Installation) -> None:
    """A command that stopped waiting says how to go on; later the connection is kept once."""
    stopped = cli("link", "plaid", "--wait-s", "0")
    [again] = set(re.findall(r"bank-pipeline link finish (\S+)", stopped.out))
    assert stopped.code == 1
    decide(installation, outcome="success")

    assert "connected:" in cli("link", "finish", again).out

    repeated = cli("link", "finish", again)
    assert repeated.code == 0
    assert "connected:" in repeated.out
    assert len(cli("connections", "--json").json) == 1


def test_a_provider_that_is_off_says_how_to_switch_it_on(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its variables there is nothing to link with."""
    monkeypatch.delenv("PLAID_CLIENT_ID")
    monkeypatch.delenv("PLAID_SECRET")

    outcome = cli("link", "plaid")

    assert outcome.code == 2
    assert ".env.example" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
