"""What people and schedules look at: complete, in order, and never more than asked for."""

from datetime import date, datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.storage import listing
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.beginnings import load_beginning
from bank_pipeline.storage.connections import apply_transition
from bank_pipeline.storage.tables import connections
from bank_pipeline.storage.webhook_events import insert_event
from bank_pipeline_tests.builders import balance, pending, transaction
from bank_pipeline_tests.storage.linked import Linked, apply, link
from bank_pipeline_tests.storage.test_webhook_events import event

REVOKED = Transition(ConnectionStatus.REVOKED, "gone", None, 0)


def test_connections_are_listed_with_their_accounts(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """The newest first, each with its count of open accounts."""
    newer = link(db, now + timedelta(days=1), external_id="item-2").connection

    listed = listing.list_connections(db)

    assert [row.id for row in listed] == [newer.id, linked.connection.id]
    assert {(row.account_count, row.team_name, row.status) for row in listed} == {
        (2, "home", "pending")
    }


def test_accounts_are_listed_with_their_newest_balances(
    db: sa.Connection, linked: Linked, now: datetime, sync_run_id: SyncRunId
) -> None:
    """Debt is negative, and what the bank does not say is None, never zero."""
    for day, amount in enumerate(["1", "-2.5"]):
        save_balances(
            db,
            linked.connection,
            [balance(amount), balance("9", kind=BalanceKind.AVAILABLE, provider_type="available")],
            account_ids=linked.account_ids,
            sync_run_id=sync_run_id,
            now=now + timedelta(days=day),
        )
    save_choices(db, linked.account_ids.values(), now=now)
    apply(db, linked, transaction(1), pending(2), now=now)

    first, second = listing.list_accounts(db, connection_id=linked.connection.id)

    assert (str(first.booked), str(first.available), first.credit_limit) == ("-2.5", "9", None)
    assert (first.transaction_count, first.masked_number) == (2, "0001")
    assert (second.booked, second.transaction_count) == (None, 0)


def test_transactions_are_listed_newest_first_within_every_filter(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Dates are inclusive, removed rows are not shown, and a filter's text is only text."""
    given = [transaction(n, booking_date=date(2026, 1, n)) for n in (1, 2, 3)]
    odd = transaction(4, description="100% _off", account_external_id="acc-2")
    apply(db, linked, *given, odd, now=now)
    apply(db, linked, removed=frozenset({("acc-1", "txn-2")}), now=now)

    def amounts(**filters: object) -> list[int]:
        rows = listing.list_transactions(db, limit=10, **filters)  # type: ignore[arg-type]
        return [int(row.amount or 0) for row in rows]

    account_id = linked.account_ids["acc-1"]
    assert amounts(account_id=account_id) == [-3, -1]
    assert amounts(first=date(2026, 1, 1), last=date(2026, 1, 1)) == [-1]
    assert amounts(search="0% _") == [-4]
    assert amounts(search="card purchase") == [-3, -1]
    assert len(listing.list_transactions(db, limit=1)) == 1
    assert amounts(connection_id=link(db, now, external_id="item-2").connection.id) == []


def test_a_connection_is_due_when_its_next_try_has_come(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A new one is due as a first sync; a stopped one never is."""
    stopped = link(db, now, external_id="item-2").connection
    apply_transition(db, stopped, REVOKED, sync_run_id=None, now=now)

    early = listing.load_due_attempts(db, now=now - timedelta(seconds=1), limit=10)
    (due,) = listing.load_due_attempts(db, now=now, limit=10)

    assert early == []
    assert due == listing.DueAttempt(linked.connection.id, Provider.PLAID, now, is_first=True)
    assert listing.load_syncable_ids(db) == [linked.connection.id]
    assert set(listing.load_connection_ids(db)) == {linked.connection.id, stopped.id}


def test_a_first_sync_goes_before_repetitions_that_wait_for_longer(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """However many banks are down: a new customer sits before the page."""
    for number in range(3):
        waiting = link(db, now, external_id=f"item-{number + 2}").connection
        query = sa.update(connections).where(connections.c.id == waiting.id)
        day_ago = now - timedelta(days=1)
        db.execute(query.values(last_success_at=day_ago, next_attempt_at=day_ago))

    [due] = listing.load_due_attempts(db, now=now, limit=1)

    assert due.connection_id == linked.connection.id
    assert due.is_first


def test_waiting_events_are_one_per_connection(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A burst is one; those of stopped and of unknown connections do not wait for a sync."""
    stopped = link(db, now, external_id="item-2").connection
    apply_transition(db, stopped, REVOKED, sync_run_id=None, now=now)
    for key, external_id in (("a", "item-1"), ("b", "item-1"), ("c", "item-2"), ("d", "item-9")):
        insert_event(db, event(key, external_id=external_id), needs_sync=True, now=now)

    (waiting,) = listing.load_unhandled_events(db, now=now, limit=10)

    newest = load_beginning(db, linked.connection).newest_event_id
    assert (waiting.connection_id, waiting.newest_event_id) == (linked.connection.id, newest)
    assert waiting.received_at == now
