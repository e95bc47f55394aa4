"""Whose row it is: written with each row that comes with a connection or an account."""

from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.storage.tables import accounts, connections

OF_GIVEN: Final = "belongs_to"
"""Parameter of statements that are built once: whose row is written."""


def team_of_connection(connection_id: sa.ColumnElement[Any] | str) -> sa.ScalarSelect[Any]:
    """Return the team of a connection, to be written with a row that comes with it."""
    query = sa.select(connections.c.team_id).where(connections.c.id == connection_id)
    return query.correlate_except(connections).scalar_subquery()


def team_of_account(account_id: sa.ColumnElement[Any] | str) -> sa.ScalarSelect[Any]:
    """Return the team of an account, to be written with a row that comes with it."""
    query = sa.select(accounts.c.team_id).where(accounts.c.id == account_id)
    return query.correlate_except(accounts).scalar_subquery()
