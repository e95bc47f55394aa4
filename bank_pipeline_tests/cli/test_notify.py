"""Notices from the command line: where they go, what is wanted, what became of them."""

from collections.abc import Iterator

import pytest

from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.sync.receivers import WebhookReceiver, webhook_receiver


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as one:
        yield one


def test_a_target_is_added_tried_listed_and_removed(
    cli: CommandLine, installation: Installation, hook: WebhookReceiver
) -> None:
    """Its address is in no output."""
    url = hook.url.get_secret_value()
    added = cli("notify", "targets", "add", "hook", "--url", url)
    assert added.code == 0, added.err
    listed = cli("notify", "targets", "list", "--json")
    assert [(one["name"], one["service"]) for one in listed.json] == [("hook", "JSON")]
    assert "canary-token" not in added.out + listed.out + cli("notify", "targets", "list").out
    assert cli("notify", "targets", "add", "hook", "--url", url).code == 1

    sent = cli("notify", "test")
    assert sent.code == 0
    assert hook.titles == ["Test: The connection to Example Bank ends in 7 days"]
    assert cli("notify", "test", "--kind", "low_balance", "--json").json[0]["outcome"] == "sent"
    hook.refusals = 1
    refused = cli("notify", "test", "--target", "hook", "--json")
    assert (refused.code, refused.json[0]["error"]) == (1, "HTTP 503")

    assert cli("notify", "targets", "remove", "hook").code == 0
    assert cli("notify", "targets", "remove", "hook").code == 1
    assert cli("notify", "test", "--target", "hook").code == 1


def test_an_address_of_no_service_is_refused_and_not_repeated(
    cli: CommandLine, installation: Installation
) -> None:
    refused = cli("notify", "targets", "add", "x", "--url", "nonsense://canary-token")

    assert refused.code == 1
    assert "docs/notifications.md" in refused.err
    assert "canary-token" not in refused.out + refused.err


def test_preferences_are_changed_bit_by_bit(cli: CommandLine, installation: Installation) -> None:
    cli("teams", "add", "home")

    def change(*what: str) -> dict[str, object]:
        outcome = cli("notify", "preferences", "--team", "home", *what, "--json")
        [row] = outcome.json
        return dict(row)

    assert change("--large", "EUR=1000", "--large", "usd=500.50")["large_amounts"] == {
        "EUR": "1000",
        "USD": "500.50",
    }
    assert change("--large", "EUR=", "--low", "EUR=100")["large_amounts"] == {"USD": "500.50"}
    kinds = change("--kinds", "expiring,disconnected")["kinds"]
    assert kinds == ["disconnected", "expiring"]
    assert "home" in cli("notify", "preferences").out

    for wrong in (["--kinds", "everything"], ["--large", "1000"], ["--low", "EUR=x"]):
        assert cli("notify", "preferences", "--team", "home", *wrong).code == 1
    assert cli("notify", "preferences", "--kinds", "all").code == 2


def test_preferences_of_a_team_that_is_not_there_make_none(
    cli: CommandLine, installation: Installation
) -> None:
    """A slip of the pen must not make a team, nor does a look change anything."""
    cli("teams", "add", "home")
    for what in ((), ("--kinds", "all")):
        refused = cli("notify", "preferences", "--team", "hoem", *what)
        assert refused.code == 1
        assert "hoem" in refused.err
    assert cli("notify", "preferences", "--team", "home").code == 0
    assert [one["name"] for one in cli("teams", "list", "--json").json] == ["home"]
    acts = [one["action"] for one in cli("audit", "list", "--json").json]
    assert "settings_changed" not in acts


def test_preferences_of_one_team_are_shown_in_words(
    cli: CommandLine, installation: Installation
) -> None:
    for team, kinds in (("home", "expiring,disconnected"), ("office", "low_balance")):
        cli("teams", "add", team)
        cli("notify", "preferences", "--team", team, "--kinds", kinds, "--large", "EUR=1000")

    shown = cli("notify", "preferences", "--team", "home").out

    assert "disconnected, expiring" in shown
    assert "EUR=1000" in shown
    assert "office" not in shown


def test_notices_are_listed_by_state(
    cli: CommandLine, installation: Installation, hook: WebhookReceiver
) -> None:
    url = hook.url.get_secret_value()
    cli("notify", "targets", "add", "hook", "--team", "demo", "--url", url)
    [connection_id] = installation.link()
    disconnect(installation.services.sync, connection_id)

    [row] = cli("notify", "list", "--json").json
    assert (row["kind"], row["state"]) == ("disconnected", "pending")
    assert row["connection_id"] == connection_id
    assert cli("notify", "list", "--state", "sent", "--json").json == []
    assert "disconnected" in cli("notify", "list").out
    assert cli("notify", "retry").words == "0 notices will be tried again"
