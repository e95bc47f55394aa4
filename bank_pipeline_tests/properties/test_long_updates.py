"""A long update, which is written page by page, comes to what all of it together comes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.stored import key_of
from bank_pipeline.domain.transaction import Transaction, TransactionDelta, TransactionStatus
from bank_pipeline.providers.answers import (
    AccountsAnswer,
    ChangedPage,
    ChangesAnswer,
    QuarantinedRow,
    fold_pages,
)
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.sync.feed import write_feed
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.reports import StepCounts, SyncReason, SyncRequest
from bank_pipeline.sync.started import StartedSync
from bank_pipeline_tests.sync.ground import READY, Ground

BEGIN: Final = date(2026, 6, 1)
LISTED: Final = ["account-1", "account-2"]
UNLISTED: Final = "account-3"
NAMES: Final = tuple("abcdefgh")
NOTHING: Final = TransactionDelta(upserts=(), removed=frozenset())


@dataclass
class Pages:
    """A long update that was read before."""

    pages: Sequence[ChangedPage]

    def __len__(self) -> int:
        return len(self.pages)

    def read(self, number: int) -> ChangedPage:
        return self.pages[number]


def to_row(
    account: str, name: str, pending: str | None, amount: int | None, day: int, *, is_pending: bool
) -> Transaction:
    on = BEGIN + timedelta(days=day)
    return Transaction(
        account_external_id=account,
        external_id=name,
        pending_external_id=None if is_pending or pending == name else pending,
        status=TransactionStatus.PENDING if is_pending else TransactionStatus.BOOKED,
        amount=None if amount is None else Decimal(amount),
        currency="USD",
        booking_date=None if is_pending else on,
        transaction_date=on,
        description="Blue Cup",
    )


accounts: Final = st.sampled_from([LISTED[0], LISTED[0], LISTED[0], LISTED[0], LISTED[1], UNLISTED])
names: Final = st.sampled_from(NAMES)
rows: Final = st.builds(
    to_row,
    accounts,
    names,
    st.one_of(st.none(), names),
    st.sampled_from([None, 1, 1, 1, 2]),
    st.integers(0, 1),
    is_pending=st.booleans(),
)
keys: Final = st.tuples(accounts, names)


@st.composite
def pages(draw: st.DrawFn) -> ChangedPage:
    upserts = {key_of(one): one for one in draw(st.lists(rows, max_size=4))}
    removed = frozenset(draw(st.lists(keys, max_size=3)))
    unread = frozenset(draw(st.lists(keys, max_size=2)))
    return ChangedPage(
        TransactionDelta(
            upserts=tuple(row for key, row in upserts.items() if key not in removed),
            removed=removed,
        ),
        unread,
        tuple(
            QuarantinedRow("sync", name, f"{account} {name}", "unfit") for account, name in unread
        ),
    )


updates: Final = st.lists(pages(), min_size=1, max_size=4)


@settings(
    max_examples=300,
    deadline=None,
    phases=(Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(updates, updates, updates, st.booleans())
def test_page_by_page_and_together_come_to_the_same(
    feed: "Feed",
    before: list[ChangedPage],
    later: list[ChangedPage],
    last: list[ChangedPage],
    is_replay: bool,
) -> None:
    """Whatever was stored, removed and restored before: the same rows, counts and quarantine."""
    _compare(feed, [before, later], last, is_replay=is_replay)


def test_a_row_that_vanished_days_before_goes_on_in_the_only_new_one(feed: "Feed") -> None:
    """It was paid three days before it is booked, under another name and without a link."""
    shown = to_row(LISTED[0], "a", None, 1, 0, is_pending=True)
    booked = to_row(LISTED[0], "b", None, 1, 3, is_pending=False)

    [row] = _compare(feed, [[to_page(shown)], [to_page(removed=shown)]], [to_page(booked)])

    assert (row.status, row.is_live) == ("booked", True)
    assert row.known_id is not None


def test_a_pending_row_that_was_taken_back_goes_on_under_another_name(feed: "Feed") -> None:
    shown, again = (to_row(LISTED[0], name, None, 1, 0, is_pending=True) for name in "ab")

    [row] = _compare(feed, [[to_page(shown)], [to_page(removed=shown)]], [to_page(again)])

    assert (row.status, row.is_live) == ("pending", True)
    assert row.known_id is not None


def test_a_row_that_is_stored_as_it_is_still_ends_the_live_one_that_it_books(
    feed: "Feed",
) -> None:
    pending = to_row(LISTED[0], "a", None, 1, 0, is_pending=False)
    books = to_row(LISTED[0], "b", "a", 2, 0, is_pending=False)

    rows = _compare(feed, [[to_page(pending, books)]], [to_page(books)])

    assert [row.is_live for row in rows] == [False, True]


def to_page(*upserts: Transaction, removed: Transaction | None = None) -> ChangedPage:
    gone = frozenset() if removed is None else frozenset([key_of(removed)])
    return ChangedPage(TransactionDelta(upserts=upserts, removed=gone), frozenset(), ())


def _compare(
    feed: "Feed",
    before: Sequence[Sequence[ChangedPage]],
    last: Sequence[ChangedPage],
    *,
    is_replay: bool = False,
) -> Sequence[Any]:
    """Write the last update in both ways over those before; return the rows that it left."""
    with feed.db.begin_nested() as everything:
        for update in before:
            feed.write(update)
        with feed.db.begin_nested() as once:
            together = feed.write(last, is_replay=is_replay)
            as_whole, set_aside = feed.state(), feed.set_aside
            once.rollback()
        by_page = feed.write(last, is_replay=is_replay, is_long=True)
        as_pages, set_aside_by_page = feed.state(), feed.set_aside
        everything.rollback()

    assert as_pages == as_whole
    assert by_page == together
    assert set_aside_by_page == set_aside
    return as_pages


@pytest.fixture
def feed(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator["Feed"]:
    # Where little is stored all of it is read, so that more could be compared than has to be.
    monkeypatch.setattr("bank_pipeline.storage.transactions.LOOK_UP_COST", 0)
    login = ground.world.add_login("us-harbor")
    connection_id = ground.link(login.id, *login.account_ids[:2])
    ground.pass_time(READY)
    ground.sync(connection_id)
    with ground.engine.connect() as db:
        yield Feed(db, ground, connection_id)
        db.rollback()


class Feed:
    """Writes updates as syncs do, inside one database transaction."""

    def __init__(self, db: sa.Connection, ground: Ground, connection_id: ConnectionId) -> None:
        self.db = db
        self._ground = ground
        self._connection = load_connection(db, connection_id)
        known = load_stored_accounts(db, connection_id, vault=ground.context.vault)
        renamed = dict(zip(known.held, LISTED, strict=True))
        for old, new in renamed.items():
            db.execute(_RENAME, {"id": known.held[old].id, "name": new})
        self._held = {new: known.held[old] for old, new in renamed.items()}
        self._accounts = tuple(
            one.model_copy(update={"external_id": renamed[one.external_id]})
            for one in known.accounts
        )
        self._newest: SyncRunId | None = None
        self.set_aside: set[QuarantinedRow] = set()

    def write(
        self, pages: Sequence[ChangedPage], *, is_replay: bool = False, is_long: bool = False
    ) -> StepCounts:
        quarantined = tuple(row for one in pages for row in one.quarantined)
        changes = ChangesAnswer(
            delta=NOTHING if is_long else fold_pages(pages),
            cursor_before=None,
            cursor_after="later",
            stage=HistoryStage.COMPLETE,
            accounts=AccountsAnswer(self._accounts, (), is_complete=False, status=None),
            calls_count=1,
            pages_count=len(pages),
            quarantined=() if is_long else quarantined,
            long=Pages(pages) if is_long else None,
        )
        self.set_aside = {*changes.quarantined}
        self._newest = SyncRunId(new_id())
        started = StartedSync(
            id=self._newest,
            request=SyncRequest(self._connection.id, SyncReason.SCHEDULE),
            connection=self._connection,
            planned_attempt_at=None,
            known_account_ids=frozenset(),
            awaited_account_ids=frozenset(),
            newest_event_id=0,
            started_at=self._ground.context.clock(),
        )
        return write_feed(
            self.db,
            started,
            Fetched(changes.accounts, changes, must_reconcile=is_replay, calls_count=0),
            changes,
            held=self._held,
            now=self._ground.context.clock(),
            set_aside=self.set_aside.update,
        ).counts

    def state(self) -> Sequence[Any]:
        """Return every row, under our own id when it was there before, and new ones without."""
        given = {"names": LISTED, "newest": self._newest}
        return self.db.execute(_STATE, given).all()


_RENAME: Final = sa.text("UPDATE bank.accounts SET external_id = :name WHERE id = :id")
_STATE: Final = sa.text("""
    SELECT a.external_id, t.external_id, t.pending_external_id, t.status, t.amount, t.booking_date,
           t.removed_at IS NULL AS is_live,
           CASE WHEN t.first_sync_run_id <> :newest THEN t.id END AS known_id
    FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id
    WHERE a.external_id = ANY(:names)
    ORDER BY 1, t.external_id
""")
