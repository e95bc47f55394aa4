"""Keys of programs that ask over HTTP."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.access import (
    ApiKey,
    KeyScope,
    Principal,
    digest_of,
    new_secret,
    parse_token,
    to_token,
)
from bank_pipeline.domain.ids import ApiKeyId, TeamId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import api_keys, teams

USED_EVERY: Final = timedelta(minutes=5)
"""That a key is in use is written down so often; at every request it would cost a write."""


@dataclass(frozen=True)
class ListedKey:
    """A key as an operator sees it."""

    id: str
    team_name: str
    name: str
    scope: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def insert_api_key(
    db: sa.Connection, team_id: TeamId, *, name: str, scope: KeyScope, now: datetime
) -> SecretStr:
    """Make a key and return it whole, this once."""
    key_id, secret = ApiKeyId(new_id()), new_secret()
    row = {
        "id": key_id,
        "team_id": team_id,
        "name": name,
        "scope": scope,
        "digest": digest_of(secret),
        "created_at": now,
    }
    db.execute(api_keys.insert(), row)
    return to_token(key_id, secret)


def authenticate(engine: sa.Engine, token: SecretStr, *, now: datetime) -> Principal | None:
    """Return whose key it is and what it allows; None when it opens nothing."""
    found = parse_token(token)
    if found is None:
        return None
    key_id, secret = found
    with engine.begin() as db:
        key = _load(db, key_id)
        if key is None or not key.opens_with(secret):
            return None
        if (key.last_used_at or key.created_at) < now - USED_EVERY:
            db.execute(_USED, {"used_id": key_id, "now": now})
    return Principal(key.id, key.team_id, key.scope)


def load_principal(engine: sa.Engine, key_id: ApiKeyId) -> Principal | None:
    """Return what a key allows that was shown before; None once it was taken back."""
    with engine.connect() as db:
        key = _load(db, key_id)
    return None if key is None or key.revoked_at else Principal(key.id, key.team_id, key.scope)


def _load(db: sa.Connection, key_id: ApiKeyId) -> ApiKey | None:
    row = db.execute(_LOAD, {"key_id": key_id}).mappings().one_or_none()
    return None if row is None else ApiKey(**{**row, "scope": KeyScope(row["scope"])})


def revoke_api_key(db: sa.Connection, key_id: str, *, now: datetime) -> TeamId:
    """
    Take a key back for good, and return whose it was.

    Raises:
        NotFoundError: there is none of this id, or it was taken back already.
    """
    is_this = sa.cast(api_keys.c.id, sa.Text) == key_id
    statement = api_keys.update().where(is_this, api_keys.c.revoked_at.is_(None))
    team_id = db.scalar(statement.values(revoked_at=now).returning(api_keys.c.team_id))
    if team_id is None:
        raise NotFoundError(f"no valid key {key_id}; see `bank-pipeline api-keys list`")
    return TeamId(team_id)


def list_api_keys(db: sa.Connection) -> list[ListedKey]:
    """List all keys, the newest first."""
    own = (api_keys.c[field.name] for field in fields(ListedKey) if field.name != "team_name")
    query = sa.select(*own, teams.c.name.label("team_name")).join(teams)
    rows = db.execute(query.order_by(api_keys.c.created_at.desc(), api_keys.c.id)).mappings()
    return [ListedKey(**row) for row in rows]


_LOAD: Final = sa.select(*(api_keys.c[field.name] for field in fields(ApiKey))).where(
    api_keys.c.id == sa.bindparam("key_id")
)
_USED: Final = (
    api_keys.update()
    .where(api_keys.c.id == sa.bindparam("used_id"))
    .values(last_used_at=sa.bindparam("now"))
)
