"""Who did what, in a chain; and which teams were erased. None of it refers to other tables."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.audit import ActorKind, AuditAction
from bank_pipeline.domain.erasure import ErasureState
from bank_pipeline.storage.columns import moment, one_of, own_id, text
from bank_pipeline.storage.tables.base import metadata

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    moment("at", nullable=False),
    text("actor_kind", nullable=False),
    text("actor_id"),
    text("action", nullable=False),
    sa.Column("team_id", UUID(as_uuid=False)),
    sa.Column("connection_id", UUID(as_uuid=False)),
    sa.Column("details", JSONB, nullable=False, server_default="{}"),
    one_of("actor_kind", ActorKind),
    one_of("action", AuditAction),
    sa.Index(
        "audit_log_connection_id_idx",
        "connection_id",
        postgresql_where=sa.text("connection_id IS NOT NULL"),
    ),
    comment="Who did what to whose data. Append-only: nobody may change or delete an entry. "
    "Ids and counts, no names; team and connection may be erased by now.",
)

audit_seals = sa.Table(
    "audit_seals",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.BigInteger, nullable=False, unique=True),
    moment("sealed_at", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    sa.Column("hash", BYTEA, nullable=False),
    comment="The chain over audit_log. digest: of the entry; hash: of the hash before, the entry's "
    "id, the time of the seal and the digest. Append-only.",
)

erasures = sa.Table(
    "erasures",
    metadata,
    own_id(),
    sa.Column("team_id", UUID(as_uuid=False), nullable=False),
    text("state", nullable=False),
    text("waits_for"),
    sa.Column("connection_ids", ARRAY(UUID(as_uuid=False)), nullable=False, server_default="{}"),
    sa.Column("counts", JSONB, nullable=False, server_default="{}"),
    moment("asked_at", nullable=False),
    moment("next_attempt_at"),
    moment("done_at"),
    one_of("state", ErasureState),
    sa.Index(
        "erasures_open_key",
        "team_id",
        unique=True,
        postgresql_where=sa.text("done_at IS NULL"),
    ),
    comment="Teams that are being erased, and were: how far it has come, and what was deleted. "
    "Ids and counts, no names.",
)
