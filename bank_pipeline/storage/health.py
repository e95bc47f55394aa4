"""What `doctor`, and whoever watches the gateway, say of the database."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import sqlalchemy as sa

from bank_pipeline.domain.circuit import ProviderHealth
from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.columns import SCHEMA
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import load_missing_keys
from bank_pipeline.storage.engine import check_server
from bank_pipeline.storage.migrate import is_known, load_pending, load_revision
from bank_pipeline.storage.provider_health import count_used, load_paused
from bank_pipeline.storage.roles import load_missing_roles


@dataclass(frozen=True)
class DatabaseHealth:
    """State of a database that answers and is new enough."""

    server_version: str
    revision: str | None
    """None: never migrated."""
    pending_revisions: tuple[str, ...]
    """What `bank-pipeline migrate` would apply, oldest first."""
    size_bytes: int
    """Of the whole database on disk, Dagster's tables included if they are in it."""
    table_bytes: dict[str, int]
    """Of our tables with their indexes, largest first."""
    missing_roles: frozenset[str]
    """Group roles an administrator would have to create; needed by people, not by us."""
    is_durable: bool
    """False: the server runs without fsync, and a power cut can destroy the data."""

    @property
    def is_migrated(self) -> bool:
        """Say whether the schema is the one of this release."""
        return not self.pending_revisions


class SchemaState(StrEnum):
    """
    How the tables stand to this release.

    NEWER is usual for moments, while a newer release takes over: that one has migrated.
    """

    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


@dataclass(frozen=True)
class Readiness:
    """
    What a database that answers says. None: it did not say, as while tables are being changed.

    `paused` are the providers that refuse our own keys, and whose syncs wait for that.
    """

    schema: SchemaState | None
    opens_credentials: bool | None
    paused: frozenset[Provider] | None


def load_readiness(engine: sa.Engine, vault: Vault) -> Readiness | None:
    """
    Look what the database says now; None when it does not answer.

    Waits for no lock: a migration of a newer release must not make this one look dead.
    """
    try:
        with engine.connect() as db:
            db.execute(_HASTE)
            db.commit()  # a failure further down would undo it
            return Readiness(
                schema=_tried(db, _load_schema_state),
                opens_credentials=_tried(db, lambda db: not load_missing_keys(db, vault)),
                paused=_tried(db, _load_paused),
            )
    except sa.exc.DBAPIError:
        return None


_HASTE: Final = sa.text("SELECT set_config('lock_timeout', '200ms', false)")
_Said = TypeVar("_Said")


def _tried(db: sa.Connection, load: Callable[[sa.Connection], _Said]) -> _Said | None:
    try:
        return load(db)
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        return None
    finally:
        db.rollback()


def _load_paused(db: sa.Connection) -> frozenset[Provider]:
    return frozenset(one.provider for one in load_paused(db))


def _load_schema_state(db: sa.Connection) -> SchemaState:
    revision = load_revision(db)
    if revision is not None and not is_known(revision):
        return SchemaState.NEWER
    return SchemaState.OLDER if load_pending(db) else SchemaState.CURRENT


def load_health(engine: sa.Engine) -> DatabaseHealth:
    """
    Look at the database without changing it.

    Raises:
        SetupError: it cannot be reached, or is unusable; the message says what to do.
    """
    version = check_server(engine)
    with engine.connect() as db:
        return DatabaseHealth(
            server_version=version,
            revision=load_revision(db),
            pending_revisions=load_pending(db),
            size_bytes=int(db.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0),
            table_bytes={name: int(size) for name, size in db.execute(_TABLE_BYTES)},
            missing_roles=load_missing_roles(db),
            is_durable=db.scalar(sa.text("SHOW fsync")) == "on",
        )


def load_pauses(engine: sa.Engine) -> list[ProviderHealth]:
    """
    Load the providers whose syncs wait; nothing where the tables are older than that.

    Raises:
        SetupError: the database cannot be reached.
    """
    check_server(engine)
    with engine.connect() as db:
        if load_pending(db):
            return []
        return load_paused(db)


def count_connections(engine: sa.Engine) -> dict[Provider, int]:
    """
    Count the connections that are synced through each provider; none where tables are older.

    Raises:
        SetupError: the database cannot be reached.
    """
    check_server(engine)
    with engine.connect() as db:
        return {} if load_pending(db) else count_used(db)


_TABLE_BYTES = sa.text(
    "SELECT relname, pg_total_relation_size(pg_class.oid) AS bytes FROM pg_class "
    "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
    "WHERE nspname = :schema AND relkind = 'r' ORDER BY bytes DESC, relname"
).bindparams(schema=SCHEMA)
