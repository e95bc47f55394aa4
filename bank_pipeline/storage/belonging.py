"""Whose row it is, written with each that comes with a connection or an account; whose consent."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.tables import accounts, connections, next_consents

OF_GIVEN: Final = "belongs_to"
"""Parameter of statements that are built once: whose row is written."""

# What comes with nothing is refused by its reference, whose error names ids; a missing team
# would be refused by one that quotes the whole row.
_NOBODY: Final = sa.literal(str(UUID(int=0)), sa.UUID(as_uuid=False))


def team_of_connection(connection_id: sa.ColumnElement[Any] | str) -> sa.ColumnElement[Any]:
    """Return the team of a connection, to be written with a row that comes with it."""
    return sa.func.coalesce(team_of_any(connection_id), _NOBODY)


def team_of_any(connection_id: sa.ColumnElement[Any] | str) -> sa.ScalarSelect[Any]:
    """Return the same, of a row that may come with no connection: then none."""
    query = sa.select(connections.c.team_id).where(connections.c.id == connection_id)
    return query.correlate_except(connections).scalar_subquery()


def team_of_account(account_id: sa.ColumnElement[Any] | str) -> sa.ColumnElement[Any]:
    """Return the team of an account, to be written with a row that comes with it."""
    query = sa.select(accounts.c.team_id).where(accounts.c.id == account_id)
    return sa.func.coalesce(query.correlate_except(accounts).scalar_subquery(), _NOBODY)


def is_consent_of_any(db: sa.Connection, provider: Provider, external_id: str) -> bool:
    """Say whether a connection of any team has this consent, in use or as its next one."""
    held = [
        sa.exists().where(table.c.provider == provider, table.c.external_id == external_id)
        for table in (connections, next_consents)
    ]
    return db.scalar(sa.select(sa.or_(*held))) is True
