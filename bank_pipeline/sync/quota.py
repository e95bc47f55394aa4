"""Calls that a provider counts: spent by plan, one row each, and none above the limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.quota import PERIOD, Allowance, next_call_at
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.answers import QuotaSeen
from bank_pipeline.providers.base import Capabilities, Quota, Scope
from bank_pipeline.storage.calls import (
    ANSWERED,
    FAILED,
    finish_call,
    insert_call,
    load_last_applied,
    load_recent_calls,
)
from bank_pipeline.sync.context import Clock
from bank_pipeline.sync.reports import SyncReason

SPENT: Final = "QUOTA_SPENT"
FRESH_FOR: Final = timedelta(hours=6)
"""What one account brought so lately is not asked for again because a sibling failed."""

_FOR_PEOPLE: Final = frozenset({SyncReason.INITIAL, SyncReason.MANUAL, SyncReason.BACKFILL})


@dataclass
class SpentCall:
    """
    A call under way. `seen` is what its answer said of the quota.

    `counted` is how often the bank was asked for it: some answers take several calls there.
    One that is not whole is no reason to spare a repetition.
    """

    seen: QuotaSeen | None = None
    counted: int = 1
    is_whole: bool = True


class CallBook:
    """
    What one sync may call, and what it called.

    `is_user_present`: the customer is there right now, and the provider lets them look as
    often as they like.
    """

    def __init__(
        self,
        engine: sa.Engine,
        connection: Connection,
        capabilities: Capabilities,
        *,
        reason: SyncReason,
        is_user_present: bool,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._capabilities = capabilities
        # A first sync that failed is repeated by ourselves, with nobody waiting any more.
        is_repeated = reason is SyncReason.INITIAL and connection.error_retries > 0
        self._is_repetition = reason is SyncReason.RECOVERY or is_repeated
        self._is_scheduled = reason not in _FOR_PEOPLE or is_repeated
        self._is_free = is_user_present and capabilities.answers_present_users
        self._clock = clock
        self.answered: list[int] = []
        """The calls of this sync answered in full, for whoever applies what they brought."""

    def is_fresh(
        self, scope: Scope, account_external_id: str, *, since: datetime | None = None
    ) -> bool:
        """
        Say whether a repetition after a failure can spare this call: what it brings is here.

        Nothing from before `since` is: it was asked for something else.
        """
        if not self._is_repetition or self._capabilities.quota(scope) is None:
            return False
        with self._engine.connect() as db:
            last = load_last_applied(
                db, self._connection.id, account_external_id=account_external_id, scope=scope
            )
        if last is None or (since is not None and last < since):
            return False
        return self._clock() - last < FRESH_FOR

    @contextmanager
    def spend(self, scope: Scope, account_external_id: str) -> Iterator[SpentCall]:
        """
        Make one call inside; it is written before it is made.

        Raises:
            RateLimitedError: the quota is spent; `retry_after_s` says when it is not.
        """
        call = SpentCall()
        quota = self._capabilities.quota(scope)
        if quota is None or self._is_free:
            yield call
            return
        call_id = self._begin(quota, account_external_id)
        try:
            yield call
        except RateLimitedError as error:
            wait = PERIOD if error.retry_after_s is None else timedelta(seconds=error.retry_after_s)
            self._finish(call_id, FAILED, calls_left=0, resets_at=self._clock() + wait)
            raise
        except Exception:
            self._finish(call_id, FAILED, calls_left=None, resets_at=None)
            raise
        with self._engine.begin() as db:
            more = [self._insert(db, quota, account_external_id) for _ in range(1, call.counted)]
        seen = call.seen
        resets_in = seen.resets_in if seen else None
        for answered in (call_id, *more):
            if call.is_whole:
                self.answered.append(answered)
            self._finish(
                answered,
                ANSWERED,
                calls_left=seen.calls_left if seen else None,
                resets_at=None if resets_in is None else self._clock() + resets_in,
            )

    def _begin(self, quota: Quota, account_external_id: str) -> int:
        now = self._clock()
        with self._engine.begin() as db:
            past = load_recent_calls(
                db,
                self._connection.id,
                account_external_id=account_external_id,
                scope=quota.scope,
                counts_failures=quota.counts_failures,
                now=now,
            )
            allowance = Allowance(quota.calls_max, quota.scheduled_max)
            due = next_call_at(past, allowance, is_scheduled=self._is_scheduled, now=now)
            if due > now:
                raise RateLimitedError(
                    self._connection.provider,
                    quota.scope,
                    code=SPENT,
                    retry_after_s=(due - now).total_seconds(),
                )
            return self._insert(db, quota, account_external_id)

    def _insert(self, db: sa.Connection, quota: Quota, account_external_id: str) -> int:
        return insert_call(
            db,
            self._connection.id,
            account_external_id=account_external_id,
            scope=quota.scope,
            is_scheduled=self._is_scheduled,
            now=self._clock(),
        )

    def _finish(
        self, call_id: int, outcome: str, *, calls_left: int | None, resets_at: datetime | None
    ) -> None:
        with self._engine.begin() as db:
            finish_call(db, call_id, outcome=outcome, calls_left=calls_left, resets_at=resets_at)
