"""Forget what was only kept for a while."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import sqlalchemy as sa

from bank_pipeline.storage.calls import delete_calls
from bank_pipeline.storage.notices import delete_notices
from bank_pipeline.storage.rate_limits import delete_rate_limits
from bank_pipeline.storage.raw_payloads import delete_raw_payloads
from bank_pipeline.storage.retention import ENDED, PAST, delete_aged
from bank_pipeline.storage.sync_runs import delete_lineages, set_killed_sync_runs
from bank_pipeline.storage.webhook_events import delete_old_events
from bank_pipeline.storage.webhook_refusals import delete_refusals
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.link import expire_links

CALLS_KEPT: Final = timedelta(days=7)
RATES_KEPT: Final = timedelta(days=1)  # the slowest rate is one of an hour
NOTICES_KEPT: Final = timedelta(days=90)  # none is due for longer; what still lasts is told anew
RUNS_KEPT: Final = timedelta(days=400)
BATCH_SIZE: Final = 1_000  # rows deleted per transaction: an answer holds up to a megabyte


@dataclass(frozen=True)
class PruneReport:
    """
    How many rows were deleted, or closed because nobody will.

    `ended_deleted`: consents, links, questions, faults and quarantined rows that were over;
    `past_deleted`: syncs that changed nothing, former states, notices that were given up.
    """

    raw_payloads_deleted: int
    webhook_events_deleted: int
    webhook_refusals_deleted: int
    link_sessions_expired: int
    sync_runs_killed: int
    provider_calls_deleted: int
    rate_limits_deleted: int
    notices_deleted: int
    ended_deleted: int
    past_deleted: int


def prune(
    context: SyncContext, *, retention: timedelta, runs_kept: timedelta = RUNS_KEPT
) -> PruneReport:
    """
    Delete providers' answers and webhooks older than `retention`; close what was abandoned.

    What is over goes as the answers do, and empty syncs and former states after `runs_kept`; of
    each connection the newest stays. `storage.retention` has the rule for every table.

    Calls are needed for a day where they are counted, and kept for a week to look into. What runs
    left for looking back goes with the answers that it is about.

    In small transactions, so that it never holds up a sync, and repeatable after a crash. Files of
    the cache that are too old to be good go, too.
    """
    now = context.clock()
    payloads_count = _delete_all(context, delete_raw_payloads, before=now - retention)
    _delete_all(context, delete_lineages, before=now - retention)
    events_count = _delete_all(context, delete_old_events, before=now - retention)
    refusals_count = _delete_all(context, delete_refusals, before=now - retention)
    calls_count = _delete_all(context, delete_calls, before=now - CALLS_KEPT)
    limits_count = _delete_all(context, delete_rate_limits, before=now - RATES_KEPT)
    notices_count = _delete_all(context, delete_notices, before=now - NOTICES_KEPT)
    context.cache.prune()
    expired_count = expire_links(context)
    with context.engine.begin() as db:
        killed_count = set_killed_sync_runs(db, now=now)
    ended_count = sum(
        _delete_all(context, partial(delete_aged, aged=one), before=now - retention)
        for one in ENDED.values()
    )
    past_count = sum(
        _delete_all(context, partial(delete_aged, aged=one), before=now - runs_kept)
        for one in PAST.values()
    )
    return PruneReport(
        payloads_count,
        events_count,
        refusals_count,
        expired_count,
        killed_count,
        calls_count,
        limits_count,
        notices_count,
        ended_count,
        past_count,
    )


class _Delete(Protocol):
    def __call__(self, db: sa.Connection, *, before: datetime, limit: int) -> int: ...


def _delete_all(context: SyncContext, delete: _Delete, *, before: datetime) -> int:
    total = 0
    while True:
        with context.engine.begin() as db:
            batch = delete(db, before=before, limit=BATCH_SIZE)
        total += batch
        if batch < BATCH_SIZE:
            return total
