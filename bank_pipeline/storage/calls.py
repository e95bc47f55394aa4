"""
Every call to a provider, for a while; those that it counts are written before they are made.

Those that a sync is going to make are written together, before the first of them. A process that
dies leaves its rows, and the rows count: rather some calls too few than one too many. Rows of one
connection are written under its lock. All other calls are written together, when what they were
made for has ended.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.quota import PERIOD, PastCall
from bank_pipeline.domain.transitions import LEASE
from bank_pipeline.domain.waits import CLOCKS_APART
from bank_pipeline.storage.belonging import OF_GIVEN, team_of_any
from bank_pipeline.storage.columns import given_rows
from bank_pipeline.storage.tables import provider_calls, sync_runs

ANSWERED: Final = "answered"
APPLIED: Final = "applied"
"""Answered, and what the answer said is in the tables."""

FAILED: Final = "failed"

AccountScope = tuple[str, str]
"""What a provider counts calls by: an account's external id, and what is read of it."""


@dataclass(frozen=True)
class NewCall:
    """A call as it is first written. `called_at` is when it began."""

    provider: Provider
    operation: str
    connection_id: ConnectionId | None
    sync_run_id: SyncRunId | None
    account_external_id: str | None
    scope: str | None
    is_scheduled: bool
    is_counted: bool
    called_at: datetime
    calls_max: int | None = None
    scheduled_max: int | None = None


@dataclass(frozen=True)
class CallResult:
    """How a call ended. `calls_left` and `resets_at` are the provider's word, None if none."""

    outcome: str
    is_counted: bool
    calls_left: int | None = None
    resets_at: datetime | None = None
    http_status: int | None = None
    error_code: str | None = None
    request_id: str | None = None
    duration_ms: int | None = None


def load_recent_calls(
    db: sa.Connection, connection_id: ConnectionId, *, now: datetime
) -> dict[AccountScope, list[PastCall]]:
    """
    Load a connection's calls of the last 24 hours by what they read, oldest first.

    Those that are reserved may lie ahead; what lies further ahead was made by a clock ahead.
    """
    columns = provider_calls.c
    query = (
        sa.select(
            columns.account_external_id,
            columns.scope,
            columns.called_at,
            columns.is_scheduled,
            columns.is_counted,
            columns.calls_left,
            columns.resets_at,
        )
        .where(
            columns.connection_id == connection_id,
            columns.scope.is_not(None),
            columns.called_at > now - PERIOD,
            columns.called_at <= now + LEASE + CLOCKS_APART,
        )
        .order_by(columns.called_at, columns.id)
    )
    found: dict[AccountScope, list[PastCall]] = defaultdict(list)
    for account, scope, *facts in db.execute(query):
        found[account, scope].append(PastCall(*facts))
    return found


def rename_calls(db: sa.Connection, connection: Connection, names: Mapping[str, str]) -> None:
    """Let the calls for accounts go with them to the ids that they have now: {old: new}."""
    columns = provider_calls.c
    for old, new in names.items():
        db.execute(
            provider_calls.update()
            .where(
                columns.connection_id == connection.id,
                columns.provider == connection.provider,  # of another one none goes on
                columns.account_external_id == old,
            )
            .values(account_external_id=new)
        )


def load_last_applied(
    db: sa.Connection, connection_id: ConnectionId
) -> dict[AccountScope, datetime]:
    """
    Return when the newest call was made whose answer is in the tables, by what it read.

    Not where a later one failed: what it was made for is not here.
    """
    columns = provider_calls.c
    newest = {
        outcome: sa.func.max(columns.called_at).filter(columns.outcome == outcome)
        for outcome in (APPLIED, FAILED)
    }
    query = (
        sa.select(columns.account_external_id, columns.scope, newest[APPLIED], newest[FAILED])
        .where(columns.connection_id == connection_id, columns.scope.is_not(None))
        .group_by(columns.account_external_id, columns.scope)
    )
    return {
        (account, scope): applied
        for account, scope, applied, failed in db.execute(query)
        if applied is not None and (failed is None or failed <= applied)
    }


def load_depth_of_rows(
    db: sa.Connection, connection_id: ConnectionId, account_external_id: str, *, scope: str
) -> tuple[str | None, datetime] | None:
    """Load how far back the sync looked that brought an account's newest rows, and when."""
    columns = provider_calls.c
    query = (
        sa.select(sync_runs.c.counts["depth"].as_string(), columns.called_at)
        .join(sync_runs, sync_runs.c.id == columns.sync_run_id)
        .where(
            columns.connection_id == connection_id,
            columns.account_external_id == account_external_id,
            columns.scope == scope,
            columns.outcome == APPLIED,
        )
    )
    row = db.execute(query.order_by(columns.called_at.desc()).limit(1)).one_or_none()
    return None if row is None else (row[0], row[1])


def load_last_balance_calls(db: sa.Connection, *, since: datetime) -> dict[ConnectionId, datetime]:
    """Return when balances were last asked for, of the connections of which any were since."""
    columns = provider_calls.c
    query = (
        sa.select(columns.connection_id, sa.func.max(columns.called_at))
        .where(columns.scope == "balances", columns.called_at >= since)
        .group_by(columns.connection_id)
    )
    return {ConnectionId(id_): called_at for id_, called_at in db.execute(query)}


def insert_call(db: sa.Connection, call: NewCall) -> int:
    """Write that a call is about to be made; return the row's id."""
    row = {**vars(call), OF_GIVEN: call.connection_id}
    return int(db.execute(_INSERT_CALL, row).scalar_one())


def reserve_calls(db: sa.Connection, calls: Sequence[NewCall]) -> dict[AccountScope, int]:
    """
    Write calls that are about to be made, in one statement; return the rows' ids by what they read.

    At most one for each part of an account.
    """
    if not calls:
        return {}
    rows = [vars(call) for call in calls]
    found = db.execute(_RESERVE, {"rows": json.dumps(rows, default=datetime.isoformat)})
    return {(row.account_external_id, row.scope): row.id for row in found}


def delete_reserved_calls(db: sa.Connection, ids: Collection[int]) -> None:
    """Forget calls that were not made after all."""
    if ids:
        db.execute(provider_calls.delete().where(provider_calls.c.id.in_(ids)))


def insert_ended_calls(db: sa.Connection, calls: Sequence[tuple[NewCall, CallResult]]) -> None:
    """Write calls that have ended, in one statement."""
    if calls:
        rows = [{**vars(call), **vars(result)} for call, result in calls]
        db.execute(_INSERT_ENDED, {"rows": json.dumps(rows, default=datetime.isoformat)})


def finish_calls(
    db: sa.Connection,
    results: Mapping[int, CallResult],
    made: Mapping[int, NewCall] = MappingProxyType({}),
) -> None:
    """
    Write how calls ended that were written before they were made, in one statement.

    `made` says of reserved ones what they became: which operation, and when.
    """
    if results:
        rows = [
            {"id": one, **(_to_made(made[one]) if one in made else {}), **vars(result)}
            for one, result in results.items()
        ]
        db.execute(_FINISH_CALLS, {"rows": json.dumps(rows, default=datetime.isoformat)})


def delete_calls(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete calls made before this, at most `limit`; return how many."""
    old = sa.select(provider_calls.c.id).where(provider_calls.c.called_at < before).limit(limit)
    return db.execute(provider_calls.delete().where(provider_calls.c.id.in_(old))).rowcount


def _to_made(call: NewCall) -> dict[str, Any]:
    return {name: getattr(call, name) for name in _MADE}


_MADE: Final = ("operation", "called_at")
_RESULTS: Final = tuple(field.name for field in fields(CallResult))
_BEGUN: Final = tuple(field.name for field in fields(NewCall) if field.name not in _RESULTS)
_ENDED: Final = (*_BEGUN, *_RESULTS)
_INSERT_CALL: Final = (
    provider_calls.insert()
    .values(team_id=team_of_any(sa.bindparam(OF_GIVEN)))
    .returning(provider_calls.c.id)
)


def _build_insert(names: Sequence[str]) -> sa.Insert:
    rows = given_rows(provider_calls, names)
    columns = [rows.c[name] for name in names]
    team_id = team_of_any(rows.c.connection_id)
    return provider_calls.insert().from_select([*names, "team_id"], sa.select(*columns, team_id))


def _build_finish() -> sa.Update:
    rows = given_rows(provider_calls, ("id", *_MADE, *_RESULTS))
    statement = provider_calls.update().where(provider_calls.c.id == rows.c.id)
    made = {name: sa.func.coalesce(rows.c[name], provider_calls.c[name]) for name in _MADE}
    return statement.values({name: rows.c[name] for name in _RESULTS} | made)


_INSERT_ENDED: Final = _build_insert(_ENDED)
_RESERVE: Final = _build_insert(tuple(field.name for field in fields(NewCall))).returning(
    provider_calls.c.id, provider_calls.c.account_external_id, provider_calls.c.scope
)
_FINISH_CALLS: Final = _build_finish()
