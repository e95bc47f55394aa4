"""`bank-pipeline institutions`: fill the list of banks, and find one to link."""

from contextlib import ExitStack

import pytest

from bank_pipeline.bootstrap import build_providers
from bank_pipeline.cli.playground import wings_environment
from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation

COUNT = "SELECT count(*) FROM bank.institutions"


def test_an_empty_list_says_what_fills_it(cli: CommandLine, installation: Installation) -> None:
    outcome = cli("institutions", "search", "sparkasse")

    assert outcome.code == 0
    assert "bank-pipeline institutions sync" in outcome.words
    assert cli("institutions", "search", "sparkasse", "--json").json == []


def test_a_bank_is_found_with_the_id_that_linking_takes(
    cli: CommandLine, installation: Installation
) -> None:
    """As it is typed on any keyboard, in a table and as JSON with every field."""
    assert cli("institutions", "sync").code == 0

    [found] = cli("institutions", "search", "MUERITZ ochtringen", "--json").json
    outcome = cli("institutions", "search", "muritz", "--country", "de", "--provider", "plaid")

    assert found["name"] == "Sparkasse Müritz-Öchtringen"
    assert found["countries"] == ["DE"]
    assert found["provider"] == "plaid"
    assert found["history_days"] is None
    assert outcome.code == 0
    for shown in ("Sparkasse Müritz-Öchtringen", "DE", "plaid", found["external_id"]):
        assert shown in outcome.words


def test_a_search_is_narrowed_and_limited(cli: CommandLine, installation: Installation) -> None:
    cli("institutions", "sync")

    def ids(*options: str) -> list[str]:
        found = cli("institutions", "search", "", "--json", *options).json
        return [row["external_id"] for row in found]

    assert len(ids()) == installation.value(COUNT) > 2
    assert ids("--limit", "2") == ids()[:2]
    assert 0 < len(ids("--country", "US")) < len(ids())
    assert ids("--provider", "teller") == []


@pytest.mark.parametrize("country", ["Germany", "D", "1A"])
def test_a_country_is_two_letters(cli: CommandLine, alone: object, country: str) -> None:
    """A word that no bank's country can be must not look like a country without banks."""
    outcome = cli("institutions", "search", "bank", "--country", country)

    assert outcome.code == 2
    assert "two letters" in outcome.err


def test_a_sync_says_what_it_changed(cli: CommandLine, installation: Installation) -> None:
    [first] = cli("institutions", "sync", "plaid", "--json").json
    [again] = cli("institutions", "sync", "--json").json

    count = installation.value(COUNT)
    assert (first["outcome"], first["offered"], first["inserted"]) == ("synced", count, count)
    assert (again["inserted"], again["unchanged"]) == (0, count)


def test_unreadable_rows_are_told(cli: CommandLine, installation: Installation) -> None:
    fault = Fault(FaultKind.MISSING_KEY, key="name")
    installation.sandbox.faults.add("/institutions/get", fault, times=2)

    [row] = cli("institutions", "sync", "--json").json
    shown = cli("institutions", "sync").words

    assert (row["unreadable_count"], row["unreadable"]) == (1, {"name: missing": 1})
    assert "unreadable: name: missing" in shown


@pytest.fixture
def all_four(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation with the keys of all four simulated providers."""
    state_dir = installation.services.settings.state_dir
    for name, value in wings_environment(state_dir, installation.sandbox.url).items():
        monkeypatch.setenv(name, value)
    return installation


def test_the_banks_of_all_providers_are_in_one_list(
    cli: CommandLine, all_four: Installation
) -> None:
    """A bank stands there once for each of its providers, first where customers can sign up."""
    first = cli("institutions", "sync", "--json").json
    again = cli("institutions", "sync", "--json").json

    offered = {row["provider"]: row["offered"] for row in first}
    assert [*offered] == ["enable_banking", "gocardless", "plaid", "teller"]
    assert min(offered.values()) > 1
    assert all_four.value(COUNT) == sum(offered.values())
    assert {row["provider"]: row["unchanged"] for row in again} == offered
    european = cli("institutions", "search", "muritz", "--json").json
    american = cli("institutions", "search", "first harbor", "--country", "us", "--json").json
    assert [row["provider"] for row in european] == ["enable_banking", "gocardless", "plaid"]
    assert [row["provider"] for row in american] == ["plaid", "teller"]
    assert {row["name"] for row in european} == {"Sparkasse Müritz-Öchtringen"}
    assert [row["consent_days"] for row in european] == [180, 180, None]


def test_what_a_search_finds_can_be_linked(cli: CommandLine, all_four: Installation) -> None:
    """Its id is the one that each provider knows the bank by."""
    cli("institutions", "sync")
    found = cli("institutions", "search", "meridian money", "--json").json

    clients = build_providers(Settings(), all_four.services.sync.cache)
    with ExitStack() as at_the_end:
        for client in clients.values():
            at_the_end.callback(client.close)
        names = [
            clients[Provider(row["provider"])].fetch_institution(row["external_id"]).name
            for row in found
        ]

    assert names == ["Meridian Money"] * 3


def test_a_bank_that_cannot_be_read_is_told_and_stays(
    cli: CommandLine, all_four: Installation
) -> None:
    """Whichever provider it is, and whether or not the row still says which bank it is."""
    cli("institutions", "sync")
    before = cli("institutions", "search", "", "--limit", "1000", "--json").json
    lists = ("enable_banking:aspsps", "gocardless:institutions", "/institutions/get")
    for operation in (*lists, "teller:institutions"):
        fault = Fault(FaultKind.MISSING_KEY, key="name")
        all_four.sandbox.faults.add(operation, fault, times=1)

    told = cli("institutions", "sync", "--json").json

    assert [row["unreadable"] for row in told] == [{"name: missing": 1}] * 4
    assert [row["removed"] for row in told] == [0] * 4
    assert cli("institutions", "search", "", "--limit", "1000", "--json").json == before


def test_one_failing_provider_leaves_the_others(
    cli: CommandLine, all_four: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with its reason, the others are read, and the exit code tells."""
    monkeypatch.setenv("GOCARDLESS_SECRET_KEY", "not-the-secret")

    outcome = cli("institutions", "sync", "--json")

    assert outcome.code == 1
    failed = [row for row in outcome.json if row["outcome"] == "failed"]
    synced = [row for row in outcome.json if row["outcome"] == "synced"]
    assert [row["provider"] for row in failed] == ["gocardless"]
    assert failed[0]["reason"].startswith("gocardless")
    assert failed[0]["offered"] is None
    assert "not-the-secret" not in outcome.out + outcome.err
    assert len(synced) == 3
    assert all_four.value(COUNT) == sum(row["offered"] for row in synced)


def test_a_provider_that_is_switched_off_fails(
    cli: CommandLine, installation: Installation
) -> None:
    outcome = cli("institutions", "sync", "teller", "--json")

    assert outcome.code == 1
    assert "teller is not configured" in outcome.json[0]["reason"]


def test_without_any_provider_the_doctor_is_named(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLAID_CLIENT_ID")
    monkeypatch.delenv("PLAID_SECRET")

    outcome = cli("institutions", "sync")

    assert outcome.code == 2
    assert "bank-pipeline doctor" in outcome.err


def test_a_shorter_list_is_believed_when_told_to(
    cli: CommandLine, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the refusal itself says: fewer countries are asked for."""
    cli("institutions", "sync")
    before = installation.value(COUNT)
    monkeypatch.setenv("PLAID_COUNTRY_CODES", "FR")

    refused = cli("institutions", "sync", "plaid")
    accepted = cli("institutions", "sync", "plaid", "--accept-removals", "--json")

    assert refused.code == 1
    assert "institutions sync plaid --accept-removals" in refused.words
    assert accepted.json[0]["removed"] == before - 1
    assert len(cli("institutions", "search", "", "--json").json) == 1
