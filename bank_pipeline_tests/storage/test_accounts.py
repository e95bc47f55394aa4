"""Accounts: written where they differ, closed only by a complete answer, never deleted."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.storage.accounts import (
    close_missing_accounts,
    load_account_ids,
    save_accounts,
)
from bank_pipeline.storage.beginnings import load_beginning
from bank_pipeline.storage.tables import accounts
from bank_pipeline_tests.builders import account
from bank_pipeline_tests.storage.linked import Linked
from bank_pipeline_tests.vaults import VAULT


def test_an_unchanged_account_is_not_written(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """The row's version stays the same."""
    versions = sa.text("SELECT ctid::text, xmin::text FROM bank.accounts ORDER BY id")
    before = db.execute(versions).all()

    saved = save_accounts(db, linked.connection, [account(1), account(2)], now=now, vault=VAULT)

    assert (saved.inserted, saved.updated, saved.unchanged) == (0, 0, 2)
    assert db.execute(versions).all() == before


def test_a_changed_account_keeps_its_id(db: sa.Connection, linked: Linked, now: datetime) -> None:
    """Only the changed one is written, and a new one beside it gets an id of its own."""
    later = now + timedelta(days=1)
    answered = [account(1, name="Renamed"), account(2), account(3)]

    saved = save_accounts(db, linked.connection, answered, now=later, vault=VAULT)

    assert (saved.inserted, saved.updated, saved.unchanged) == (1, 1, 1)
    ids = load_account_ids(db, linked.connection.id)
    assert linked.account_ids.items() <= ids.items()
    assert ids.keys() == {"acc-1", "acc-2", "acc-3"}
    row = db.execute(sa.select(accounts).where(accounts.c.id == ids["acc-1"])).one()
    assert (row.name, row.updated_at, row.created_at) == ("Renamed", later, now)
    assert row.masked_number == "0001"


def test_an_account_missing_from_a_complete_answer_is_closed_and_may_reopen(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """It keeps its id through both, and closing twice counts once."""
    connection = linked.connection

    closed = close_missing_accounts(db, connection.id, shown={"acc-1"}, now=now)
    again = close_missing_accounts(db, connection.id, shown={"acc-1"}, now=now)
    open_then = load_beginning(db, connection).open_accounts
    reopened = save_accounts(db, connection, [account(2)], now=now, vault=VAULT)

    assert (closed, again, reopened.updated) == (1, 0, 1)
    assert open_then == {"acc-1"}
    assert load_beginning(db, connection).open_accounts == {"acc-1", "acc-2"}
    assert load_account_ids(db, connection.id) == linked.account_ids


def test_an_answer_that_shows_nothing_closes_nothing(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """An empty list is a failure in disguise."""
    assert close_missing_accounts(db, linked.connection.id, shown=set(), now=now) == 0
