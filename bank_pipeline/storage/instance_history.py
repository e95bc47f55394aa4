"""
What Dagster's instance remembers, and how it forgets: its tables, over SQL.

Dagster has retention for ticks only. Whatever these statements delete, the UI's present state of
every partition stays as it is: the newest event of each kind per asset and partition is kept,
and with it its run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.samples import refresh_samples

BATCH_SIZE: Final = 5_000  # events looked at per statement: well below a second each
_FINISHED: Final = ["SUCCESS", "FAILURE", "CANCELED"]
_ENDED: Final = ["COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"]
HOUSEKEEPING_LOCK: Final = 7_203_715_411_906_254_811  # any number, the same in every process
_RUN_TAGS: Final = ["bank/connection", "dagster/partition"]
_EVENT_TYPES: Final = [
    "ASSET_FAILED_TO_MATERIALIZE",
    "ASSET_MATERIALIZATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_OBSERVATION",
]


@dataclass(frozen=True)
class Partitioned:
    """Assets whose partitions are the keys of one dynamic definition."""

    assets: tuple[str, ...]
    definition: str

    @property
    def asset_keys(self) -> list[str]:
        """Return the keys as Dagster stores them."""
        return [f'["{asset}"]' for asset in self.assets]


@contextmanager
def opened(url: str) -> Iterator[sa.Engine]:
    """Reach the instance's tables, wherever they are."""
    engine = build_engine(url, connections_max=2)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def housekeeping(engine: sa.Engine) -> Iterator[sa.Connection | None]:
    """
    Hold the instance's housekeeping lock, and yield its session; None: somebody else has it.

    Each statement commits by itself, so that a crash loses nothing but the rest of the work.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        if not session.scalar(_TRY_LOCK, {"key": HOUSEKEEPING_LOCK}):
            yield None
            return
        try:
            yield session
        finally:
            session.invalidate()  # the server lets go of the lock with the session


def delete_old_events(db: sa.Connection, partitioned: Partitioned, *, before: datetime) -> int:
    """
    Delete events of finished runs, but for the newest of each kind per asset and partition.

    Of partitions that are gone nothing is kept. Returns how many were deleted.
    """
    bound = {
        "assets": partitioned.asset_keys,
        "definition": partitioned.definition,
        "before": before.replace(tzinfo=None),
        "finished": _FINISHED,
        "limit": BATCH_SIZE,
    }
    deleted, after = 0, 0
    while True:
        chunk = db.execute(_DELETE_EVENTS, {**bound, "after": after}).one()
        deleted += int(chunk.deleted)
        # Events are numbered as they come: once a whole chunk is younger, so is the rest.
        if chunk.last_id is None or chunk.oldest >= bound["before"]:
            return deleted
        after = chunk.last_id


def delete_old_evaluations(db: sa.Connection, *, before: datetime) -> int:
    """Delete evaluations of checks, but for the newest of each; return how many."""
    return _repeat(db, _DELETE_EVALUATIONS, before=before.replace(tzinfo=None))


def delete_old_runs(db: sa.Connection, *, before: datetime) -> int:
    """Delete finished runs of which nothing else is kept; return how many."""
    return _repeat(db, _DELETE_RUNS, before=before.replace(tzinfo=None), finished=_FINISHED)


def delete_old_backfills(db: sa.Connection, *, before: datetime) -> int:
    """Delete backfills that have ended: each names all its partitions; return how many."""
    return _repeat(db, _DELETE_BACKFILLS, before=before.replace(tzinfo=None), ended=_ENDED)


def vacuum(db: sa.Connection) -> None:
    """Make the room of deleted events free for new ones."""
    db.execute(sa.text("SET statement_timeout = 0"))
    db.execute(sa.text("VACUUM (ANALYZE) event_logs"))


def refresh_own_samples(engine: sa.Engine) -> None:
    """Have the server forget the values that it sampled of what was deleted."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        refresh_samples(db, str(db.scalar(sa.text("SELECT current_schema()"))))


def load_remembered(
    db: sa.Connection, partitioned: Partitioned, partitions: Sequence[str]
) -> list[str]:
    """Load which of these partitions the instance still has events or own runs of."""
    bound = {
        "assets": partitioned.asset_keys,
        "ids": [*partitions],
        "tags": _RUN_TAGS,
        "types": _EVENT_TYPES,
    }
    return [*db.scalars(_REMEMBERED, bound)] if partitions else []


def forget_partition(db: sa.Connection, partitioned: Partitioned, partition: str) -> list[str]:
    """
    Delete all events of one partition, its own runs, and whatever other runs say of it.

    For one database transaction: what is done in part cannot be found again. A run under way
    is left, and so found again by `load_remembered`. Returns the runs that were deleted: their
    step logs may go as well.
    """
    bound = {
        "assets": partitioned.asset_keys,
        "id": partition,
        "tags": _RUN_TAGS,
        "types": _EVENT_TYPES,
        "finished": _FINISHED,
    }
    db.execute(_FORGET_WORDS, bound)  # first, because the events of the partition name the runs
    db.execute(_FORGET_EVENTS, bound)
    db.execute(_FORGET_STATUS, bound)
    for statement in _RENAME_IN_EVALUATIONS:
        db.execute(statement, bound)
    runs = [*db.scalars(_OWN_RUNS, bound)]
    for statement in (_DELETE_RUN_EVENTS, _DELETE_OWN_RUNS):
        db.execute(statement, {"runs": runs})
    return runs


def _repeat(db: sa.Connection, statement: sa.TextClause, **bound: object) -> int:
    deleted = 0
    while batch := db.execute(statement, {**bound, "limit": BATCH_SIZE}).rowcount:
        deleted += batch
    return deleted


_TRY_LOCK: Final = sa.text("SELECT pg_try_advisory_lock(:key)")
# A planned event is what shows a partition as failed, until it is materialised or planned anew.
_DELETE_EVENTS: Final = sa.text(
    """
    WITH chunk AS MATERIALIZED (
        SELECT id, run_id, asset_key, partition, dagster_event_type AS type, timestamp,
               CASE dagster_event_type
                   WHEN 'ASSET_MATERIALIZATION_PLANNED'
                   THEN ARRAY['ASSET_MATERIALIZATION_PLANNED', 'ASSET_MATERIALIZATION']
                   WHEN 'ASSET_FAILED_TO_MATERIALIZE'
                   THEN ARRAY['ASSET_FAILED_TO_MATERIALIZE', 'ASSET_MATERIALIZATION']
                   ELSE ARRAY[dagster_event_type]
               END AS later_types
        FROM event_logs WHERE id > :after ORDER BY id LIMIT :limit
    ), doomed AS (
        SELECT c.id FROM chunk c
        WHERE c.timestamp < :before
          AND NOT EXISTS (SELECT FROM runs r
                          WHERE r.run_id = c.run_id AND r.status <> ALL(:finished))
          AND NOT EXISTS (SELECT FROM asset_check_executions x
                          WHERE c.type = 'ASSET_CHECK_EVALUATION'
                            AND x.evaluation_event_storage_id = c.id)
          AND (c.asset_key IS NULL
               OR (c.partition IS NOT NULL AND EXISTS (
                   SELECT FROM event_logs n
                   WHERE n.asset_key = c.asset_key AND n.partition = c.partition
                     AND n.dagster_event_type = ANY(c.later_types) AND n.id > c.id))
               OR (c.partition IS NULL AND EXISTS (
                   SELECT FROM event_logs n
                   WHERE n.asset_key = c.asset_key AND n.partition IS NULL
                     AND n.dagster_event_type = ANY(c.later_types) AND n.id > c.id))
               OR (c.asset_key = ANY(:assets) AND NOT EXISTS (
                   SELECT FROM dynamic_partitions p
                   WHERE p.partitions_def_name = :definition AND p.partition = c.partition)))
    ), tags AS (
        DELETE FROM asset_event_tags g USING doomed d WHERE g.event_id = d.id
    ), deleted AS (
        DELETE FROM event_logs e USING doomed d WHERE e.id = d.id RETURNING e.id
    )
    SELECT (SELECT count(*) FROM deleted) AS deleted, max(id) AS last_id, min(timestamp) AS oldest
    FROM chunk
    """
)
_DELETE_EVALUATIONS: Final = sa.text(
    """
    DELETE FROM asset_check_executions WHERE id IN (
        SELECT x.id FROM asset_check_executions x
        WHERE x.create_timestamp < :before AND EXISTS (
            SELECT FROM asset_check_executions n
            WHERE n.asset_key = x.asset_key AND n.check_name = x.check_name AND n.id > x.id
              AND n.partition IS NOT DISTINCT FROM x.partition
              AND n.execution_status IN ('SUCCEEDED', 'FAILED'))
        LIMIT :limit)
    """
)
_DELETE_RUNS: Final = sa.text(
    """
    DELETE FROM runs WHERE run_id IN (
        SELECT r.run_id FROM runs r
        WHERE r.status = ANY(:finished) AND r.update_timestamp < :before
          AND NOT EXISTS (SELECT FROM event_logs e WHERE e.run_id = r.run_id)
          AND NOT EXISTS (SELECT FROM asset_check_executions x WHERE x.run_id = r.run_id)
        LIMIT :limit)
    """
)
_DELETE_BACKFILLS: Final = sa.text(
    """
    WITH doomed AS (
        SELECT id, key FROM bulk_actions
        WHERE status = ANY(:ended) AND timestamp < :before LIMIT :limit
    ), tags AS (
        DELETE FROM backfill_tags t USING doomed d WHERE t.backfill_id = d.key
    )
    DELETE FROM bulk_actions b USING doomed d WHERE b.id = d.id
    """
)
_REMEMBERED: Final = sa.text(
    """
    SELECT asked.id FROM unnest(CAST(:ids AS text[])) AS asked (id)
    WHERE EXISTS (SELECT FROM event_logs
                  WHERE asset_key = ANY(:assets) AND partition = asked.id
                    AND dagster_event_type = ANY(:types))
       OR EXISTS (SELECT FROM run_tags t WHERE t.key = ANY(:tags) AND t.value = asked.id)
    ORDER BY asked.id
    """
)
_FORGET_WORDS: Final = sa.text(
    """
    DELETE FROM event_logs e USING (
        SELECT DISTINCT run_id FROM event_logs
        WHERE asset_key = ANY(:assets) AND partition = :id AND dagster_event_type = ANY(:types)
    ) r
    WHERE e.run_id = r.run_id AND e.partition IS NULL AND position(:id IN e.event) > 0
    """
)
_FORGET_EVENTS: Final = sa.text(
    """
    WITH doomed AS (
        SELECT id FROM event_logs
        WHERE asset_key = ANY(:assets) AND partition = :id AND dagster_event_type = ANY(:types)
    ), tags AS (
        DELETE FROM asset_event_tags g USING doomed d WHERE g.event_id = d.id
    )
    DELETE FROM event_logs e USING doomed d WHERE e.id = d.id
    """
)
# The newest event of each asset is also kept here whole. NULL: Dagster looks for it in the events.
_FORGET_STATUS: Final = sa.text(
    """
    UPDATE asset_keys SET cached_status_data = NULL, last_materialization =
        CASE WHEN position(:id IN last_materialization) = 0 THEN last_materialization END
    WHERE asset_key = ANY(:assets)
    """
)
# What checks found stays on the screen, but leads to nobody.
_RENAME_IN_EVALUATIONS: Final = (
    sa.text(
        """
        UPDATE asset_check_executions
        SET evaluation_event = replace(evaluation_event, :id, 'erased')
        WHERE position(:id IN evaluation_event) > 0
        """
    ),
    sa.text(
        """
        UPDATE event_logs SET event = replace(event, :id, 'erased')
        WHERE dagster_event_type = 'ASSET_CHECK_EVALUATION' AND position(:id IN event) > 0
        """
    ),
)
_OWN_RUNS: Final = sa.text(
    """
    SELECT DISTINCT r.run_id FROM run_tags t JOIN runs r ON r.run_id = t.run_id
    WHERE t.key = ANY(:tags) AND t.value = :id AND r.status = ANY(:finished)
    """
)
_DELETE_RUN_EVENTS: Final = sa.text("DELETE FROM event_logs WHERE run_id = ANY(:runs)")
_DELETE_OWN_RUNS: Final = sa.text("DELETE FROM runs WHERE run_id = ANY(:runs)")
