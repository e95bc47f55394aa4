"""Hold what the providers were told of their webhooks against our inbox."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.delivery import Delivery

LOST: Final = "acknowledged webhook lost"
WAITING: Final = "acknowledged webhook that no sync covered"
_EVENT: Final = sa.text(
    "SELECT w.handled_at, c.id AS connection_id FROM bank.webhook_events w "
    "LEFT JOIN bank.connections c ON c.provider = w.provider "
    "AND c.external_id = w.connection_external_id "
    "WHERE w.provider = :provider AND w.event_key = ANY(:keys)"
)


def check_inbox(
    db: sa.Connection, provider: Provider, acknowledged: Iterable[Delivery]
) -> Iterator[str]:
    """
    Yield what became of no webhook that was answered 200: lost, or never covered by a sync.

    Those about a connection that was never stored wait for it, which is right.
    """
    for delivery in acknowledged:
        where = f"{provider} {delivery.code} number {delivery.number}"
        bound = {"provider": provider, "keys": _keys_of(provider, delivery)}
        stored = db.execute(_EVENT, bound).all()
        if not stored:
            yield f"{LOST}: {where}"
        elif any(one.handled_at is None and one.connection_id is not None for one in stored):
            yield f"{WAITING}: {where}"


def _keys_of(provider: Provider, delivery: Delivery) -> list[str]:
    """
    Return the names under which a delivery may stand in the inbox.

    Teller's bodies carry an id. Plaid's are named by what was signed: the second, which may have
    ended between the attempt's time and its signature, and the body.
    """
    if provider is Provider.TELLER:
        return [str(json.loads(delivery.body)["id"])]
    second = int(delivery.attempts[-1].at.timestamp())
    body = hashlib.sha256(delivery.body.encode()).hexdigest()
    named = [f"{one!r} {body}" for one in (second, second + 1)]
    return [hashlib.sha256(name.encode()).hexdigest() for name in named]
