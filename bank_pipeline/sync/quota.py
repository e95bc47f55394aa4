"""
Every call of a sync: those that a provider counts are spent by plan, and none above the limit.

A counted call is written before it is made, together with those that are to follow it. The others
are kept here and written with the end of the sync, whatever that is.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.quota import Allowance, PastCall, calls_left, next_call_at
from bank_pipeline.domain.transitions import LEASE
from bank_pipeline.domain.waits import is_since
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.base import Capabilities, Quota, Scope
from bank_pipeline.providers.metering import CallMeter, EndedCall, PlannedCall, Subject
from bank_pipeline.storage.calls import (
    APPLIED,
    FAILED,
    AccountScope,
    CallResult,
    NewCall,
    delete_reserved_calls,
    finish_calls,
    insert_call,
    insert_ended_calls,
    load_depth_of_rows,
    load_last_applied,
    load_recent_calls,
    rename_calls,
    reserve_calls,
)
from bank_pipeline.sync.context import Clock
from bank_pipeline.sync.recording import is_success, to_result
from bank_pipeline.sync.reports import SyncReason

SPENT: Final = "QUOTA_SPENT"
FRESH_FOR: Final = timedelta(hours=6)
"""What one account brought so lately is not asked for again because a sibling failed."""

RESERVED: Final = "reserved"
"""The operation of a call that was planned, and not made as far as is known."""

_FOR_PEOPLE: Final = frozenset({SyncReason.INITIAL, SyncReason.MANUAL, SyncReason.BACKFILL})


@dataclass
class SpentCall:
    """
    Calls under way for one part of an account. `ids` are those that were counted.

    What is not whole is no reason to spare a repetition.
    """

    account_external_id: str
    is_whole: bool = True
    has_begun: bool = False
    ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Ticket:
    """A call that was granted, its rows if it is counted, and its place among the past ones."""

    call: NewCall
    quota: Quota | None
    ids: tuple[int, ...] = ()
    past: list[PastCall] = field(default_factory=list)
    place: int | None = None


class CallBook(CallMeter):
    """
    What one sync may call, and what it called.

    `db` is the session that holds the connection's lock, which commits each statement: when it
    is lost, so is the right to go on calling. `is_user_present`: the customer is there right
    now, and the provider lets them look as often as they like. Without `capabilities` there is
    no such provider, and nothing is called.
    """

    def __init__(
        self,
        db: sa.Connection,
        connection: Connection,
        capabilities: Capabilities | None,
        *,
        sync_run_id: SyncRunId,
        reason: SyncReason,
        is_user_present: bool,
        clock: Clock,
    ) -> None:
        self._db = db
        self._sync_run_id = sync_run_id
        is_repeated = reason is SyncReason.INITIAL and _was_tried(connection)
        self._is_repetition = reason is SyncReason.RECOVERY or is_repeated
        self._is_scheduled = reason not in _FOR_PEOPLE or is_repeated
        self._is_user_present = is_user_present
        self._clock = clock
        self._go_by(connection, capabilities)
        self._past: dict[AccountScope, list[PastCall]] | None = None
        self._applied: dict[AccountScope, datetime] | None = None
        self._spending: SpentCall | None = None
        self._ended: list[tuple[NewCall, CallResult]] = []
        self._results: dict[int, CallResult] = {}
        self._reserved: dict[AccountScope, int] = {}
        self._made: dict[int, NewCall] = {}
        self.answered: list[int] = []
        """The calls of this sync answered in full, for whoever applies what they brought."""

    @contextmanager
    def under(self, connection: Connection, capabilities: Capabilities) -> Iterator[None]:
        """
        Go by another consent of the connection inside, which may be another provider's.

        A person gave it a moment ago, so what is kept for people may be spent.
        """
        before, was_scheduled = (self._connection, self._capabilities), self._is_scheduled
        self._go_by(connection, capabilities)
        self._is_scheduled = False
        try:
            yield
        finally:
            self._go_by(*before)
            self._is_scheduled = was_scheduled

    def go_on_as(self, names: Mapping[str, str]) -> None:
        """Go on counting for accounts that go by another id now, {old: new}, where banks do."""
        if not names or not self._counts_outlive_consents:
            return
        past = self._load_all_past()
        for (account, scope), calls in [*past.items()]:
            if account in names:
                known = past.get((names[account], scope), [])
                past[names[account], scope] = sorted([*calls, *known], key=_called_at)

    def is_fresh(
        self, scope: Scope, account_external_id: str, *, since: datetime | None = None
    ) -> bool:
        """
        Say whether a repetition after a failure can spare this call: what it brings is here.

        Nothing from before `since` is: it was asked for something else.
        """
        if not self._is_repetition or scope not in self._quotas:
            return False
        if self._applied is None:
            self._applied = load_last_applied(self._db, self._connection.id)
        last = self._applied.get((account_external_id, scope))
        if last is None or (since is not None and last < since):
            return False
        now = self._clock()
        return is_since(last, now - FRESH_FOR, now=now)

    def is_read_deep(self, account_external_id: str) -> bool:
        """Say whether the rows that are here came by the deeper pass that is wanted now."""
        asked_at, name = self._connection.deep_requested_at, account_external_id
        scope = Scope.TRANSACTIONS
        found = load_depth_of_rows(self._db, self._connection.id, name, scope=scope)
        return found is not None and found[0] == Depth.DEEP and found[1] >= (asked_at or found[1])

    def reserve(self, wanted: Iterable[tuple[Scope, str]]) -> None:
        """
        Write the counted calls that are to be made now, all at once: one wait for the disk.

        `wanted` are parts of accounts. What may not be read now, or need not be, is not
        reserved, nor what a part takes beyond its first call. What is not made after all is
        forgotten at the end. A process that dies before leaves all of them: some were not made,
        and they count, from when it would have had to end, so that none counts too short.
        """
        if self._is_free:
            return
        now = self._clock()
        rows: dict[AccountScope, NewCall] = {}
        for scope, name in wanted:
            quota = self._quotas.get(scope)
            if quota is None or (name, scope) in self._reserved or self.is_fresh(scope, name):
                continue
            if self._due_at(quota, name, is_first=True, now=now) > now:
                continue
            call = PlannedCall(self._connection.provider, RESERVED, Subject(name, scope))
            row = replace(self._to_row(call, quota), is_counted=True, called_at=now + LEASE)
            rows[name, scope] = row
        self._reserved |= reserve_calls(self._db, [*rows.values()])

    @contextmanager
    def spend(self, scope: Scope, account_external_id: str) -> Iterator[SpentCall]:
        """
        Read one part of one account inside, with as many calls as that takes.

        Raises:
            RateLimitedError: the quota is spent; `retry_after_s` says when it is not.
        """
        quota = self._quotas.get(scope)
        if quota is not None and not self._is_free:
            self._check(quota, account_external_id, is_first=True)
        spending = self._spending = SpentCall(account_external_id)
        try:
            yield spending
        except Exception:
            # What they were made for did not come, whatever the answers were.
            for one in spending.ids:
                if one in self._results:
                    self._results[one] = replace(self._results[one], outcome=FAILED)
            raise
        finally:
            self._spending = None
        if spending.is_whole:
            self.answered += spending.ids

    def begin(self, call: PlannedCall) -> _Ticket:
        """
        Grant a call; one that is counted is written now.

        Further calls for the same part (a repetition, a page) may use what is kept for people:
        half an answer is worth nothing to them.

        Raises:
            RateLimitedError: the quota is spent; `retry_after_s` says when it is not.
        """
        subject = call.subject
        quota = self._quotas.get(subject.scope) if subject and subject.scope else None
        row = self._to_row(call, quota)
        if subject is None or quota is None or self._is_free:
            return _Ticket(row, None)
        past = self._load_past(subject.account_external_id, quota.scope)
        is_counted = subject.cost > 0
        if is_counted:
            is_first = not self._goes_on(subject)
            name = subject.account_external_id
            self._check(quota, name, is_first=is_first, cost=subject.cost)
        ids = self._insert(replace(row, is_counted=is_counted), subject.cost)
        past.append(PastCall(row.called_at, row.is_scheduled, is_counted, None, None))
        place = len(past) - 1
        past += [past[-1]] * (len(ids) - 1)
        return _Ticket(row, quota, ids, past, place)

    def end(self, ticket: object, ended: EndedCall) -> None:
        """Keep how a call ended; that a counted one failed is written now."""
        assert isinstance(ticket, _Ticket), "what `begin` returned"
        counts_failures = ticket.quota is not None and ticket.quota.counts_failures
        is_counted = bool(ticket.ids) and (is_success(ended) or counts_failures)
        result = to_result(ended, is_counted=is_counted, now=self._clock())
        if ticket.place is not None:
            ticket.past[ticket.place] = replace(
                ticket.past[ticket.place],
                is_counted=result.is_counted,
                calls_left=result.calls_left,
                resets_at=result.resets_at,
            )
        if not ticket.ids:
            self._ended.append((replace(ticket.call, is_counted=False), result))
            return
        results = dict.fromkeys(ticket.ids, result)
        if result.outcome == FAILED:
            finish_calls(self._db, results, self._made)
            return
        self._results |= results
        if self._spending is not None:
            self._spending.ids += ticket.ids

    def lowest_left(self, *, now: datetime) -> int | None:
        """Return how many calls are left where fewest are; None where none are counted."""
        if not self._quotas or self._past is None:
            return None  # nothing is counted, or nothing was called
        return min(
            (
                calls_left(past, self._quotas[Scope(scope)].calls_max, now=now)
                for (_, scope), past in self._past.items()
                if scope in self._quotas
            ),
            default=None,
        )

    def write(
        self, db: sa.Connection, *, is_applied: bool, renamed: Mapping[str, str] | None = None
    ) -> None:
        """
        Write how the calls ended; `is_applied` says that with them go the rows they brought.

        `renamed` are accounts that go by another id from now on, {old: new}: where banks go on
        counting, their calls go with them. May be written again when the transaction came to
        nothing.
        """
        applied = frozenset(self.answered if is_applied else ())
        finish_calls(
            db,
            {
                one: replace(result, outcome=APPLIED) if one in applied else result
                for one, result in self._results.items()
            },
            self._made,
        )
        delete_reserved_calls(db, self._reserved.values())
        insert_ended_calls(db, self._ended)
        if renamed and self._counts_outlive_consents:
            rename_calls(db, self._connection, renamed)

    def _go_by(self, connection: Connection, capabilities: Capabilities | None) -> None:
        self._connection, self._capabilities = connection, capabilities
        self._quotas = {one.scope: one for one in capabilities.quotas} if capabilities else {}
        can = capabilities
        self._is_free = self._is_user_present and can is not None and can.answers_present_users
        self._counts_outlive_consents = can is not None and can.counts_outlive_consents

    def _due_at(
        self,
        quota: Quota,
        account_external_id: str,
        *,
        is_first: bool,
        now: datetime,
        cost: int = 1,
    ) -> datetime:
        return next_call_at(
            self._load_past(account_external_id, quota.scope),
            Allowance(quota.calls_max, quota.scheduled_max),
            is_scheduled=self._is_scheduled and is_first,
            now=now,
            cost=cost,
        )

    def _check(
        self, quota: Quota, account_external_id: str, *, is_first: bool, cost: int = 1
    ) -> None:
        now = self._clock()
        due = self._due_at(quota, account_external_id, is_first=is_first, now=now, cost=cost)
        if due > now:
            raise RateLimitedError(
                self._connection.provider,
                quota.scope,
                code=SPENT,
                retry_after_s=(due - now).total_seconds(),
            )

    def _goes_on(self, subject: Subject) -> bool:
        spending = self._spending
        return (
            spending is not None
            and spending.account_external_id == subject.account_external_id
            and spending.has_begun
        )

    def _load_past(self, account_external_id: str, scope: Scope) -> list[PastCall]:
        return self._load_all_past().setdefault((account_external_id, scope), [])

    def _load_all_past(self) -> dict[AccountScope, list[PastCall]]:
        """Return the calls of a day, read once: nobody else writes them under the lock."""
        if self._past is None:
            self._past = load_recent_calls(self._db, self._connection.id, now=self._clock())
        return self._past

    def _insert(self, row: NewCall, cost: int) -> tuple[int, ...]:
        if self._spending is not None and cost:
            self._spending.has_begun = True
        key = (row.account_external_id or "", row.scope or "")
        reserved = self._reserved.pop(key, None) if cost else None
        ids = [] if reserved is None else [reserved]
        if reserved is not None:
            self._made[reserved] = row
        again = replace(row, operation=f"{row.operation} (counted again)")
        ids += [insert_call(self._db, again if n else row) for n in range(len(ids), cost)]
        return tuple(ids)

    def _to_row(self, call: PlannedCall, quota: Quota | None) -> NewCall:
        subject = call.subject
        spending = self._spending.account_external_id if self._spending else None
        return NewCall(
            provider=call.provider,
            operation=call.operation,
            connection_id=self._connection.id,
            sync_run_id=self._sync_run_id,
            account_external_id=subject.account_external_id if subject else spending,
            scope=subject.scope if subject else None,
            is_scheduled=self._is_scheduled,
            is_counted=False,
            called_at=self._clock(),
            calls_max=quota.calls_max if quota else None,
            scheduled_max=quota.scheduled_max if quota else None,
        )


def _was_tried(connection: Connection) -> bool:
    """Say whether a first sync was tried since the link: nobody waits for its repetition."""
    tried_at = connection.last_attempt_at
    is_since = tried_at is not None and tried_at >= connection.status_since
    return connection.error_retries > 0 or is_since


def _called_at(call: PastCall) -> datetime:
    return call.called_at
