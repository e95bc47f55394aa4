"""Consents that are not yet in use, those to be ended, and what only a person can tell."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.columns import (
    moment,
    one_of,
    own_id,
    part_of,
    ref,
    sealed_by,
    team,
    text,
)
from bank_pipeline.storage.tables.base import metadata

next_consents = sa.Table(
    "next_consents",
    metadata,
    team(),
    *part_of("connection_id", "connections", is_key=True),
    text("provider", nullable=False),
    text("external_id", nullable=False),
    text("institution_external_id"),
    text("institution_name"),
    moment("consent_expires_at"),
    sa.Column("ciphertext", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    sa.Column("told_ciphertext", BYTEA),
    sealed_by("told_key_id", nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    text("last_error"),
    moment("created_at", nullable=False),
    one_of("provider", Provider),
    comment="A new consent of a connection, until it has read an account; the old one is in use "
    "meanwhile. told_ciphertext: accounts and balances that came with the link, sealed.",
)

consents_to_end = sa.Table(
    "consents_to_end",
    metadata,
    own_id(),
    ref("team_id", "teams", nullable=True),
    *part_of("connection_id", "connections", nullable=True, index=True),
    text("provider", nullable=False),
    text("reason", nullable=False),
    text("bound_to", nullable=False),
    sa.Column("ciphertext", BYTEA),
    sealed_by("key_id", nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    text("last_error"),
    moment("created_at", nullable=False),
    moment("next_attempt_at"),
    moment("ended_at"),
    one_of("provider", Provider),
    sa.CheckConstraint("connection_id IS NULL OR team_id IS NOT NULL", name="team_id"),
    sa.Index(
        "consents_to_end_due_idx",
        "next_attempt_at",
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
    comment="Consents that nobody uses any more, tried until the provider has ended them; the "
    "secret is forgotten then. team_id: NULL where that was not written down when it came.",
)

account_questions = sa.Table(
    "account_questions",
    metadata,
    own_id(),
    team(),
    *part_of("connection_id", "connections"),
    text("external_id", nullable=False),
    sa.Column("shown", JSONB, nullable=False),
    sa.Column("numbers_ciphertext", BYTEA),
    sealed_by("numbers_key_id", nullable=True),
    sa.Column("candidate_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
    moment("asked_at", nullable=False),
    moment("decided_at"),
    text("decision"),
    sa.Column("decided_account_id", UUID(as_uuid=False)),
    sa.CheckConstraint("decision IN ('new', 'same', 'moot')", name="decision"),
    sa.Index(
        "account_questions_open_key",
        "connection_id",
        "external_id",
        unique=True,
        postgresql_where=sa.text("decided_at IS NULL"),
    ),
    comment="Accounts that a bank shows and that may be known ones: a person tells. shown: the "
    "account as told, its numbers apart and sealed. candidate_ids: the accounts it could be.",
)
