"""`bank-pipeline duplicates`: what may be one row is listed, and people decide."""

from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.cli.test_listing import UNKNOWN, execute
from bank_pipeline_tests.installation import Installation


def test_a_suspect_is_listed_dropped_and_kept(cli: CommandLine, installation: Installation) -> None:
    """A dropped row is gone from every list; kept, it is back and no question any more."""
    [connection] = installation.link()
    installation.sync(connection)
    assert "none" in cli("duplicates", "list").out
    shown = cli("transactions", "--limit", "2", "--json").json
    row, twin = (one["id"] for one in shown)
    execute(
        installation,
        f"UPDATE bank.transactions SET suspected_duplicate_of = '{twin}' WHERE id = '{row}'",
    )

    [listed] = cli("duplicates", "list", "--connection", connection, "--json").json
    assert (listed["id"], listed["twin_id"]) == (row, twin)
    assert row in cli("duplicates", "list").out

    assert cli("duplicates", "drop", row).code == 0
    assert cli("duplicates", "list", "--json").json == []
    assert row not in cli("transactions", "--json").out
    installation.sync(connection)
    assert row not in cli("transactions", "--json").out

    assert "kept" in cli("duplicates", "keep", row).out
    assert row in cli("transactions", "--json").out
    assert cli("duplicates", "list", "--json").json == []


def test_an_unknown_row_is_refused(cli: CommandLine, installation: Installation) -> None:
    for word in ("keep", "drop"):
        for id_ in (UNKNOWN, "17"):
            outcome = cli("duplicates", word, id_)
            assert outcome.code == 1
            assert "no transaction" in outcome.err
