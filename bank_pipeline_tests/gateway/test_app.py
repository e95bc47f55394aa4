"""The gateway over HTTP: what it lets in, what it turns away, and in which order it answers."""

import http.client
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from bank_pipeline.gateway import bodies
from bank_pipeline.gateway.webhooks import BODY_BYTES_MAX
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.sync.ground import CHECKING

HOOK: Final = "/webhooks/plaid"
NEWS: Final = '{"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "n": 1}'


def _last_delivery(gate: Gate) -> dict[str, Any]:
    deliveries = gate.ground.sandbox.plaid.webhooks.log()
    return deliveries[-1].to_json()


def _answers(gate: Gate) -> list[int | None]:
    return [attempt["status"] for attempt in _last_delivery(gate)["attempts"]]


def test_a_signed_webhook_is_stored_and_acknowledged(gate: Gate) -> None:
    gate.send(NEWS)

    assert _answers(gate) == [200]
    assert gate.stored() == [("TRANSACTIONS/SYNC_UPDATES_AVAILABLE", None)]


def test_acknowledges_only_what_is_stored(gate: Gate) -> None:
    """While the table refuses, Plaid is told to come again; what it then brings is stored."""
    gate.ground.execute(
        """
        CREATE FUNCTION bank.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'no room'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON bank.webhook_events EXECUTE FUNCTION bank.refuse()
        """
    )
    try:
        gate.send(NEWS)
    finally:
        gate.ground.execute("DROP FUNCTION bank.refuse CASCADE")
    assert _answers(gate) == [503]
    assert gate.stored() == []

    gate.ground.pass_time(timedelta(seconds=31))

    assert _answers(gate) == [503, 200]
    assert len(gate.stored()) == 1


@pytest.mark.parametrize(
    "headers",
    [{"Plaid-Verification": "forged"}, {}, {"Plaid-Verification": "a.b.c"}],
    ids=["forged", "unsigned", "nonsense"],
)
def test_a_forged_webhook_is_turned_away(gate: Gate, headers: dict[str, str]) -> None:
    answer = gate.http.post(HOOK, content=NEWS, headers=headers)

    assert answer.status_code == 401
    assert gate.stored() == []


def test_a_signature_of_another_body_is_turned_away(gate: Gate) -> None:
    signed = gate.ground.sandbox.plaid.keys.sign(NEWS.encode(), gate.ground.context.clock())

    answer = gate.http.post(HOOK, content=NEWS + " ", headers={"Plaid-Verification": signed})

    assert answer.status_code == 401
    assert gate.stored() == []


def test_a_recorded_webhook_does_not_open_the_gate_later(gate: Gate) -> None:
    signed = gate.ground.sandbox.plaid.keys.sign(NEWS.encode(), gate.ground.context.clock())
    gate.ground.pass_time(timedelta(minutes=6))

    answer = gate.http.post(HOOK, content=NEWS, headers={"Plaid-Verification": signed})

    assert answer.status_code == 401


def test_a_repeated_delivery_is_stored_once_and_acknowledged_each_time(gate: Gate) -> None:
    gate.send(NEWS, copies=3)

    assert _answers(gate) == [200]
    assert len(gate.stored()) == 1


def test_a_new_signing_key_is_asked_for(gate: Gate) -> None:
    gate.send(NEWS)
    gate.ground.switch("keys/rotate")

    gate.send(NEWS.replace("1", "2"))

    assert _answers(gate) == [200]
    assert len(gate.stored()) == 2


def test_when_plaid_cannot_vouch_for_the_key_the_webhook_may_come_again(gate: Gate) -> None:
    gate.ground.fail("/webhook_verification_key/get", "INTERNAL_SERVER_ERROR")

    gate.send(NEWS)
    gate.ground.pass_time(timedelta(seconds=31))

    assert _answers(gate) == [429, 200]
    assert len(gate.stored()) == 1


def test_an_event_of_an_unknown_item_is_kept(gate: Gate) -> None:
    """It may be of a connection whose credential is being stored this moment."""
    gate.send(json.dumps({**json.loads(NEWS), "item_id": "nobodys"}))

    assert gate.stored() == [("TRANSACTIONS/SYNC_UPDATES_AVAILABLE", "nobodys")]
    assert gate.ground.waiting() == []


def test_events_that_came_before_the_connection_was_stored_ask_for_its_sync(gate: Gate) -> None:
    session_id, url = gate.ground.begin_link()
    gate.ground.world.add_booked(CHECKING, Decimal(-1))
    gate.ground.decide(url)
    gate.ground.pass_time(timedelta(minutes=2))
    assert gate.ground.waiting() == []

    [connection] = gate.ground.complete(session_id).connection_ids

    assert gate.ground.waiting() == [connection]


def test_a_signed_webhook_that_nobody_can_read_is_kept(gate: Gate) -> None:
    gate.send("not JSON")

    assert _answers(gate) == [200]
    assert gate.stored() == [("UNREADABLE", None)]


def test_a_huge_body_is_turned_away_unread(gate: Gate) -> None:
    answer = gate.http.post(HOOK, content=b" " * (BODY_BYTES_MAX + 1))

    assert answer.status_code == 413
    assert gate.stored() == []


def test_the_largest_body_is_read(gate: Gate) -> None:
    gate.send(NEWS + " " * (BODY_BYTES_MAX - len(NEWS)))

    assert _answers(gate) == [200]


@pytest.mark.parametrize("path", ["/api/v1/links", "/api/v1/page-links", "/login"])
@pytest.mark.parametrize("is_said", [True, False])
def test_no_body_is_read_that_is_longer_than_any_of_ours(
    gate: Gate, path: str, is_said: bool
) -> None:
    """Nobody has shown a key yet when a body is read; some say its length, some do not."""
    body = b" " * (bodies.BODY_BYTES_MAX + 1)
    answer = gate.http.post(path, content=body if is_said else iter([body[:9], body[9:]]))

    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/api/v1/links", "/login"])
def test_a_body_that_never_ends_is_not_waited_for(
    gate: Gate, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_S_MAX", 0.3)
    line = http.client.HTTPConnection(gate.url.removeprefix("http://"), timeout=10)
    line.putrequest("POST", path)
    line.putheader("Content-Length", "2")
    line.endheaders(b"{")

    assert line.getresponse().status == 408
    line.close()


@pytest.mark.parametrize("name", ["teller", "nobody", "plaid2"])
def test_a_provider_that_is_off_has_no_gate(gate: Gate, name: str) -> None:
    assert gate.http.post(f"/webhooks/{name}", content=NEWS).status_code == 404


def test_only_posts_are_taken(gate: Gate) -> None:
    assert gate.http.get(HOOK).status_code == 405
