"""Warnings that a consent ends, told before a new one is given, while that waits, and in vain."""

from datetime import timedelta

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.connections import lock_connection
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.sync.linked import keep_next_consent
from bank_pipeline_tests.sync.ground import Ground


def test_a_warning_is_heard_once_the_consent_that_was_to_come_is_given_up(
    announced: Ground,
) -> None:
    """It is not repeated; whoever renewed in vain has a week left to renew again."""
    connection, other = announced.link_ready(), announced.link("login-3")
    announced.add_next_consent(connection, "in-vain", like=other)
    announced.pass_time(timedelta(hours=1))
    announced.fire(connection, "PENDING_DISCONNECT")
    assert announced.connection(connection).status is ConnectionStatus.ACTIVE

    announced.break_item(other)
    announced.sync(connection)

    after = announced.connection(connection)
    assert announced.count("next_consents") == 0
    assert after.status is ConnectionStatus.EXPIRING
    assert after.status_reason == "ITEM/PENDING_DISCONNECT"


@pytest.mark.parametrize("is_mended", [False, True])
def test_a_warning_that_was_renewed_in_vain_stands(announced: Ground, *, is_mended: bool) -> None:
    """Unless the consent in use was mended itself since it was warned of."""
    connection, other = announced.link_ready(), announced.link("login-3")
    announced.fire(connection, "PENDING_DISCONNECT")
    announced.pass_time(timedelta(hours=1))
    if is_mended:
        session_id, url = announced.begin_link(renews=connection)
        announced.decide(url)
        announced.complete(session_id)
        announced.sync(connection)
    for name in ("in-vain", "in-vain-too"):
        renew_in_vain(announced, connection, name, like=other)
        announced.pass_time(timedelta(hours=1))
    assert announced.connection(connection).status is ConnectionStatus.ACTIVE

    announced.break_item(other)
    announced.sync(connection)

    after = announced.connection(connection)
    assert announced.count("next_consents") == 0
    if is_mended:
        assert after.status is ConnectionStatus.ACTIVE
    else:
        assert after.status is ConnectionStatus.EXPIRING
        assert after.status_reason == "ITEM/PENDING_DISCONNECT"


def renew_in_vain(
    ground: Ground, connection: ConnectionId, name: str, *, like: ConnectionId
) -> None:
    """Renew a connection by a new consent, which opens what another connection's does."""
    with ground.engine.begin() as db:
        linked = LinkedConnection(
            external_id=name,
            credential=load_credential(db, like, ground.context.vault),
            institution_external_id=None,
            institution_name=None,
        )
        held = lock_connection(db, connection)
        keep_next_consent(ground.context, db, held, Provider.PLAID, linked)
