"""Bring the database to the schema of this release, or back."""

import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from bank_pipeline.errors import SetupError
from bank_pipeline.storage.columns import SCHEMA
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.engine import DAGSTER_SCHEMA, check_server
from bank_pipeline.storage.policies import ensure_policies
from bank_pipeline.storage.roles import ensure_roles, load_missing_roles

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x62616E6B  # "bank" in ASCII: one migration at a time per database
_VERSION: Final = sa.select(sa.table("alembic_version", sa.column("version_num"), schema=SCHEMA))
# Read as rows: to_regclass() answers from the session's cache, which a wait for our lock leaves
# stale, so that a session that saw no table before the wait would see none after it.
_VERSION_TABLE: Final = sa.text(
    "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = 'alembic_version')"
).bindparams(schema=SCHEMA)

_OWNS: Final = sa.text(
    "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'bank.teams'::regclass"
)


@dataclass(frozen=True)
class MigrationReport:
    """What `migrate` did. Nothing, most of the time."""

    from_revision: str | None
    to_revision: str
    missing_roles: frozenset[str] = frozenset()
    """Roles that could not be created; looked up only when something was migrated."""

    @property
    def has_changed(self) -> bool:
        """Say whether anything was migrated."""
        return self.from_revision != self.to_revision


def migrate(engine: sa.Engine, vault: Vault | None = None) -> MigrationReport:
    """
    Bring the database to this release: all of it in one transaction, or nothing.

    `vault` seals what an older release stored in clear. Several processes may call at once: one
    migrates, the others wait and find it done. Where there is nothing to do this costs one query.

    Raises:
        SetupError: the server is unusable, the database is newer than this release, or there is
            something to be sealed and no vault.
    """
    found = _load_known_revision(engine)
    if found == head():
        return MigrationReport(found, head())
    check_server(engine)
    with engine.begin() as db:
        _take_turns(db)
        found = load_revision(db)
        check_revision(found)  # a newer release may have had its turn before us
        if found == head():
            return MigrationReport(found, head())
        for schema in (SCHEMA, DAGSTER_SCHEMA):
            db.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        command.upgrade(_config(db, vault), "head")
        return MigrationReport(found, head(), _ensure_access(db))


def renew_access(engine: sa.Engine) -> frozenset[str]:
    """
    Give every role its rights and its rows anew; return the roles that are missing.

    For roles that an administrator has created since the last migration. Whoever does not own
    the tables has nothing to give.
    """
    with engine.begin() as db:
        _take_turns(db)
        return _ensure_access(db) if db.scalar(_OWNS) else load_missing_roles(db)


def downgrade(engine: sa.Engine, revision: str, vault: Vault | None = None) -> None:
    """
    Take the database back to a revision; "base" removes everything of ours, data included.

    `vault` opens what an older release wants in clear.

    What stays: the schema `bank` with the empty list of versions, Dagster's schema, and the
    roles, which other databases of the server may use.
    """
    with engine.begin() as db:
        _take_turns(db)
        if load_revision(db) is not None:
            command.downgrade(_config(db, vault), revision)


def load_revision(db: sa.Connection) -> str | None:
    """Return the revision the database is at; None: it was never migrated."""
    if not db.scalar(_VERSION_TABLE):
        return None
    revision = db.scalar(_VERSION)
    return None if revision is None else str(revision)


def load_pending(db: sa.Connection) -> tuple[str, ...]:
    """Return the revisions this release would still apply, oldest first."""
    found = load_revision(db)
    revisions = _revisions()
    return tuple(revisions[revisions.index(found) + 1 :] if found in revisions else revisions)


def is_known(revision: str) -> bool:
    """Say whether this release has such a revision; a newer release may have more."""
    return revision in _revisions()


def check_revision(found: str | None) -> None:
    """
    Check that this release knows the revision that a database is at.

    Raises:
        SetupError: it does not: a newer release was there.
    """
    if found is not None and found not in _revisions():
        raise SetupError(
            f"The database is at revision {found}, which this release does not know: it was "
            f"written by a newer one. Install that, or restore a backup of revision {head()}"
        )


def head() -> str:
    """Return the newest revision of this release."""
    return _revisions()[-1]


def _load_known_revision(engine: sa.Engine) -> str | None:
    try:
        with engine.connect() as db:
            found = load_revision(db)
    except sa.exc.OperationalError:
        check_server(engine)  # says what is wrong with it
        raise
    check_revision(found)
    return found


def _ensure_access(db: sa.Connection) -> frozenset[str]:
    missing = ensure_roles(db)
    ensure_policies(db)
    return missing


def _take_turns(db: sa.Connection) -> None:
    """Wait for other processes' migrations; ours may then take as long as it needs."""
    for setting in ("lock_timeout", "statement_timeout"):
        db.execute(sa.text(f"SET LOCAL {setting} = '30min'"))
    db.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _config(db: sa.Connection, vault: Vault | None) -> Config:
    config = Config()
    config.set_main_option("script_location", os.fspath(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = db
    config.attributes["vault"] = vault
    return config


def _revisions() -> tuple[str, ...]:
    """Return the revisions of this release, oldest first, read by one thread, once."""
    with _READING:
        return _read_revisions()


@cache
def _read_revisions() -> tuple[str, ...]:
    scripts = ScriptDirectory(os.fspath(_SCRIPTS)).walk_revisions("base", "heads")
    return tuple(script.revision for script in scripts)[::-1]


_READING: Final = threading.Lock()  # Alembic reads lazily, and not for several threads at once
