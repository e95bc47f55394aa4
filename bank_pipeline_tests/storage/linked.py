"""A linked connection in the database, for tests of what is stored under one."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.changes import ChangePlan, keys_of, plan_changes
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.domain.transaction import Transaction, TransactionDelta
from bank_pipeline.storage.accounts import load_account_ids, save_accounts
from bank_pipeline.storage.connections import (
    ensure_team,
    insert_or_renew_connection,
    load_connection,
)
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.transaction_writes import AppliedCounts, apply_plan
from bank_pipeline.storage.transactions import load_stored
from bank_pipeline_tests.builders import account
from bank_pipeline_tests.vaults import VAULT


@dataclass(frozen=True)
class Linked:
    """A connection with two accounts, `acc-1` and `acc-2`."""

    connection: Connection
    account_ids: dict[str, AccountId]


def link(db: sa.Connection, now: datetime, *, external_id: str = "item-1") -> Linked:
    """Insert a connection of the team `home` with its accounts."""
    connection_id = insert_or_renew_connection(
        db,
        team_id=ensure_team(db, "home", now=now),
        provider=Provider.PLAID,
        external_id=external_id,
        institution_external_id="ins_1",
        institution_name="First Bank",
        now=now,
    )
    connection = load_connection(db, connection_id)
    save_accounts(db, connection, [account(1), account(2)], now=now, vault=VAULT)
    return Linked(connection, load_account_ids(db, connection_id))


def plan(
    db: sa.Connection,
    linked: Linked,
    *upserts: Transaction,
    removed: frozenset[tuple[str, str]] = frozenset(),
) -> ChangePlan:
    """Plan what an update means for the stored rows, as a sync does."""
    delta = TransactionDelta(upserts=upserts, removed=removed)
    stored = load_stored(db, account_ids=linked.account_ids, keys=keys_of(delta))
    return plan_changes(stored, delta)


def apply(
    db: sa.Connection,
    linked: Linked,
    *upserts: Transaction,
    removed: frozenset[tuple[str, str]] = frozenset(),
    now: datetime,
    sync_run_id: SyncRunId | None = None,
) -> AppliedCounts:
    """Apply an update to the stored rows, as a sync does; of this run, or of one of its own."""
    return apply_plan(
        db,
        plan(db, linked, *upserts, removed=removed),
        team_id=linked.connection.team_id,
        account_ids=linked.account_ids,
        sync_run_id=sync_run_id or SyncRunId(new_id()),
        now=now,
    )
