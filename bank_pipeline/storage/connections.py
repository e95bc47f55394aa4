"""Connections, their status and its history, and the cursor of their change feed."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId, TeamId
from bank_pipeline.domain.transitions import Transition, settle
from bank_pipeline.errors import ConcurrentSyncError, NotFoundError, RefusedError
from bank_pipeline.storage.bell import ring
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import connection_events, connections, erasures, teams
from bank_pipeline.storage.teams import hold_team

_FIELDS: Final = [connections.c[name] for name in Connection.model_fields]
_LOAD_ONE: Final = sa.select(*_FIELDS).where(connections.c.id == sa.bindparam("connection_id"))
_LOCK_ONE: Final = _LOAD_ONE.with_for_update()


def ensure_team(db: sa.Connection, name: str, *, now: datetime) -> TeamId:
    """
    Return the team of this name, made if there is none.

    Raises:
        RefusedError: it is being erased.
    """
    query = sa.select(teams.c.id).where(teams.c.name == name)
    team_id = db.scalar(query)
    if team_id is None:
        row = {"id": new_id(), "name": name, "created_at": now}
        db.execute(insert(teams).values(row).on_conflict_do_nothing())
        team_id = db.execute(query).scalar_one()  # ours, or that of whoever was faster
    _check_stays(db, team_id)
    return TeamId(team_id)


def has_teams(db: sa.Connection) -> bool:
    """Say whether there is any team."""
    return db.scalar(sa.select(teams.c.id).limit(1)) is not None


def load_team(db: sa.Connection, name: str) -> TeamId:
    """
    Load the team of this name.

    Raises:
        NotFoundError: there is none; a team begins with its first link, or target of notices.
        RefusedError: it is being erased.
    """
    team_id = db.scalar(sa.select(teams.c.id).where(teams.c.name == name))
    if team_id is None:
        known = ", ".join(db.scalars(sa.select(teams.c.name).order_by(teams.c.name))) or "none yet"
        raise NotFoundError(
            f"no team {name!r} (there are: {known}); a team begins with its first link, key or "
            "target of notices"
        )
    _check_stays(db, team_id)
    return TeamId(team_id)


def _check_stays(db: sa.Connection, team_id: str) -> None:
    """Hold an erasure off until it can see what is about to be written for the team."""
    hold_team(db, TeamId(team_id))
    is_erased = sa.select(erasures.c.id).where(
        erasures.c.team_id == team_id, erasures.c.done_at.is_(None)
    )
    if db.scalar(is_erased) is not None:
        raise RefusedError("this team is being erased; see `bank-pipeline teams list`")


def load_team_name(db: sa.Connection, team_id: TeamId) -> str:
    """
    Load what a team is called.

    Raises:
        NotFoundError: it was erased.
    """
    name = db.scalar(sa.select(teams.c.name).where(teams.c.id == team_id))
    if name is None:
        raise NotFoundError("there is no such team")
    return str(name)


def load_connection(db: sa.Connection, connection_id: ConnectionId) -> Connection:
    """
    Load one connection.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
    """
    return _load(db, connection_id, for_update=False)


def lock_connection(db: sa.Connection, connection_id: ConnectionId) -> Connection:
    """
    Load one connection, and keep others from writing to it until the transaction ends.

    Whoever writes accounts as well locks the connection first: so nobody waits for each other.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
    """
    return _load(db, connection_id, for_update=True)


def load_connection_by_external_id(
    db: sa.Connection, provider: Provider, external_id: str, *, for_update: bool = False
) -> Connection | None:
    """
    Load the connection that the provider calls so; None when it is none of ours.

    With `for_update` as `lock_connection` does; one that is given another name while this waits
    is none of this name.
    """
    query = sa.select(*_FIELDS).where(
        connections.c.provider == provider, connections.c.external_id == external_id
    )
    row = db.execute(query.with_for_update() if for_update else query).mappings().one_or_none()
    return None if row is None else Connection.model_validate(dict(row))


def insert_or_renew_connection(  # noqa: PLR0913 - a row, by the names of its columns
    db: sa.Connection,
    *,
    team_id: TeamId,
    provider: Provider,
    external_id: str,
    institution_external_id: str | None,
    institution_name: str | None,
    now: datetime,
    consent_expires_at: datetime | None = None,
    first_sync_at: datetime | None = None,
) -> ConnectionId:
    """
    Store a newly linked connection, its first sync due at once or at `first_sync_at`.

    The same external id again is the same connection, told twice: it becomes due again and
    keeps all it had.

    Raises:
        ConcurrentSyncError: another team holds the connection of this external id.
    """
    connection_id = ConnectionId(new_id())
    statement = insert(connections).values(
        id=connection_id,
        team_id=team_id,
        provider=provider,
        external_id=external_id,
        institution_external_id=institution_external_id,
        institution_name=institution_name,
        status=ConnectionStatus.PENDING,
        status_reason="linked",
        status_since=now,
        history_stage=HistoryStage.AWAITING_INITIAL,
        consent_expires_at=consent_expires_at,
        next_attempt_at=first_sync_at or now,
        created_at=now,
    )
    # Two may complete one link at once: a command that asks, and the customer who comes back.
    inserted = statement.on_conflict_do_nothing().returning(connections.c.id)
    if db.execute(inserted).one_or_none() is not None:
        pending = ConnectionStatus.PENDING
        _insert_event(db, (connection_id, team_id), None, pending, "linked", None, now)
        return connection_id
    known = load_connection_by_external_id(db, provider, external_id)
    if known is None or known.team_id != team_id:
        raise ConcurrentSyncError("another team holds this connection")
    request_sync(db, known.id, reason="linked again", now=now)
    return known.id


def replace_connection(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    external_id: str,
    consent_expires_at: datetime | None,
    now: datetime,
) -> None:
    """
    Continue a connection under the name that a new consent has at the provider; due at once.

    Raises:
        ConcurrentSyncError: another connection has this name.
    """
    connection = load_connection(db, connection_id)
    known = load_connection_by_external_id(db, connection.provider, external_id)
    if known is not None and known.id != connection_id:
        raise ConcurrentSyncError("another connection has this consent")
    db.execute(
        connections.update()
        .where(connections.c.id == connection_id)
        .values(
            external_id=external_id,
            consent_expires_at=consent_expires_at,
            refused_beyond_days=None,  # a new consent may open more
            given_days=None,
            given_at=None,
        )
    )
    request_sync(db, connection_id, reason="consent renewed", now=now)


def request_sync(
    db: sa.Connection, connection_id: ConnectionId, *, reason: str, now: datetime
) -> None:
    """
    Make a connection syncable and due now, as after its consent was renewed.

    Its accounts will be read anew: a renewal may add some and withdraw others. One that we
    ended stays ended. Its status begins anew even where it is the same, so that a sync which
    began before has no say in it (`domain.transitions.settle`).
    """
    connection = lock_connection(db, connection_id)
    if connection.status is ConnectionStatus.DISCONNECTED:
        return
    is_new = connection.history_stage is HistoryStage.AWAITING_INITIAL
    status = ConnectionStatus.PENDING if is_new else ConnectionStatus.ACTIVE
    transition = Transition(status, reason, now, 0)
    apply_transition(
        db,
        connection,
        transition,
        sync_run_id=None,
        now=now,
        stored=connection,
        last_full_accounts_at=None,
        status_since=now,
    )


def set_sync_requested(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> None:
    """Note that somebody asks for a sync: the next whole one that begins is it. Rings the bell."""
    statement = connections.update().where(connections.c.id == connection_id)
    db.execute(statement.values(sync_requested_at=now))
    ring(db)


def request_accounts(db: sa.Connection, connection_id: ConnectionId) -> None:
    """Have the next sync read the full list of accounts, whatever the feed brings along."""
    db.execute(
        connections.update()
        .where(connections.c.id == connection_id)
        .values(last_full_accounts_at=None)
    )


def apply_transition(
    db: sa.Connection,
    seen: Connection,
    transition: Transition,
    *,
    sync_run_id: SyncRunId | None,
    now: datetime,
    is_success: bool = False,
    is_part: bool = False,
    stored: Connection | None = None,
    **facts: Any,  # noqa: ANN401 -- values of columns
) -> bool:
    """
    Write where a connection goes, and return whether that differs from where it stood.

    A change of status or reason is also a connection event. `facts` are further columns
    learned on the way, such as `consent_expires_at`. A sync of a part (`is_part`) is not the
    connection's turn, and leaves no trace of having tried.

    `seen` is what the transition was decided from; `domain.transitions.settle` says what
    becomes of it where somebody else changed the stored one since. `stored` is what this
    transaction read when it locked the connection, if it did.
    """
    stored = stored or _load(db, seen.id, for_update=True)
    settled = settle(transition, seen=seen, stored=stored, is_sync=sync_run_id is not None)
    values: dict[str, Any] = {
        "error_retries": settled.error_retries,
        "next_attempt_at": settled.next_attempt_at,
        **facts,
    }
    if sync_run_id is not None and not is_part:
        values["last_attempt_at"] = now
    if is_success:
        values["last_success_at"] = now
    after = (settled.status, settled.reason)
    has_changed = after != (stored.status, stored.status_reason)
    if has_changed:
        values |= {"status": settled.status, "status_reason": settled.reason}
    if settled.status is not stored.status:
        values["status_since"] = now
    db.execute(connections.update().where(connections.c.id == seen.id).values(values))
    if has_changed:
        _insert_event(db, (stored.id, stored.team_id), stored.status, *after, sync_run_id, now)
    return has_changed


def insert_notice(db: sa.Connection, connection: Connection, reason: str, *, now: datetime) -> None:
    """Write something that happened to a connection and left its status as it was."""
    status = connection.status
    _insert_event(db, (connection.id, connection.team_id), status, status, reason, None, now)


def load_open_connections(
    db: sa.Connection,
    team_id: TeamId,
    provider: Provider,
    institution_external_id: str | None = None,
    *,
    besides: Collection[ConnectionId] = (),
) -> list[Connection]:
    """
    Load a team's connections that were not ended, the oldest first.

    Those to one bank and whichever are named `besides`, or those to all.
    """
    query = sa.select(*_FIELDS).where(
        connections.c.team_id == team_id,
        connections.c.provider == provider,
        connections.c.status != ConnectionStatus.DISCONNECTED,
    )
    if institution_external_id is not None:
        is_of_bank = connections.c.institution_external_id == institution_external_id
        query = query.where(is_of_bank | connections.c.id.in_(besides))
    rows = db.execute(query.order_by(connections.c.created_at, connections.c.id)).mappings()
    return [Connection.model_validate(dict(row)) for row in rows]


def lease_connection(
    db: sa.Connection, connection: Connection, *, until: datetime, is_whole: bool = True
) -> Connection:
    """
    Plan the repetition of a sync that starts now, in case it is killed; its end plans anew.

    A whole one is what somebody may have asked for.

    Returns the connection with the plan in it, as the end of the sync must have seen it.
    """
    answered = {"sync_requested_at": None} if is_whole else {}
    statement = connections.update().where(connections.c.id == connection.id)
    db.execute(statement.values(next_attempt_at=until, **answered))
    return connection.model_copy(update={"next_attempt_at": until})


def advance_cursor(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    before: str | None,
    after: str | None,
    stage: HistoryStage,
) -> None:
    """
    Move the cursor by compare-and-set, together with the history stage.

    Raises:
        ConcurrentSyncError: it is not where we found it; nothing was written.
    """
    moved = db.execute(
        connections.update()
        .where(connections.c.id == connection_id, connections.c.cursor.is_not_distinct_from(before))
        .values(cursor=after, history_stage=stage)
        .returning(connections.c.id)
    ).one_or_none()
    if moved is None:
        raise ConcurrentSyncError(f"the cursor of connection {connection_id} moved meanwhile")


def _load(db: sa.Connection, connection_id: ConnectionId, *, for_update: bool) -> Connection:
    try:
        given = {"connection_id": str(uuid.UUID(connection_id))}
    except ValueError:
        raise NotFoundError(f"{connection_id!r} is not the id of a connection") from None
    row = db.execute(_LOCK_ONE if for_update else _LOAD_ONE, given).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"no connection {connection_id}; see `bank-pipeline connections`")
    return Connection.model_validate(dict(row))


def _insert_event(
    db: sa.Connection,
    whose: tuple[ConnectionId, TeamId],
    before: ConnectionStatus | None,
    after: ConnectionStatus,
    reason: str | None,
    sync_run_id: SyncRunId | None,
    now: datetime,
) -> None:
    db.execute(
        connection_events.insert().values(
            connection_id=whose[0],
            team_id=whose[1],
            at=now,
            from_status=before,
            to_status=after,
            reason=reason,
            sync_run_id=sync_run_id,
        )
    )
