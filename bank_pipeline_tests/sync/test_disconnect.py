"""Ending a connection: revoked at the provider first, forgotten then, and dead for good."""

from decimal import Decimal

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import EndedError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.consents import (
    adopt_next_consent,
    load_next_consent,
)
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.sync.ground import CHECKING, Ground

REMOVE = "/item/remove"


def test_revokes_then_forgets_and_keeps_the_rows(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, Decimal(-1))
    connection = ground.link_ready()

    disconnect(ground.context, connection)

    held = ground.connection(connection)
    assert (held.status, held.next_attempt_at) == (ConnectionStatus.DISCONNECTED, None)
    assert ground.sandbox.plaid.item(held.external_id).removed
    assert ground.count("credentials") == 0
    assert len(ground.rows()) == 1


def test_a_second_time_does_nothing(ground: Ground) -> None:
    connection = ground.link_ready()
    disconnect(ground.context, connection)
    events, calls = ground.events(connection), ground.calls(REMOVE)

    disconnect(ground.context, connection)

    assert (ground.events(connection), ground.calls(REMOVE)) == (events, calls)


@pytest.mark.parametrize("kind", [FaultKind.LOST_ANSWER, "ITEM_NOT_FOUND"])
def test_an_item_that_is_gone_already_is_a_success(ground: Ground, kind: FaultKind | str) -> None:
    """Also when it was our own earlier try that removed it, and its answer was lost."""
    connection = ground.link_ready()
    ground.fail(REMOVE, kind)

    disconnect(ground.context, connection)

    assert ground.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert ground.count("credentials") == 0


def test_a_failure_stops_the_calls_and_keeps_the_secret_for_another_try(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail(REMOVE, "INTERNAL_SERVER_ERROR", times=3)

    report = disconnect(ground.context, connection)

    held = ground.connection(connection)
    assert (report.is_ended, held.status) == (False, ConnectionStatus.DISCONNECTED)
    assert held.status_reason == "not ended at the provider yet: INTERNAL_SERVER_ERROR"
    assert held.next_attempt_at == report.next_attempt_at
    assert ground.count("credentials") == 0
    with pytest.raises(EndedError):
        ground.sync(connection)
    assert ground.connection(connection).next_attempt_at == report.next_attempt_at
    assert disconnect(ground.context, connection).is_ended
    assert ground.query("SELECT ciphertext FROM bank.consents_to_end") == [(None,)]


def test_waits_for_no_sync(ground: Ground) -> None:
    connection = ground.link_ready()

    with connection_lock(ground.engine, connection):
        assert disconnect(ground.context, connection).is_ended

    assert ground.count("credentials") == 0


def test_a_sync_that_was_still_queued_does_not_bring_it_back(ground: Ground) -> None:
    connection = ground.link_ready()
    disconnect(ground.context, connection)

    runs = ground.runs(connection)
    with pytest.raises(EndedError):
        ground.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.next_attempt_at) == (ConnectionStatus.DISCONNECTED, None)
    assert ground.runs(connection) == runs


def exchange_consent(ground: Ground, connection: ConnectionId) -> None:
    """Put another consent in use, as a switch of providers or a second link does."""
    ground.add_next_consent(connection, f"next-of-{connection}", like=connection)
    with ground.engine.begin() as db:
        consent = load_next_consent(db, connection, ground.context.vault)
        assert consent is not None
        adopt_next_consent(db, load_connection(db, connection), consent, now=ground.context.clock())


def test_erases_what_was_told_of_its_earlier_consents_and_nothing_of_others(
    announced: Ground,
) -> None:
    connection, other = announced.link_ready(), announced.link_ready("login-3")
    for one in (connection, other):
        announced.fire(one, "PENDING_DISCONNECT")
        announced.sync(one)
    exchange_consent(announced, connection)
    named = "connection_external_id IS NOT NULL"  # of links, some name none
    query = f"SELECT DISTINCT connection_external_id FROM bank.webhook_events WHERE {named}"
    assert len(announced.query(query)) == 2

    assert disconnect(announced.context, connection, erase=True).is_erased

    assert announced.query(query) == [(announced.connection(other).external_id,)]
