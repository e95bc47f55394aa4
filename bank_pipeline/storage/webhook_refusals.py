"""Webhooks that were not believed: counted by provider, reason and hour, and nothing else kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.storage.tables import webhook_refusals


@dataclass(frozen=True)
class Refused:
    """How often one provider's webhooks were refused for one reason, within one hour."""

    provider: Provider
    refusal: Refusal
    hour: datetime
    times: int
    first_at: datetime
    last_at: datetime


def add_refusals(db: sa.Connection, refused: Sequence[Refused]) -> None:
    """Add to what was counted: as many rows as there are hours and reasons, however many came."""
    statement = insert(webhook_refusals)
    columns, new = webhook_refusals.c, statement.excluded
    again = statement.on_conflict_do_update(
        index_elements=["provider", "refusal", "hour"],
        set_={
            "times": columns.times + new.times,
            "first_at": sa.func.least(columns.first_at, new.first_at),
            "last_at": sa.func.greatest(columns.last_at, new.last_at),
        },
    )
    # In one order, so that two gateways which count at once never wait for each other in a ring.
    ordered = sorted(refused, key=lambda one: (one.provider, one.refusal, one.hour))
    db.execute(again, [asdict(one) for one in ordered])


def load_refusals(db: sa.Connection, *, since: datetime) -> list[Refused]:
    """Load what was refused since then, to the hour, the newest first."""
    columns = webhook_refusals.c
    query = (
        sa.select(webhook_refusals)
        .where(columns.last_at >= since)
        .order_by(columns.last_at.desc(), columns.provider, columns.refusal)
    )
    return [
        Refused(**{**row, "provider": Provider(row.provider), "refusal": Refusal(row.refusal)})
        for row in db.execute(query).mappings()
    ]


def delete_refusals(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete the counts of hours before a time, at most `limit`; return how many."""
    key = sa.tuple_(
        webhook_refusals.c.provider, webhook_refusals.c.refusal, webhook_refusals.c.hour
    )
    oldest = (
        sa.select(webhook_refusals.c.provider, webhook_refusals.c.refusal, webhook_refusals.c.hour)
        .where(webhook_refusals.c.hour < before)
        .order_by(webhook_refusals.c.hour)
        .limit(limit)
    )
    return db.execute(sa.delete(webhook_refusals).where(key.in_(oldest))).rowcount
