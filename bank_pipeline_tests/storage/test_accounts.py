"""Accounts: written where they differ, closed only by a complete answer, never deleted."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.account import AccountIdentifiers
from bank_pipeline.errors import SecretError
from bank_pipeline.storage.account_numbers import find_by_number
from bank_pipeline.storage.accounts import (
    close_missing_accounts,
    load_account_ids,
    load_accounts,
    save_accounts,
)
from bank_pipeline.storage.beginnings import load_beginning
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.tables import accounts
from bank_pipeline_tests.builders import account
from bank_pipeline_tests.storage.linked import Linked, link
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


NUMBERED: Final = account(
    1,
    identifiers=AccountIdentifiers(iban="DE89 3704 0044 0532 0130 00", bic="COBADEFFXXX"),
    stable_external_ids=("iban:DE89370400440532013000", "d2f1c2"),
)


def test_an_accounts_numbers_are_sealed_and_come_back(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """In the row stand four digits, and what only compares."""
    save_accounts(db, linked.connection, [NUMBERED], vault=VAULT, now=now)

    row = db.execute(sa.select(accounts).where(accounts.c.external_id == "acc-1")).one()
    told = load_accounts(db, linked.connection.id, vault=VAULT)

    assert NUMBERED in told
    assert row.masked_number == "3000"
    assert not any(
        part in repr([bytes(one) if isinstance(one, memoryview) else one for one in row])
        for part in ("3704", "0532", "COBADE", "d2f1c2")
    )


def test_equal_numbers_of_other_connections_are_found_without_being_opened(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """However they are grouped; of two banks, both."""
    other = link(db, now, external_id="item-2")
    by_number = account(2, identifiers=AccountIdentifiers(account_number="0532013000"))
    save_accounts(db, linked.connection, [NUMBERED], vault=VAULT, now=now)
    save_accounts(db, other.connection, [NUMBERED, by_number], vault=VAULT, now=now)

    found = find_by_number(db, "de89370400440532013000", vault=VAULT)

    assert {*found} == {linked.account_ids["acc-1"], other.account_ids["acc-1"]}
    assert find_by_number(db, "053 2013 000", vault=VAULT) == [other.account_ids["acc-2"]]
    assert find_by_number(db, "DE00370400440532013000", vault=VAULT) == []
    assert find_by_number(db, "DE89370400440532013000", vault=Vault([bytes(32)])) == []


def test_a_sealed_account_tells_nobody_who_guesses_its_number(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Its hash is keyed: of whoever knows all but ten digits, none could try them."""
    save_accounts(db, linked.connection, [NUMBERED], vault=VAULT, now=now)
    [stored] = db.scalars(
        sa.select(accounts.c.content_hash).where(accounts.c.name == NUMBERED.name)
    )
    content = NUMBERED.model_dump_json(exclude_none=True).encode()

    assert bytes(stored) != hashlib.blake2b(content, digest_size=16).digest()


def test_numbers_that_do_not_open_are_told_and_stay(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Those of another account, too, though both are ours."""
    save_accounts(db, linked.connection, [NUMBERED], vault=VAULT, now=now)
    moved = sa.text(
        "UPDATE bank.accounts a SET numbers_ciphertext = b.numbers_ciphertext FROM bank.accounts b "
        "WHERE a.external_id = 'acc-2' AND b.external_id = 'acc-1'"
    )
    db.execute(moved)

    with pytest.raises(SecretError, match=f"account {linked.account_ids['acc-2']}"):
        load_accounts(db, linked.connection.id, vault=VAULT)
