"""Teams: whose data it is."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.errors import NotFoundError, RefusedError
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import accounts, connections, erasures, teams


@dataclass(frozen=True)
class ListedTeam:
    """A team as an operator sees it. `erasure`: how far its erasure has come, None: none."""

    id: str
    name: str
    connections: int
    accounts: int
    created_at: datetime
    erasure: str | None


def list_teams(db: sa.Connection) -> list[ListedTeam]:
    """List the teams by name."""
    own_connections = sa.select(sa.func.count()).where(connections.c.team_id == teams.c.id)
    own_accounts = sa.select(sa.func.count()).where(accounts.c.team_id == teams.c.id)
    erasure = sa.select(erasures.c.state).where(
        erasures.c.team_id == teams.c.id, erasures.c.done_at.is_(None)
    )
    query = sa.select(
        teams.c.id,
        teams.c.name,
        own_connections.scalar_subquery().label("connections"),
        own_accounts.scalar_subquery().label("accounts"),
        teams.c.created_at,
        erasure.scalar_subquery().label("erasure"),
    )
    return [ListedTeam(*row) for row in db.execute(query.order_by(teams.c.name))]


def insert_team(db: sa.Connection, name: str, *, now: datetime) -> TeamId:
    """
    Make a team.

    Raises:
        RefusedError: there is one of this name, or the name is blank.
    """
    if not name.strip():
        raise RefusedError("a team needs a name")
    if db.scalar(sa.select(teams.c.id).where(teams.c.name == name)) is not None:
        raise RefusedError(f"there is a team {name!r} already")
    team_id = TeamId(new_id())
    db.execute(sa.insert(teams).values(id=team_id, name=name, created_at=now))
    return team_id


def hold_team(db: sa.Connection, team_id: TeamId) -> bool:
    """Hold off the erasure of a team until the transaction ends; False: it is gone."""
    held = sa.select(teams.c.id).where(teams.c.id == team_id)
    return db.scalar(held.with_for_update(read=True, key_share=True)) is not None


def load_team_by(db: sa.Connection, name_or_id: str) -> tuple[TeamId, str]:
    """
    Load a team's id and name by either.

    Raises:
        NotFoundError: there is none.
    """
    is_it = (teams.c.name == name_or_id) | (sa.cast(teams.c.id, sa.Text) == name_or_id.lower())
    row = db.execute(sa.select(teams.c.id, teams.c.name).where(is_it)).first()
    if row is None:
        raise NotFoundError(f"no team {name_or_id!r}; see `bank-pipeline teams list`")
    return TeamId(row.id), row.name


def find_team_id(db: sa.Connection, name_or_id: str) -> TeamId:
    """
    Return a team's id; an id is taken as it is, since a team may be erased by now.

    Raises:
        NotFoundError: no team has this name.
    """
    try:
        return TeamId(str(uuid.UUID(name_or_id)))
    except ValueError:
        return load_team_by(db, name_or_id)[0]
