"""The check of the inbox finds a webhook that was acknowledged and lost, or never covered."""

import hashlib
import json
from datetime import datetime

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.sandbox.delivery import Attempt, Delivery
from bank_pipeline.storage.connections import ensure_team, insert_or_renew_connection
from bank_pipeline.storage.webhook_events import insert_event
from chaos.inbox import LOST, WAITING, check_inbox

BODIES = {
    Provider.PLAID: '{"webhook_type": "TRANSACTIONS"}',
    Provider.TELLER: json.dumps({"id": "wh_1"}),
}


def acknowledged(provider: Provider, now: datetime) -> Delivery:
    delivery = Delivery(1, "http://127.0.0.1:9", "CODE", "external", BODIES[provider], now, None)
    delivery.delivered = True
    delivery.attempts = [Attempt(now, 200)]
    return delivery


def key_of(provider: Provider, now: datetime) -> str:
    if provider is Provider.TELLER:
        return "wh_1"
    body = hashlib.sha256(BODIES[provider].encode()).hexdigest()
    return hashlib.sha256(f"{int(now.timestamp())!r} {body}".encode()).hexdigest()


def store(db: sa.Connection, provider: Provider, now: datetime, *, needs_sync: bool) -> None:
    key = key_of(provider, now)
    event = ProviderEvent(provider, EventKind.SYNC, "CODE", "external", event_key=key)
    insert_event(db, event, needs_sync=needs_sync, now=now)


def link(db: sa.Connection, provider: Provider, now: datetime) -> None:
    insert_or_renew_connection(
        db,
        team_id=ensure_team(db, "team", now=now),
        provider=provider,
        external_id="external",
        institution_external_id=None,
        institution_name=None,
        consent_expires_at=None,
        now=now,
    )


@pytest.mark.parametrize("provider", [*BODIES])
def test_what_was_acknowledged_has_to_be_there_and_covered(
    engine: sa.Engine, now: datetime, provider: Provider
) -> None:
    """It is lost, then it waits for a sync, then all is well; a stranger's may wait."""
    delivery = acknowledged(provider, now)
    with engine.begin() as db:
        assert [*check_inbox(db, provider, [delivery])] == [f"{LOST}: {provider} CODE number 1"]

        store(db, provider, now, needs_sync=True)
        assert [*check_inbox(db, provider, [delivery])] == []

        link(db, provider, now)
        assert [*check_inbox(db, provider, [delivery])] == [f"{WAITING}: {provider} CODE number 1"]

        db.execute(sa.text("UPDATE bank.webhook_events SET handled_at = received_at"))
        assert [*check_inbox(db, provider, [delivery])] == []
