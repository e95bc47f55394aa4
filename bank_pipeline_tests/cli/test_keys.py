"""The commands that exchange keys: ids and counts, never a key."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_pipeline.bootstrap import build_services
from bank_pipeline.config import Settings
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import KEY, Installation


@pytest.fixture
def kept(
    installation: Installation, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """The installation with its key in the file of the state folder."""
    monkeypatch.delenv("BANK_PIPELINE_ENCRYPTION_KEY")
    path = alone / "state" / "encryption.key"
    path.touch(mode=0o600)
    path.write_text(KEY + "\n")
    services = build_services(Settings())
    yield Installation(installation.sandbox, services)
    services.close()


def test_keys_are_exchanged_from_the_command_line(
    cli: CommandLine, kept: Installation, alone: Path
) -> None:
    """Added, rotated, retired; the state of each is told on the way."""
    installation = kept
    [connection] = installation.link()
    installation.sync(connection)
    old_key = (alone / "state" / "encryption.key").read_text().strip()

    [only] = cli("keys", "list", "--json").json
    assert (only["state"], only["sealed"]["credentials"]) == ("seals", 1)
    added = cli("keys", "add")
    assert added.code == 0
    states = [one["state"] for one in cli("keys", "list", "--json").json]
    assert states == ["seals", "opens"]
    refused = cli("keys", "retire", only["id"])
    assert (refused.code, "keys rotate" in refused.err) == (1, True)
    rotated = cli("keys", "rotate", "--json")
    assert rotated.json["resealed_count"] == only["sealed_count"]
    assert (rotated.json["left"], rotated.json["unopened"]) == ({}, [])
    assert "0 sealed anew, all with key" in cli("keys", "rotate").words
    assert "out of the key file" in cli("keys", "retire", only["id"]).words
    listed = cli("keys", "list")
    changes = cli("audit", "list", "--action", "keys_changed", "--json").json

    assert "retired" in listed.words
    kinds = ("added", "retired", "rotated")
    told = [what for one in changes for what in kinds if what in one["details"]]
    assert sorted(told) == ["added", "retired", "rotated", "rotated"]
    new_key = (alone / "state" / "encryption.key").read_text().strip()
    assert new_key != old_key
    said = "".join(one.out + one.err for one in (added, refused, rotated, listed))
    for key in (old_key, new_key):
        assert key not in said
        assert base64.b64decode(key).hex() not in said
    installation.sync(connection)  # by the process that ran all the while
    assert installation.differences(connection) == []


def test_a_lost_key_file_is_explained_and_nothing_is_made_of_it(
    cli: CommandLine, kept: Installation, alone: Path
) -> None:
    """Another key is made, as on a fresh machine, and refused before it seals anything."""
    kept.link()
    path = alone / "state" / "encryption.key"
    path.unlink()

    refused = cli("keys", "list")

    assert refused.code == 2
    assert "which is missing" in refused.err
    assert "When a key is lost" in refused.err


def test_what_only_a_lost_key_opens_can_be_given_up(
    cli: CommandLine, kept: Installation, alone: Path
) -> None:
    """Rows stay; the bank, connected again, goes on with the connection that it was."""
    installation = kept
    [connection] = installation.link()
    installation.sync(connection)
    rows = installation.rows(connection)
    [key] = cli("keys", "list", "--json").json
    for without_asking in (cli("keys", "forget", key["id"]), cli("keys", "forget", "typo")):
        assert without_asking.out == ""
    assert "nothing is lost" in cli("keys", "forget", key["id"], "--yes").err
    (alone / "state" / "encryption.key").unlink()
    assert cli("connections").code == 2

    forgotten = cli("keys", "forget", key["id"], "--yes", "--json")

    assert forgotten.json["connections_count"] == 1
    assert forgotten.json["forgotten"] == key["sealed"]
    [listed] = cli("connections", "--json").json
    assert (listed["id"], listed["status"]) == (connection, "revoked")
    assert installation.rows(connection) == rows
    services = build_services(Settings())
    again = Installation(installation.sandbox, services)
    assert again.link() == [connection]
    again.sync(connection)
    assert again.differences(connection) == []
    services.close()


def test_an_account_is_found_by_a_number_that_is_not_shown(
    cli: CommandLine, kept: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    [connection] = kept.link()
    kept.sync(connection)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "DE89370400440532013000")

    outcome = cli("accounts", "find", "--json")

    assert (outcome.code, outcome.json) == (0, [])
    assert "0532013000" not in outcome.out + outcome.err


def test_keys_of_a_command_are_not_ours_to_add(
    cli: CommandLine, kept: Installation, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = alone / "state" / "encryption.key"
    monkeypatch.setenv("BANK_PIPELINE_ENCRYPTION_KEY_COMMAND", f"cat {path}")
    before = path.read_bytes()

    refused = cli("keys", "add")

    assert kept.logins
    assert (refused.code, "which only you can change" in refused.err) == (2, True)
    assert path.read_bytes() == before
    assert "BANK_PIPELINE_ENCRYPTION_KEY_COMMAND" in cli("doctor").words
