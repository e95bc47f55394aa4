"""
Which rows of which tables are a team's: for its export and its erasure.

Every table says here whose its rows are; a test demands it of new ones.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.storage.columns import SCHEMA
from bank_pipeline.storage.tables import (
    accounts,
    connections,
    metadata,
    teams,
    transactions,
    webhook_events,
)

NOBODYS: Final[Mapping[str, str]] = {
    "institutions": "the list of banks, the same for everybody",
    "operator_faults": "of the installation",
    "provider_health": "of the installation",
    "rate_limits": "of the installation",
    "webhook_refusals": "of the installation: counts of webhooks that were not believed",
    "audit_seals": "the chain over everybody's entries",
    "erasures": "of teams that are being erased",
}
"""Tables without rows of any one team, and why."""


def rows_of(table: sa.Table, team_id: str) -> sa.ColumnElement[bool]:
    """Return the condition under which a row of a table is the team's."""
    columns = table.c
    if table is teams:
        return columns.id == team_id
    if "team_id" in columns:
        return columns.team_id == team_id
    if table is webhook_events:
        of_connection = sa.select(connections.c.provider, connections.c.external_id)
        key = sa.tuple_(columns.provider, columns.connection_external_id)
        return key.in_(of_connection.where(connections.c.team_id == team_id))
    for name, owners in _OWNERS.items():
        if name in columns:
            own = sa.select(owners.c.id).where(owners.c.team_id == team_id)
            return columns[name].in_(own)
    raise AssertionError(f"{table.name} does not say whose its rows are")


def team_tables() -> list[sa.Table]:
    """Return the tables that hold rows of teams, those that others refer to first."""
    return [table for table in metadata.sorted_tables if table.name not in NOBODYS]


def count_rows(db: sa.Connection, team_id: str) -> dict[str, int]:
    """Count a team's rows in each table that has any."""
    counts = {table.name: int(db.scalar(_count(table, team_id)) or 0) for table in team_tables()}
    return {name: count for name, count in counts.items() if count}


def _count(table: sa.Table, team_id: str) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table).where(rows_of(table, team_id))


def table_of(name: str) -> sa.Table:
    """Return a table by its name."""
    return metadata.tables[f"{SCHEMA}.{name}"]


_OWNERS: Final = {
    "connection_id": connections,
    "account_id": accounts,
    "transaction_id": transactions,
}
