"""Which keys have sealed what is stored here: their names, and what becomes of them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA

from bank_pipeline.storage.columns import moment, sealed_by
from bank_pipeline.storage.tables.base import metadata

encryption_keys = sa.Table(
    "encryption_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("in_use_id", sa.Text, unique=True),
    moment("added_at", nullable=False),
    moment("retired_at"),
    sa.CheckConstraint(
        "in_use_id IS NOT DISTINCT FROM CASE WHEN retired_at IS NULL THEN id END",
        name="in_use",
    ),
    comment="Keys by their names, never the keys. Everything sealed refers to in_use_id, which is "
    "NULL once a key is retired: so none that seals anything can be, and a retired one seals "
    "nothing more.",
)

data_keys = sa.Table(
    "data_keys",
    metadata,
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("ciphertext", BYTEA, nullable=False),
    sealed_by("key_id", nullable=False),
    comment="Keys that are stored sealed, and so outlive the one that seals them: fingerprints, by "
    "which numbers and secrets are found again.",
)
