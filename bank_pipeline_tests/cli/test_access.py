"""`bank-pipeline api-keys` and `link page`: who gets in, and by what."""

import pytest

from bank_pipeline.sync.page_links import open_page_link
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation

GATEWAY = "https://bank.example.com"


def test_a_key_of_a_team_that_is_not_there_is_made_only_where_it_is_said(
    cli: CommandLine, installation: Installation
) -> None:
    """A slip of the pen must not make a team, whose key then opens nothing."""
    assert cli("api-keys", "create", "first", "--team", "home").code == 0, (
        "the first makes its team"
    )
    refused = cli("api-keys", "create", "report", "--team", "hoem")
    assert refused.code == 1
    assert "hoem" in refused.err
    made = cli("api-keys", "create", "report", "--team", "hoem", "--new-team", "--scope", "manage")
    assert made.out.startswith("bpk_")
    listed = {(key["team_name"], key["scope"]) for key in cli("api-keys", "list", "--json").json}
    assert listed == {("home", "read"), ("hoem", "manage")}


def test_an_address_is_printed_that_opens_one_thing(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.link()
    without = cli("link", "page")
    assert without.code == 2
    assert "BANK_PIPELINE_GATEWAY_URL" in without.err

    monkeypatch.setenv("BANK_PIPELINE_GATEWAY_URL", GATEWAY)
    [row] = cli("connections", "--json").json
    for options, purpose, of in (
        ((), "connect", None),
        (("--renew", row["id"]), "renew", row["id"]),
    ):
        printed = cli("link", "page", "--team", row["team_name"], *options).out.strip()
        assert printed.startswith(f"{GATEWAY}/l/")
        link = open_page_link(installation.services.sync, printed.split("/l/")[1])
        assert (link.purpose, link.connection_id) == (purpose, of)
