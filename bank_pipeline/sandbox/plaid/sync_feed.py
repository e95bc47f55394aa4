"""
The change log behind `/transactions/sync`: what Plaid saw happen to one Item, in order.

Append-only, and derived from the world's events alone: which changes it holds depends on the
time it is caught up to, never on who read it or how often. Not thread-safe: its Item's lock
guards it.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from zlib import crc32

from bank_pipeline.sandbox.ledger import Entry, EntryState, LedgerEvent
from bank_pipeline.sandbox.plaid.ids import derive_transaction_id
from bank_pipeline.sandbox.plaid.readiness import Readiness, Stage, is_live, plaid_date
from bank_pipeline.sandbox.world import World


@dataclass
class Grant:
    """One account that an Item may see, from when to when. `account_id` is Plaid's."""

    world_account_id: str
    account_id: str
    granted_at: datetime
    revoked_at: datetime | None = None

    def sees_until(self, moment: datetime) -> datetime:
        """Return the latest moment up to `moment` of which the Item knows."""
        return moment if self.revoked_at is None else min(moment, self.revoked_at)


@dataclass(frozen=True)
class Row:
    """A transaction as an Item shows it: the bank's entry under Plaid's ids."""

    account_id: str
    transaction_id: str
    pending_transaction_id: str | None
    entry: Entry


@dataclass(frozen=True)
class Change:
    """
    One line of the log. `row` is None when the transaction was removed.

    `existed` says whether the transaction was there before; `stage` which collection found it,
    None for what happened after it.
    """

    account_id: str
    transaction_id: str
    row: Row | None
    existed: bool
    stage: Stage | None


@dataclass(frozen=True)
class Delta:
    """What applying the log from one position to another does, in the order it is paged."""

    changes: Sequence[Change]

    def page(self, offset: int, count: int) -> "Page":
        """Return `count` updates from `offset` on."""
        part = self.changes[offset : offset + count]
        rows = [(one.existed, one.row) for one in part]
        return Page(
            added=[row for existed, row in rows if row is not None and not existed],
            modified=[row for existed, row in rows if row is not None and existed],
            removed=[one for one in part if one.row is None],
            next_offset=offset + len(part),
            has_more=offset + len(part) < len(self.changes),
        )


@dataclass(frozen=True)
class Page:
    """One answer's worth of a delta."""

    added: Sequence[Row]
    modified: Sequence[Row]
    removed: Sequence[Change]
    next_offset: int
    has_more: bool


@dataclass
class _View:
    """What the Item has seen of one granted account."""

    sequence: int = 0
    opened: bool = False
    latest: dict[str, Entry] = field(default_factory=dict)  # by the world's entry id
    shown: dict[str, str] = field(default_factory=dict)  # entry id → transaction_id
    pendings: set[str] = field(default_factory=set)  # entry ids once shown as pending


class Feed:
    """One Item's log. Positions count from 0; position n is after the nth change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._views: dict[str, _View] = {}
        self._log: list[Change] = []
        self._rows: dict[str, Row] = {}
        self._stage = Stage.NOT_READY
        self._since = date.max
        self._paging: tuple[tuple[int, int, str | None], Delta] | None = None

    @property
    def head(self) -> int:
        """The position after the last change."""
        return len(self._log)

    @property
    def stage(self) -> Stage:
        """How much history the log holds."""
        return self._stage

    def rows(self) -> Sequence[Row]:
        """Return what is visible now, newest first."""
        return sorted(self._rows.values(), key=_newest_first)

    def changes(self, start: int) -> Sequence[Change]:
        """Return the log's lines after position `start`."""
        return self._log[start:]

    def catch_up(self, grants: Sequence[Grant], readiness: Readiness, now: datetime) -> None:
        """Append what the banks showed until `now`, stage by stage."""
        for stage, moment in (
            (Stage.INITIAL, readiness.initial_at),
            (Stage.HISTORICAL, readiness.historical_at),
        ):
            if self._stage < stage and moment <= now:
                self._collect(grants, readiness, stage)
        if self._stage is not Stage.NOT_READY:
            self._open_new(grants, now)
            self._follow(grants, now)

    def delta(self, start: int, end: int, account_id: str | None = None) -> Delta:
        """
        Return the net effect of the log from `start` to `end`, of one account if given.

        Each transaction occurs once at most; one that came and went in between does not occur.
        Source: https://plaid.com/docs/api/products/transactions/#transactionssync
        """
        asked = (start, end, account_id)
        if self._paging is None or self._paging[0] != asked:
            self._paging = (asked, self._net(start, end, account_id))  # a loop asks many times
        return self._paging[1]

    def _net(self, start: int, end: int, account_id: str | None) -> Delta:
        existed: dict[str, bool] = {}
        last: dict[str, tuple[int, Change]] = {}
        for position in range(start, end):
            change = self._log[position]
            if account_id is None or change.account_id == account_id:
                existed.setdefault(change.transaction_id, change.existed)
                last[change.transaction_id] = (position, change)
        net = [
            (_group(change), position, _with_existed(change, was_there))
            for transaction_id, (position, change) in last.items()
            if (was_there := existed[transaction_id]) or change.row is not None
        ]
        return Delta([change for _, _, change in sorted(net, key=lambda one: one[:2])])

    def _collect(self, grants: Sequence[Grant], readiness: Readiness, stage: Stage) -> None:
        moment = readiness.initial_at if stage is Stage.INITIAL else readiness.historical_at
        if self._stage is not Stage.NOT_READY:
            self._open_new(grants, moment)
            self._follow(grants, moment)
        self._stage, self._since = stage, readiness.since(stage)
        seen = [one for one in grants if one.revoked_at is None or one.revoked_at >= moment]
        for grant in seen:
            if grant.granted_at <= moment and not self._view(grant).opened:
                self._open(grant, moment)
        self._snapshot(seen, stage)

    def _open_new(self, grants: Sequence[Grant], now: datetime) -> None:
        for grant in grants:
            is_new = grant.revoked_at is None and not self._view(grant).opened
            if is_new and grant.granted_at <= now:
                self._open(grant, grant.granted_at)
                self._snapshot([grant], None)

    def _open(self, grant: Grant, moment: datetime) -> None:
        view = self._view(grant)
        view.opened = True
        for event in self._events(grant, moment):
            view.latest[event.entry.id] = event.entry

    def _snapshot(self, grants: Iterable[Grant], stage: Stage | None) -> None:
        found = [
            (grant, entry)
            for grant in grants
            for entry in self._view(grant).latest.values()
            if entry.id not in self._view(grant).shown and self._is_visible(entry)
        ]
        found.sort(key=lambda one: (-plaid_date(one[1]).toordinal(), one[0].account_id, one[1].id))
        for grant, entry in found:
            self._upsert(grant, entry, stage)

    def _follow(self, grants: Sequence[Grant], now: datetime) -> None:
        opened = [grant for grant in grants if self._view(grant).opened]
        streams = (
            [(event.at, grant.account_id, event.sequence, grant, event) for event in events]
            for grant in opened
            if (events := self._events(grant, now))
        )
        for *_, grant, event in heapq.merge(*streams, key=lambda one: one[:3]):
            self._show(grant, event)

    def _show(self, grant: Grant, event: LedgerEvent) -> None:
        view, entry = self._view(grant), event.entry
        view.latest[entry.id] = entry
        old_id = view.shown.get(entry.id)
        new_id = _transaction_id(grant, entry) if self._is_visible(entry) else None
        if new_id is not None and new_id == old_id:
            self._upsert(grant, entry, None)
            return
        if old_id is not None:
            self._remove(grant, entry.id, old_id)
        if new_id is not None:
            self._upsert(grant, entry, None)

    def _upsert(self, grant: Grant, entry: Entry, stage: Stage | None) -> None:
        view, transaction_id = self._view(grant), _transaction_id(grant, entry)
        if entry.state is EntryState.PENDING:
            view.pendings.add(entry.id)
        row = Row(grant.account_id, transaction_id, _pending_id(grant, view, entry), entry)
        existed = transaction_id in self._rows
        view.shown[entry.id] = transaction_id
        self._rows[transaction_id] = row
        self._log.append(Change(grant.account_id, transaction_id, row, existed, stage))

    def _remove(self, grant: Grant, entry_id: str, transaction_id: str) -> None:
        del self._view(grant).shown[entry_id]
        del self._rows[transaction_id]
        self._log.append(Change(grant.account_id, transaction_id, None, existed=True, stage=None))

    def _events(self, grant: Grant, until: datetime) -> Sequence[LedgerEvent]:
        view = self._view(grant)
        events = self._world.events(
            grant.world_account_id, until=grant.sees_until(until), after_sequence=view.sequence
        )
        if events:
            view.sequence = events[-1].sequence
        return events

    def _is_visible(self, entry: Entry) -> bool:
        return is_live(entry) and plaid_date(entry) >= self._since

    def _view(self, grant: Grant) -> _View:
        return self._views.setdefault(grant.account_id, _View())


def _transaction_id(grant: Grant, entry: Entry) -> str:
    pending = entry.state is EntryState.PENDING
    return derive_transaction_id(grant.account_id, entry.id, pending=pending)


def _pending_id(grant: Grant, view: _View, entry: Entry) -> str | None:
    if entry.state is EntryState.PENDING or not entry.linked or entry.id not in view.pendings:
        return None
    return derive_transaction_id(grant.account_id, entry.id, pending=True)


def _group(change: Change) -> int:
    """
    Return 0, 1 or 2: removals go before or after all else, by the dice of their id.

    That way the two halves of a posting come in both orders and, when the delta is longer than
    a page, on different pages.
    """
    if change.row is not None:
        return 1
    return 2 * (crc32(change.transaction_id.encode()) % 2)


def _with_existed(change: Change, existed: bool) -> Change:  # noqa: FBT001 - two private values
    if change.existed == existed:
        return change
    return Change(change.account_id, change.transaction_id, change.row, existed, change.stage)


def _newest_first(row: Row) -> tuple[float, str]:
    day = datetime.combine(plaid_date(row.entry), datetime.min.time(), UTC)
    return (-day.timestamp(), row.transaction_id)
