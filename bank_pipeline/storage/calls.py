"""
Every call to a provider, for a while; those that it counts are written before they are made.

A process that dies in a counted call leaves its row, and the row counts: rather one call too few
than one too many. Rows of one connection are written under its lock. All other calls are written
together, when what they were made for has ended.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.quota import PERIOD, PastCall
from bank_pipeline.storage.tables import provider_calls

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
    """Load a connection's calls of the last 24 hours by what they read, oldest first."""
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
        )
        .order_by(columns.called_at, columns.id)
    )
    found: dict[AccountScope, list[PastCall]] = defaultdict(list)
    for account, scope, *facts in db.execute(query):
        found[account, scope].append(PastCall(*facts))
    return found


def rename_calls(db: sa.Connection, connection_id: ConnectionId, names: Mapping[str, str]) -> None:
    """Let the calls for accounts go with them to the ids that they go by now: {old: new}."""
    for old, new in names.items():
        is_its = (provider_calls.c.connection_id == connection_id) & (
            provider_calls.c.account_external_id == old
        )
        db.execute(provider_calls.update().where(is_its).values(account_external_id=new))


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


def insert_call(db: sa.Connection, call: NewCall) -> int:
    """Write that a call is about to be made; return the row's id."""
    return int(db.execute(_INSERT_CALL, asdict(call)).scalar_one())


def insert_ended_calls(db: sa.Connection, calls: Sequence[tuple[NewCall, CallResult]]) -> None:
    """Write calls that have ended, in one go."""
    if calls:
        rows = [{**asdict(call), **asdict(result)} for call, result in calls]
        db.execute(_INSERT_ENDED, rows)


def finish_calls(db: sa.Connection, results: Mapping[int, CallResult]) -> None:
    """Write how calls ended that were written before they were made, in one statement."""
    if not results:
        return
    told: dict[str, list[Any]] = {
        name: [getattr(result, name) for result in results.values()] for name in _RESULT_TYPES
    }
    db.execute(_FINISH_CALLS, {"ids": [*results], **told})


def delete_calls(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete calls made before this, at most `limit`; return how many."""
    old = sa.select(provider_calls.c.id).where(provider_calls.c.called_at < before).limit(limit)
    return db.execute(provider_calls.delete().where(provider_calls.c.id.in_(old))).rowcount


_RESULT_TYPES: Final[Mapping[str, sa.types.TypeEngine[Any]]] = {
    name: provider_calls.c[name].type
    for name in (
        "outcome",
        "is_counted",
        "calls_left",
        "resets_at",
        "http_status",
        "error_code",
        "request_id",
        "duration_ms",
    )
}
_INSERT_CALL: Final = provider_calls.insert().returning(provider_calls.c.id)
_INSERT_ENDED: Final = provider_calls.insert()


def _build_finish() -> sa.Update:
    """Build the update of many calls out of one array per column."""
    types = {"ids": sa.BigInteger(), **_RESULT_TYPES}
    arrays = (sa.bindparam(name, type_=ARRAY(type_)) for name, type_ in types.items())
    given = sa.func.unnest(*arrays).table_valued(*types, name="given").render_derived()
    statement = provider_calls.update().where(provider_calls.c.id == given.c.ids)
    return statement.values({name: given.c[name] for name in _RESULT_TYPES})


_FINISH_CALLS: Final = _build_finish()
