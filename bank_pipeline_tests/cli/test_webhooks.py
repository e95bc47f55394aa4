"""`bank-pipeline webhooks`: what waits and how long, what came, what was not believed."""

from datetime import timedelta

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.webhook_events import insert_event
from bank_pipeline.sync.refusals import RefusalCounter
from bank_pipeline_tests.cli.conftest import CommandLine
from bank_pipeline_tests.installation import Installation


@pytest.fixture
def connection_id(installation: Installation) -> ConnectionId:
    """A linked and synced connection."""
    [connection_id] = installation.link()
    installation.sync(connection_id)
    return connection_id


def arrive(installation: Installation, key: str, external_id: str) -> None:
    event = ProviderEvent(Provider.PLAID, EventKind.SYNC, "TYPE/CODE", external_id, key)
    now = installation.services.sync.clock()
    with installation.services.sync.engine.begin() as db:
        insert_event(db, event, needs_sync=True, now=now)


def test_an_empty_inbox_has_no_lag(cli: CommandLine, installation: Installation) -> None:
    assert cli("webhooks", "lag", "--json").json == []
    assert "all are handled" in cli("webhooks", "lag").words


def test_lag_is_told_in_seconds(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    arrive(installation, "a", installation.stored(connection_id).external_id)
    installation.sandbox.advance(timedelta(seconds=90))
    arrive(installation, "b", "a-strangers-item")

    stranger, ours = cli("webhooks", "lag", "--json").json

    assert (ours["waits_for"], ours["events"], ours["waited_s"]) == ("sync", 1, 90)
    assert (stranger["waits_for"], stranger["waited_s"]) == ("connection", 0)
    assert "waits for" in cli("webhooks", "lag").words


def test_the_inbox_is_listed(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    arrive(installation, "a", installation.stored(connection_id).external_id)
    arrive(installation, "b", "a-strangers-item")

    rows = cli("webhooks", "list", "--json").json
    assert [row["connection_id"] for row in rows] == [None, connection_id]
    one = cli("webhooks", "list", "--waiting", "--connection", connection_id, "--json").json
    assert [row["connection_id"] for row in one] == [connection_id]
    installation.sync(connection_id)
    assert len(cli("webhooks", "list", "--waiting", "--json").json) == 1


def test_refusals_are_listed_and_doctor_tells_of_them(
    cli: CommandLine, installation: Installation
) -> None:
    counter = RefusalCounter(installation.services.sync)
    for _ in range(3):
        counter.note(Provider.TELLER, Refusal.STALE)

    [row] = cli("webhooks", "refused", "--json").json
    assert (row["provider"], row["refusal"], row["times"]) == ("teller", "stale", 3)
    [finding] = [one for one in cli("doctor", "--json").json if one["part"] == "webhooks of teller"]
    assert (finding["state"], "3 stale" in finding["detail"]) == ("warning", True)
    installation.sandbox.advance(timedelta(days=8))
    assert cli("webhooks", "refused", "--json").json == []


def test_doctor_tells_of_webhooks_that_wait_too_long(
    cli: CommandLine, installation: Installation, connection_id: ConnectionId
) -> None:
    arrive(installation, "a", installation.stored(connection_id).external_id)
    assert "webhooks of plaid" not in cli("doctor").words

    installation.sandbox.advance(timedelta(minutes=16))

    outcome = cli("doctor")
    assert outcome.code == 0
    assert "webhooks of plaid" in outcome.words
    assert "daemon" in outcome.words
