"""Webhooks that come before their connection is stored: kept, and acted on when it is."""

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline_tests.sync.ground import CHECKING, Ground


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
    [item] = announced.sandbox.plaid.items
    announced.switch(
        "webhooks",
        url=item.webhook,
        body=f'{{"webhook_type": "ITEM", "webhook_code": "{code}", "item_id": "{item.item_id}"}}',
    )
    waiting = "SELECT kind FROM bank.webhook_events WHERE handled_at IS NULL AND kind <> 'sync'"
    assert len(announced.query(waiting)) == 1

    [connection] = announced.complete(session_id).connection_ids

    assert announced.connection(connection).status is status
    assert announced.query(waiting) == []
