"""Which rows of which tables are a team's: for its export and its erasure."""

from typing import Any

import sqlalchemy as sa

from bank_pipeline.storage.tables import NOBODYS, audit_log, erasures, metadata, teams


def rows_of(table: sa.Table, team_id: str) -> sa.ColumnElement[bool]:
    """Return the condition under which a row of a table is the team's."""
    key: sa.Column[Any] = table.c.id if table is teams else table.c.team_id
    return key == team_id


def team_tables() -> list[sa.Table]:
    """Return the tables that hold rows of teams, those that others refer to first."""
    return [one for one in metadata.sorted_tables if one is teams or _is_of_teams(one)]


def _is_of_teams(table: sa.Table) -> bool:
    # An erasure outlives what it erases.
    return table.name not in NOBODYS and table is not erasures


def count_rows(db: sa.Connection, team_id: str) -> dict[str, int]:
    """Count a team's rows in each table that has any, but for what was noted of it for good."""
    held = [table for table in team_tables() if table is not audit_log]
    counts = {table.name: int(db.scalar(_count(table, team_id)) or 0) for table in held}
    return {name: count for name, count in counts.items() if count}


def _count(table: sa.Table, team_id: str) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table).where(rows_of(table, team_id))
