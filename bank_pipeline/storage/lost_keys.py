"""Give up what nobody can open any more, because its key is lost."""

from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.sealed_columns import SEALED
from bank_pipeline.storage.tables import (
    accounts,
    credentials,
    data_keys,
    link_sessions,
    raw_payloads,
)

_CLEARED: Final[dict[str, dict[str, Any]]] = {
    "account numbers": {"number_fingerprints": [], "content_hash": b""},
    "questions about accounts": {},
    "accounts of new consents": {},
}
"""What only loses a part, and what else changes with it: so the next sync brings it again."""


def load_unopenable(db: sa.Connection, key_id: str) -> list[ConnectionId]:
    """Load the connections whose credential a key has sealed."""
    query = sa.select(credentials.c.connection_id).where(credentials.c.key_id == key_id)
    return [ConnectionId(id_) for id_ in db.scalars(query.order_by(credentials.c.connection_id))]


def forget_sealed(db: sa.Connection, key_id: str) -> dict[str, int]:
    """Forget all that a key has sealed; return how much, by kind."""
    counts: dict[str, int] = {}
    for one in SEALED:
        is_lost = one.table.c[one.key_id] == key_id
        if one.kind in _CLEARED:
            empty = {one.ciphertext: None, one.key_id: None, **_CLEARED[one.kind]}
            done = db.execute(sa.update(one.table).where(is_lost).values(empty))
        else:
            done = db.execute(sa.delete(one.table).where(is_lost))
        if done.rowcount:
            counts[one.kind] = done.rowcount
    if any(one.table is data_keys and one.kind in counts for one in SEALED):
        _forget_fingerprints(db)
    return counts


def _forget_fingerprints(db: sa.Connection) -> None:
    """Give up what is found by fingerprints whose key is lost, too."""
    for table in (link_sessions, raw_payloads):
        db.execute(sa.delete(table))
    db.execute(sa.update(accounts).values(number_fingerprints=[], content_hash=b""))
