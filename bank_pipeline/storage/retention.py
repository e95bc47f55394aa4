"""
How each table stays as small as it may be: kept, bounded by something else, or pruned by age.

A test holds the list to the database: a table without a policy fails it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.notices import NoticeState
from bank_pipeline.storage.tables import (
    account_questions,
    connection_events,
    consents_to_end,
    link_sessions,
    notifications,
    operator_faults,
    quarantine,
    sync_runs,
)
from bank_pipeline.storage.undoing import UNDO


class Fate(StrEnum):
    """What becomes of a table's rows."""

    KEPT = "kept"
    BOUNDED = "bounded"
    PRUNED = "pruned"


@dataclass(frozen=True)
class Policy:
    """What becomes of a table's rows, and the rule in words."""

    fate: Fate
    rule: str


_RAW: Final = "BANK_PIPELINE_RAW_RETENTION_DAYS (90)"
_RUNS: Final = "BANK_PIPELINE_SYNC_RUN_RETENTION_DAYS (400)"


def _kept(rule: str) -> Policy:
    return Policy(Fate.KEPT, rule)


def _bounded(rule: str) -> Policy:
    return Policy(Fate.BOUNDED, rule)


def _pruned(rule: str) -> Policy:
    return Policy(Fate.PRUNED, rule)


POLICIES: Final[Mapping[str, Policy]] = {
    "account_coverage": _bounded("a few ranges per account"),
    "account_questions": _pruned(f"{_RAW} after they were decided; open ones stay"),
    "accounts": _kept("what it is all for"),
    "analysts": _bounded("made by people"),
    "api_keys": _kept("made by people; revoked ones stay on the list"),
    "audit_log": _kept("one row per sync and per act of a person, for good"),
    "audit_seals": _kept("one row per row of the audit log, for good"),
    "balance_checkpoints": _bounded("one per account and type of balance"),
    "balance_checks": _kept("one row per difference that was found"),
    "balance_rules": _bounded("one per account"),
    "balance_series": _bounded("one per account and type of balance"),
    "balances": _kept("one row whenever a balance has changed"),
    "chosen_balances": _bounded("three per account"),
    "connection_events": _pruned(f"{_RUNS}; the newest of each connection stays"),
    "connections": _kept("ended ones, too: their rows refer to them"),
    "consents_to_end": _pruned(f"{_RAW} after their end; those to be ended stay"),
    "credentials": _bounded("one per connection"),
    "data_keys": _bounded("one"),
    "encryption_keys": _kept("one per key there ever was"),
    "erasures": _kept("one row per team that was erased"),
    "institutions": _bounded("by what providers offer"),
    "link_sessions": _pruned(f"{_RAW} after their end"),
    "next_consents": _bounded("one per connection"),
    "notification_preferences": _bounded("one per team"),
    "notification_targets": _bounded("made by people"),
    "notifications": _pruned(f"90 days; those that were given up {_RUNS}"),
    "operator_faults": _pruned(f"{_RAW} after they were over"),
    "provider_calls": _pruned("7 days"),
    "provider_health": _bounded("one per provider"),
    "quarantine": _pruned(f"{_RAW} after they were resolved; open ones stay"),
    "rate_limits": _pruned("a day after its last use"),
    "raw_payloads": _pruned(f"{_RAW} after the answer was last given"),
    "sync_runs": _pruned(
        f"{_RUNS} where they changed no transaction; each connection's newest stays, and those "
        f"that transactions name. What they leave for looking back: {_RAW}"
    ),
    "teams": _bounded("made by people"),
    "transaction_annotations": _bounded("one per transaction"),
    "transaction_revisions": _kept("what changed in a transaction, and when"),
    "transactions": _kept("what it is all for"),
    "webhook_events": _pruned(f"{_RAW} once they were handled, or nobody will"),
    "webhook_refusals": _pruned(_RAW),
}
"""By the names of our tables."""

_EVENTS: Final = "BANK_PIPELINE_EVENT_RETENTION_DAYS (14)"
_DAGSTER_RUNS: Final = "BANK_PIPELINE_RUN_RETENTION_DAYS (60)"

DAGSTER_POLICIES: Final[Mapping[str, Policy]] = {
    "alembic_version": _bounded("one row"),
    "asset_check_executions": _pruned(f"{_EVENTS}; the newest of each check stays"),
    "asset_daemon_asset_evaluations": _bounded("empty: no automation conditions are used"),
    "asset_event_tags": _pruned("with its event"),
    "asset_keys": _bounded("one per asset"),
    "backfill_tags": _pruned("with its backfill"),
    "bulk_actions": _pruned(f"{_DAGSTER_RUNS} where the backfill has ended"),
    "concurrency_limits": _bounded("one per limit"),
    "concurrency_slots": _bounded("by what runs at once"),
    "daemon_heartbeats": _bounded("one per daemon"),
    "dynamic_partitions": _bounded("one per connection that was not ended"),
    "event_logs": _pruned(f"{_EVENTS}; the newest of each kind, asset and partition stays"),
    "instance_info": _bounded("one row"),
    "instigators": _bounded("one per schedule and sensor"),
    "job_ticks": _pruned("`retention` in dagster.yaml: 1 to 30 days"),
    "jobs": _bounded("one per schedule and sensor"),
    "kvs": _bounded("one per cursor"),
    "pending_steps": _bounded("by what runs at once"),
    "run_tags": _pruned("with its run"),
    "runs": _pruned(f"{_DAGSTER_RUNS}; those that something kept refers to stay"),
    "secondary_indexes": _bounded("one per migration of Dagster's"),
    "snapshots": _bounded("one per version of a job: grows with releases"),
}
"""By the names of Dagster's tables."""


@dataclass(frozen=True)
class Aged:
    """Rows of a table that may go once they are older than some time."""

    table: sa.Table
    is_older: Callable[[datetime], sa.ColumnElement[bool]]


def delete_aged(db: sa.Connection, *, aged: Aged, before: datetime, limit: int) -> int:
    """Delete such rows, at most `limit`; return how many."""
    key = aged.table.c.id
    old = sa.select(key).where(aged.is_older(before)).limit(limit)
    return db.execute(sa.delete(aged.table).where(key.in_(old))).rowcount


def _changed_nothing() -> sa.ColumnElement[bool]:
    rows = sync_runs.c.counts["transactions"]
    counts = (
        sa.func.coalesce(rows[name].as_integer(), 0) for name in ("inserted", "updated", "removed")
    )
    is_named = sa.func.coalesce(sync_runs.c.counts["is_named"].as_boolean(), sa.false())
    return sa.and_(sum(counts, start=sa.literal(0)) == 0, ~is_named)  # by rows that it replayed


def _has_newer(table: sa.Table, order: str) -> sa.ColumnElement[bool]:
    newer: Any = table.alias("newer")
    return sa.exists().where(
        newer.c.connection_id == table.c.connection_id, newer.c[order] > table.c[order]
    )


ENDED: Final[Mapping[str, Aged]] = {
    "account_questions": Aged(account_questions, lambda at: account_questions.c.decided_at < at),
    "consents_to_end": Aged(consents_to_end, lambda at: consents_to_end.c.ended_at < at),
    "link_sessions": Aged(link_sessions, lambda at: link_sessions.c.finished_at < at),
    "operator_faults": Aged(operator_faults, lambda at: operator_faults.c.cleared_at < at),
    "quarantine": Aged(quarantine, lambda at: quarantine.c.resolved_at < at),
}
"""What is over: it goes as providers' answers do."""

PAST: Final[Mapping[str, Aged]] = {
    "connection_events": Aged(
        connection_events,
        lambda at: sa.and_(connection_events.c.at < at, _has_newer(connection_events, "id")),
    ),
    "notifications": Aged(
        notifications,
        lambda at: sa.and_(
            notifications.c.created_at < at, notifications.c.state == NoticeState.FAILED
        ),
    ),
    "sync_runs": Aged(
        sync_runs,
        lambda at: sa.and_(
            sync_runs.c.started_at < at,
            sync_runs.c.ended_at.is_not(None),
            sync_runs.c.lineage.is_(None),
            _changed_nothing(),
            sync_runs.c.reason != UNDO,  # what it took back names it
            _has_newer(sync_runs, "started_at"),
        ),
    ),
}
"""What happened: it goes as empty sync runs do."""
