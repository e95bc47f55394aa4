"""Balances from the command line: which one counts and why, and what does not go together."""

import sqlalchemy as sa

from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.defs.test_checks import DIFFERENCE
from bank_pipeline_tests.installation import Installation


def test_a_person_sees_decides_and_takes_it_back(
    cli: CommandLine, installation: Installation
) -> None:
    [connection_id] = installation.link()
    installation.sync(connection_id)
    rows = cli("balance-rules", "-c", connection_id, "--json").json
    booked = next(row for row in rows if row["kind"] == "booked")
    assert booked["provider_type"] == "current"
    assert booked["reason"] == "the only one told"
    account, amount = booked["account_id"], booked["amount"]

    def shown() -> str:
        listed = cli("accounts", "--json").json
        return next(str(row["booked"]) for row in listed if row["id"] == account)

    assert cli("balance-rules", "set", account, "--sign", "flipped").code == 0
    assert {shown(), amount} == {amount, f"-{amount}".replace("--", "")}
    assert shown() != amount
    assert "chosen by hand" not in cli("balance-rules").out
    assert cli("balance-rules", "set", account, "--booked", "available").code == 0
    chosen = [row for row in cli("balance-rules", "--json").json if row["account_id"] == account]
    assert chosen[0]["reason"].startswith("chosen by hand")
    assert account in cli("balance-rules").out, "an id can be copied: it is in one line"
    assert cli("balance-rules", "reset", account).code == 0
    assert shown() == amount

    assert cli("balance-rules", "set", account).code == 2
    missing = cli("balance-rules", "set", account, "--booked", "ITBD")
    assert missing.code == 1
    assert "it tells: available, current" in " ".join(missing.err.split())


def test_differences_are_listed_until_somebody_is_done_with_them(
    cli: CommandLine, installation: Installation
) -> None:
    [connection_id] = installation.link()
    installation.sync(connection_id)
    assert cli("balance-checks", "--json").json == []
    with installation.services.sync.engine.begin() as db:
        db.execute(sa.text(DIFFERENCE))
    [row] = cli("balance-checks", "--json").json
    assert (row["difference"], row["connection_id"]) == ("-3", connection_id)

    assert cli("balance-checks", "resolve", str(row["id"])).code == 0

    assert cli("balance-checks", "--json").json == []
    [ended] = cli("balance-checks", "--all", "--json").json
    assert ended["state"] == "resolved"
    assert cli("balance-checks", "resolve", str(row["id"])).code == 1
