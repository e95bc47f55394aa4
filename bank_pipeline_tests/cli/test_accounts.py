"""`bank-pipeline accounts choose`: a person says which accounts of a connection are read."""

from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.cli.test_link_others import banks
from bank_pipeline_tests.cli.test_listing import UNKNOWN
from bank_pipeline_tests.cli.test_switch import connection
from bank_pipeline_tests.installation import Installation

__all__ = ["banks", "connection"]


def left_out(cli: CommandLine) -> set[str]:
    return {row["id"] for row in cli("accounts", "--json").json if row["excluded_at"]}


def test_accounts_that_are_not_chosen_are_not_read_until_they_are(
    cli: CommandLine,
    banks: Installation,
    connection: str,
) -> None:
    kept, *others = [row["id"] for row in cli("accounts", "--json").json]
    assert (left_out(cli), bool(others)) == (set(), True)

    chosen = cli("accounts", "choose", connection, kept.upper())
    assert (chosen.code, f"chosen: 1 of connection {connection}" in chosen.words) == (0, True)
    assert left_out(cli) == {*others}

    assert cli("accounts", "choose", connection, kept, *others).code == 0
    assert left_out(cli) == set()


def test_a_choice_that_cannot_be_is_refused_and_changes_nothing(
    cli: CommandLine, installation: Installation, banks: Installation, connection: str
) -> None:
    """Of another connection, of none, or of Plaid, whose accounts are chosen at Plaid."""
    [plaids] = installation.link()
    kept = next(row["id"] for row in cli("accounts", "--json").json)

    stranger = cli("accounts", "choose", connection, kept, UNKNOWN)
    assert (stranger.code, "not an account" in stranger.err) == (1, True)
    assert "no connection" in cli("accounts", "choose", UNKNOWN, kept).err
    assert "at its provider" in cli("accounts", "choose", plaids, kept).err
    assert left_out(cli) == set()
