"""Who may ask over HTTP."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.storage.columns import moment, one_of, own_id, ref, text
from bank_pipeline.storage.tables.base import metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    own_id(),
    ref("team_id", "teams", index=True),
    text("name", nullable=False),
    text("scope", nullable=False),
    sa.Column("digest", BYTEA, nullable=False),
    moment("created_at", nullable=False),
    moment("last_used_at"),
    moment("revoked_at"),
    one_of("scope", KeyScope),
    comment="Keys of programs that ask over HTTP; the secret is kept by its digest alone.",
)

analysts = sa.Table(
    "analysts",
    metadata,
    sa.Column("login", sa.Text, primary_key=True),
    ref("team_id", "teams", index=True),
    moment("created_at", nullable=False),
    comment="Logins of the server that see the views in `analytics`, and whose rows they see "
    "there. Row-level security reads it.",
)
