"""Accounts: written where they differ, closed where a complete answer no longer lists them."""

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.account import Account, AccountType
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.account_numbers import (
    SEALED_FIELDS,
    open_numbers,
    seal_numbers,
    to_fingerprints,
)
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.sealed_columns import account_numbers
from bank_pipeline.storage.tables import accounts


@dataclass(frozen=True)
class HeldAccount:
    """
    One account of ours, as a sync needs it beside what the bank tells.

    Where `moved_from` is given, its rows go by names of another id, at that provider.
    `is_excluded`: a person does not want it read.
    """

    id: AccountId
    type: AccountType
    is_closed: bool
    moved_from: Provider | None
    is_excluded: bool = False


@dataclass(frozen=True)
class SavedAccounts:
    """Rows that a save wrote and found equal, and all accounts there are then, by external id."""

    inserted: int
    updated: int
    unchanged: int
    held: Mapping[str, HeldAccount]


@dataclass(frozen=True)
class StoredAccounts:
    """The accounts of a connection as last told, and what is held of each, by external id."""

    accounts: tuple[Account, ...]
    held: Mapping[str, HeldAccount]

    @property
    def closed(self) -> frozenset[str]:
        """Return the external ids of the accounts that the bank lists no more."""
        return frozenset(name for name, one in self.held.items() if one.is_closed)

    @property
    def excluded(self) -> frozenset[str]:
        """Return the external ids of the accounts that nobody wants read."""
        return frozenset(name for name, one in self.held.items() if one.is_excluded)


def load_account_ids(db: sa.Connection, connection_id: ConnectionId) -> dict[str, AccountId]:
    """Load our ids of all accounts of a connection by their external ids, closed ones too."""
    query = sa.select(accounts.c.external_id, accounts.c.id).where(
        accounts.c.connection_id == connection_id
    )
    return {external_id: AccountId(id_) for external_id, id_ in db.execute(query)}


def load_stored_accounts(
    db: sa.Connection, connection_id: ConnectionId, *, vault: Vault
) -> StoredAccounts:
    """
    Load the accounts of a connection, closed ones too, with what is held of them.

    Raises:
        SecretError: the numbers of one do not open.
    """
    rows = db.execute(_STORED, {"connection_id": connection_id}).mappings().all()
    return StoredAccounts(
        tuple(_to_account(row, vault) for row in rows),
        {row["external_id"]: _to_held(row) for row in rows},
    )


_CLEAR: Final = tuple(name for name in Account.model_fields if name not in SEALED_FIELDS)
_STORED: Final = (
    sa.select(
        *(accounts.c[name] for name in _CLEAR),
        accounts.c.masked_number,
        accounts.c.numbers_ciphertext,
        accounts.c.numbers_key_id,
        accounts.c.id,
        accounts.c.closed_at,
        accounts.c.moved_from,
        accounts.c.excluded_at,
    )
    .where(accounts.c.connection_id == sa.bindparam("connection_id"))
    .order_by(accounts.c.created_at, accounts.c.id)
)


def load_accounts(db: sa.Connection, connection_id: ConnectionId, *, vault: Vault) -> list[Account]:
    """Load the accounts of a connection as they were last told, closed ones too."""
    return [*load_stored_accounts(db, connection_id, vault=vault).accounts]


def load_account(db: sa.Connection, account_id: AccountId) -> tuple[ConnectionId, str]:
    """
    Load whose account it is: its connection, and its external id.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
    """
    nothing = NotFoundError(f"no account {account_id}; see `bank-pipeline accounts --json`")
    try:
        own_id = str(uuid.UUID(account_id))
    except ValueError:
        raise nothing from None
    query = sa.select(accounts.c.connection_id, accounts.c.external_id)
    row = db.execute(query.where(accounts.c.id == own_id)).one_or_none()
    if row is None:
        raise nothing
    return ConnectionId(row.connection_id), row.external_id


def rename_accounts(
    db: sa.Connection,
    connection_id: ConnectionId,
    names: Mapping[str, str],
    *,
    moved_from: Provider,
) -> None:
    """
    Give accounts the external ids that they go by now: {old: new}.

    Their rows go by names of `moved_from`, until they are read under the new id.
    """
    for old, new in names.items():
        db.execute(
            accounts.update()
            .where(accounts.c.connection_id == connection_id, accounts.c.external_id == old)
            .values(external_id=new, moved_from=sa.func.coalesce(accounts.c.moved_from, moved_from))
        )


def set_excluded(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    left_out: Collection[AccountId],
    chosen: Collection[AccountId],
    now: datetime,
) -> bool:
    """Leave accounts out, and read others again; return whether any was not so before."""
    is_of = accounts.c.connection_id == connection_id
    is_out = accounts.c.excluded_at.is_not(None)
    out = accounts.update().where(is_of, accounts.c.id.in_(left_out), ~is_out)
    back = accounts.update().where(is_of, accounts.c.id.in_(chosen), is_out)
    left = db.execute(out.values(excluded_at=now, updated_at=now)).rowcount
    return bool(left + db.execute(back.values(excluded_at=None, updated_at=now)).rowcount)


def set_all_moved(db: sa.Connection, connection_id: ConnectionId, *, moved_from: Provider) -> None:
    """Note that the rows of all accounts go by names of another provider."""
    db.execute(
        accounts.update()
        .where(accounts.c.connection_id == connection_id, accounts.c.moved_from.is_(None))
        .values(moved_from=moved_from)
    )


def set_arrived(
    db: sa.Connection, connection_id: ConnectionId, external_ids: Collection[str]
) -> None:
    """Note that the rows of these accounts were read under their present ids."""
    if external_ids:
        db.execute(
            accounts.update()
            .where(
                accounts.c.connection_id == connection_id,
                accounts.c.external_id.in_(external_ids),
                accounts.c.moved_from.is_not(None),
            )
            .values(moved_from=None)
        )


def save_accounts(
    db: sa.Connection,
    connection: Connection,
    answered: Sequence[Account],
    *,
    vault: Vault,
    now: datetime,
) -> SavedAccounts:
    """Write new, changed and reopened accounts; equal ones are not touched, nor told twice."""
    answered = [*{account.external_id: account for account in answered}.values()]
    names = ("id", "external_id", "type", "closed_at", "moved_from", "excluded_at", "content_hash")
    query = sa.select(*(accounts.c[name] for name in names))
    rows = db.execute(query.where(accounts.c.connection_id == connection.id)).mappings()
    stored = {row["external_id"]: row for row in rows}
    held = {name: _to_held(row) for name, row in stored.items()}
    inserted = updated = 0
    for account in answered:
        content_hash = vault.to_keyed(_to_hash(account))
        known = stored.get(account.external_id)
        if known is None:
            inserted += 1
            id_ = AccountId(new_id())
            values = _to_row(account, id_, content_hash, vault, now)
            owner = {"team_id": connection.team_id, "connection_id": connection.id}
            db.execute(accounts.insert().values(id=id_, created_at=now, **owner, **values))
            held[account.external_id] = HeldAccount(
                id_, account.type, is_closed=False, moved_from=None
            )
        elif known["content_hash"] != content_hash or held[account.external_id].is_closed:
            updated += 1
            values = _to_row(account, known["id"], content_hash, vault, now)
            held[account.external_id] = replace(
                held[account.external_id], type=account.type, is_closed=False
            )
            db.execute(
                accounts.update()
                .where(
                    accounts.c.connection_id == connection.id,
                    accounts.c.external_id == account.external_id,
                )
                .values(values)
            )
    return SavedAccounts(inserted, updated, len(answered) - inserted - updated, held)


def close_accounts(
    db: sa.Connection, connection_id: ConnectionId, external_ids: Collection[str], *, now: datetime
) -> int:
    """Close the open ones of these accounts; return how many."""
    if not external_ids:
        return 0
    return _close(db, connection_id, accounts.c.external_id.in_(external_ids), now=now)


def close_missing_accounts(
    db: sa.Connection, connection_id: ConnectionId, *, shown: set[str], now: datetime
) -> int:
    """
    Close the open accounts that a complete answer does not show; return how many.

    An answer that shows none closes none: an empty list is a failure in disguise.
    """
    if not shown:
        return 0
    return _close(db, connection_id, accounts.c.external_id.not_in(shown), now=now)


def _close(
    db: sa.Connection, connection_id: ConnectionId, chosen: sa.ColumnElement[bool], *, now: datetime
) -> int:
    closed = db.execute(
        accounts.update()
        .where(accounts.c.connection_id == connection_id, accounts.c.closed_at.is_(None), chosen)
        .values(closed_at=now, updated_at=now)
        .returning(accounts.c.id)
    )
    return len(closed.all())


def _to_held(row: sa.RowMapping) -> HeldAccount:
    return HeldAccount(
        id=AccountId(row["id"]),
        type=AccountType(row["type"]),
        is_closed=row["closed_at"] is not None,
        moved_from=None if row["moved_from"] is None else Provider(row["moved_from"]),
        is_excluded=row["excluded_at"] is not None,
    )


def _to_account(row: sa.RowMapping, vault: Vault) -> Account:
    numbers = open_numbers(row, account_numbers(row["id"]), vault)
    if not numbers and row["masked_number"]:  # they were lost with their key: what is left
        numbers = {"identifiers": {"masked_number": row["masked_number"]}}
    return Account.model_validate({**{name: row[name] for name in _CLEAR}, **numbers})


def _to_hash(account: Account) -> bytes:
    content = account.model_dump_json(exclude_none=True).encode()
    return hashlib.blake2b(content, digest_size=16).digest()


def _to_row(
    account: Account, id_: str, content_hash: bytes, vault: Vault, now: datetime
) -> dict[str, Any]:
    return {
        **account.model_dump(exclude=set(SEALED_FIELDS)),
        **seal_numbers(account, account_numbers(id_), vault),
        "number_fingerprints": to_fingerprints(account, vault),
        "masked_number": account.identifiers.last_four,
        "content_hash": content_hash,
        "updated_at": now,
        "closed_at": None,
    }
