"""`bank-pipeline switch-provider` and `accounts decide`: a bank goes on, and a person says how."""

import io
import sys
from datetime import timedelta

import pytest

from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.cli.test_link_others import agree, banks, printed_page, session_of
from bank_pipeline_tests.cli.test_listing import UNKNOWN
from bank_pipeline_tests.installation import Installation

__all__ = ["banks"]
LOGIN = "login-2"


@pytest.fixture
def connection(cli: CommandLine, banks: Installation) -> str:
    """A bank linked through GoCardless and read."""
    begun = cli("link", "gocardless", "--institution", "MUERITZ_MRTZDE21XXX", "--wait-s", "0")
    agree(printed_page(begun), LOGIN)
    assert cli("link", "finish", session_of(begun)).code == 0
    [row] = cli("connections", "--json").json
    assert cli("sync", row["id"]).code == 0
    return str(row["id"])


def switch(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    """Continue through Enable Banking, where the address of the end is pasted."""
    assert cli("institutions", "sync", "enable_banking").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    begun = cli("switch-provider", connection, "--to", "enable_banking")
    address = agree(printed_page(begun), LOGIN)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{address}\n"))
    assert cli("link", "finish", session_of(begun), "--paste").code == 0


def test_a_switch_asks_a_person_what_it_cannot_know_and_keeps_every_account(
    cli: CommandLine,
    banks: Installation,
    connection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {row["id"] for row in cli("accounts", "--json").json}

    switch(cli, monkeypatch, connection)
    assert cli("sync", connection).code == 0

    [row] = cli("connections", "--json").json
    assert (row["id"], row["provider"]) == (connection, "enable_banking")
    [question] = cli("accounts", "questions", "--json").json
    assert question["id"] in cli("accounts", "questions").out
    [known] = question["candidate_ids"]
    refused = cli("accounts", "decide", question["id"], "--new", "--same-as", known)
    assert "either --new or --same-as" in refused.err
    assert "no" in cli("accounts", "decide", UNKNOWN, "--new").err

    assert known in cli("accounts", "decide", question["id"], "--same-as", known).words
    banks.sandbox.advance(timedelta(days=1))  # its daily calls are spent
    assert cli("sync", connection).code == 0
    assert cli("accounts", "questions", "--json").json == []
    assert {row["id"] for row in cli("accounts", "--json").json} == before


def test_a_switch_that_cannot_be_says_what_to_do(
    cli: CommandLine, banks: Installation, connection: str
) -> None:
    refused = cli("switch-provider", connection, "--to", "gocardless")
    assert (refused.code != 0, "--renew" in refused.err) == (True, True)
    assert "no connection" in cli("switch-provider", UNKNOWN, "--to", "enable_banking").err
