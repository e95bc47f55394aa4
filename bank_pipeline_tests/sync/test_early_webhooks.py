"""Webhooks that come before their connection is stored: kept, and acted on when it is."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.storage.consents import store_next_consent
from bank_pipeline_tests.sync.ground import CHECKING, Ground


def tell(announced: Ground, code: str) -> None:
    """Have Plaid say something of the Item that was linked last."""
    item = [*announced.sandbox.plaid.items][-1]
    announced.switch(
        "webhooks",
        url=item.webhook,
        body=f'{{"webhook_type": "ITEM", "webhook_code": "{code}", "item_id": "{item.item_id}"}}',
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PENDING_DISCONNECT", ConnectionStatus.EXPIRING),
        ("USER_PERMISSION_REVOKED", ConnectionStatus.REVOKED),
    ],
)
def test_what_was_said_of_a_consent_before_it_was_stored_counts(
    announced: Ground, code: str, status: ConnectionStatus
) -> None:
    """Nobody says it again: Plaid heard that we have it."""
    session_id, url = announced.begin_link()
    announced.decide(url, "login-1", CHECKING)
    tell(announced, code)
    waiting = "SELECT kind FROM bank.webhook_events WHERE handled_at IS NULL AND kind <> 'sync'"
    assert len(announced.query(waiting)) == 1

    [connection] = announced.complete(session_id).connection_ids

    assert announced.connection(connection).status is status
    assert announced.query(waiting) == []


@pytest.mark.parametrize("is_old_one_told_of", [False, True])
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PENDING_DISCONNECT", ConnectionStatus.EXPIRING),
        ("USER_PERMISSION_REVOKED", ConnectionStatus.REVOKED),
    ],
)
def test_what_was_said_of_a_new_consent_before_it_was_in_use_counts_once_it_is(
    announced: Ground, code: str, status: ConnectionStatus, is_old_one_told_of: bool
) -> None:
    """Also where news of the old one came later, which the same sync covers."""
    connection = announced.link_ready("login-1", CHECKING)
    _, url = announced.begin_link()
    announced.decide(url, "login-1", CHECKING)
    new = [*announced.sandbox.plaid.items][-1]
    with announced.engine.begin() as db:
        store_next_consent(
            db,
            connection,
            Provider.PLAID,
            external_id=new.item_id,
            credential=SecretStr(new.access_token),
            institution=(None, None),
            consent_expires_at=None,
            told=None,
            vault=announced.context.vault,
            now=announced.context.clock(),
        )
    announced.pass_time(timedelta(minutes=5))
    tell(announced, code)
    if is_old_one_told_of:
        announced.fire(connection, "SYNC_UPDATES_AVAILABLE")

    announced.sync(connection)

    held = announced.connection(connection)
    assert (held.external_id, held.status) == (new.item_id, status)
    if status.is_syncable:
        announced.sync(connection)
        assert announced.connection(connection).status is status
