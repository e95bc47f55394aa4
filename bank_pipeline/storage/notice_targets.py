"""What teams want to be told of, and where it goes: addresses are secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.ids import TeamId
from bank_pipeline.domain.notices import Wishes, parse_kinds
from bank_pipeline.errors import NotFoundError, RefusedError, SecretError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.sealed_columns import notice_target
from bank_pipeline.storage.tables import (
    notification_preferences,
    notification_targets,
    teams,
)


@dataclass(frozen=True)
class Target:
    """Where a team's notices go. `url` is None where it does not open: its key is lost."""

    id: str
    name: str
    url: SecretStr | None


@dataclass(frozen=True)
class ListedTarget:
    """A target as people see it in a list: never its address."""

    id: str
    team_name: str
    name: str
    service: str
    created_at: datetime


@dataclass(frozen=True)
class ListedWishes:
    """What a team chose, as people see it in a list."""

    team_name: str
    kinds: list[str]
    large_amounts: dict[str, str]
    low_balances: dict[str, str]
    targets: int


def insert_target(
    db: sa.Connection,
    team_id: TeamId,
    name: str,
    url: SecretStr,
    *,
    service: str,
    vault: Vault,
    now: datetime,
) -> str:
    """
    Store where a team's notices go; with its first one it wants the usual kinds.

    Raises:
        RefusedError: the team has a target of this name.
    """
    target_id = new_id()
    sealed = vault.encrypt(url, notice_target(target_id))
    statement = insert(notification_targets).values(
        id=target_id,
        team_id=team_id,
        name=name,
        service=service,
        ciphertext=sealed.ciphertext,
        key_id=sealed.key_id,
        created_at=now,
    )
    inserted = statement.on_conflict_do_nothing().returning(notification_targets.c.id)
    if db.scalar(inserted) is None:
        raise RefusedError(f"there is a target {name!r} already: remove it first")
    usual = _to_row(Wishes()) | {"team_id": team_id, "updated_at": now}
    db.execute(insert(notification_preferences).values(usual).on_conflict_do_nothing())
    return target_id


def delete_target(db: sa.Connection, team_id: TeamId, name: str) -> None:
    """
    Forget where notices went; what waits goes to the others, and to none without one.

    Raises:
        NotFoundError: the team has no target of this name.
    """
    statement = sa.delete(notification_targets).where(
        notification_targets.c.team_id == team_id, notification_targets.c.name == name
    )
    if db.execute(statement).rowcount == 0:
        raise NotFoundError(f"no target {name!r}; see `bank-pipeline notify targets list`")


def load_targets(db: sa.Connection, team_id: TeamId, vault: Vault) -> list[Target]:
    """Load a team's targets with their addresses, the oldest first."""
    query = (
        sa.select(notification_targets)
        .where(notification_targets.c.team_id == team_id)
        .order_by(notification_targets.c.id)
    )
    return [Target(row.id, row.name, _open(row, vault)) for row in db.execute(query)]


def list_targets(db: sa.Connection) -> list[ListedTarget]:
    """List all targets without their addresses."""
    columns = notification_targets.c
    query = (
        sa.select(
            columns.id,
            teams.c.name.label("team_name"),
            columns.name,
            columns.service,
            columns.created_at,
        )
        .join(teams, teams.c.id == columns.team_id)
        .order_by(teams.c.name, columns.id)
    )
    return [ListedTarget(**row) for row in db.execute(query).mappings()]


def save_wishes(db: sa.Connection, team_id: TeamId, wishes: Wishes, *, now: datetime) -> None:
    """Keep what a team wants to be told of, in place of what it wanted before."""
    row = _to_row(wishes) | {"updated_at": now}
    statement = insert(notification_preferences).values(team_id=team_id, **row)
    db.execute(statement.on_conflict_do_update(index_elements=["team_id"], set_=row))


def load_wishes(db: sa.Connection, team_id: TeamId) -> Wishes | None:
    """Load what a team wants to be told of; None where it never chose."""
    columns = notification_preferences.c
    query = sa.select(notification_preferences).where(columns.team_id == team_id)
    row = db.execute(query).mappings().one_or_none()
    return None if row is None else to_wishes(dict(row))


def list_wishes(db: sa.Connection) -> list[ListedWishes]:
    """List what every team chose."""
    columns = notification_preferences.c
    count = (
        sa.select(sa.func.count())
        .where(notification_targets.c.team_id == columns.team_id)
        .scalar_subquery()
    )
    query = (
        sa.select(
            teams.c.name.label("team_name"),
            columns.kinds,
            columns.large_amounts,
            columns.low_balances,
            count.label("targets"),
        )
        .join(teams, teams.c.id == columns.team_id)
        .order_by(teams.c.name)
    )
    return [ListedWishes(**row) for row in db.execute(query).mappings()]


def to_wishes(row: Mapping[str, Any]) -> Wishes:
    """Read a stored row, or its JSON. Pure."""
    return Wishes(
        kinds=parse_kinds(row["kinds"]),
        large_amounts=_to_amounts(row["large_amounts"]),
        low_balances=_to_amounts(row["low_balances"]),
    )


def _open(row: sa.Row[Any], vault: Vault) -> SecretStr | None:
    try:
        return vault.decrypt(Sealed(bytes(row.ciphertext), row.key_id), notice_target(row.id))
    except SecretError:
        return None


def _to_amounts(stored: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(text) for currency, text in stored.items()}


def _to_row(wishes: Wishes) -> dict[str, Any]:
    return {
        "kinds": sorted(kind.value for kind in wishes.kinds),
        "large_amounts": {name: str(amount) for name, amount in wishes.large_amounts.items()},
        "low_balances": {name: str(amount) for name, amount in wishes.low_balances.items()},
    }
