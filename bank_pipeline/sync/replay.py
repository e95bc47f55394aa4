"""
Archived answers read once more by today's transforms. No provider is asked.

What a run applied is in its lineage; see `domain.reading`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.domain.reading import Lineage, Reading
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.errors import ProviderError, SecretError
from bank_pipeline.providers.answers import QuarantinedRow, RawAnswer, WindowRequest
from bank_pipeline.providers.base import FeedProvider, ProviderClient, WindowProvider
from bank_pipeline.providers.tracing import traced
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.raw_payloads import StoredAnswer, load_answers

Key = tuple[AccountId, str]
"""(our id of the account, external id)"""


@dataclass(frozen=True)
class Record:
    """One row as an answer shows it, and the raw record it was read from, where that is known."""

    account_id: AccountId
    transaction: Transaction
    raw: Any | None

    @property
    def key(self) -> Key:
        """What the row is found by."""
        return (self.account_id, self.transaction.external_id)


@dataclass(frozen=True)
class ReadAgain:
    """
    One reading, read again. `records` is None where its answers are not kept any more.

    `removed` are rows that a feed took back. `failure` says by the name of the error why today's
    transform refuses the answer whole, or that what is kept of it does not open.
    """

    reading: Reading
    account_id: AccountId | None
    records: tuple[Record, ...] | None
    removed: frozenset[Key] = frozenset()
    quarantined: tuple[QuarantinedRow, ...] = ()
    answers: tuple[StoredAnswer, ...] = ()
    failure: str | None = None


@dataclass(frozen=True)
class Accounts:
    """A connection's accounts as they are known today, by our ids."""

    by_id: Mapping[AccountId, Account]

    @classmethod
    def load(cls, db: sa.Connection, connection_id: ConnectionId, *, vault: Vault) -> "Accounts":
        """Load them."""
        stored = load_stored_accounts(db, connection_id, vault=vault)
        return cls({stored.held[one.external_id].id: one for one in stored.accounts})


ToldApart = Callable[[AccountId, tuple[Transaction, ...]], tuple[Transaction, ...]]
"""Gives rows of one answer the names that a sync would."""


def read_again(
    db: sa.Connection,
    provider: ProviderClient,
    connection_id: ConnectionId,
    lineage: Lineage,
    *,
    vault: Vault,
    told_apart: ToldApart,
) -> Iterator[ReadAgain]:
    """Read every reading of one run again, in their order, one at a time."""
    accounts = Accounts.load(db, connection_id, vault=vault)
    for reading in lineage.readings:
        account_id = lineage.account_ids.get(reading.account_external_id or "")
        try:
            stored = load_answers(db, connection_id, reading.answers, vault=vault)
        except SecretError as error:
            yield ReadAgain(reading, account_id, None, failure=type(error).__name__)
            continue
        if any(key not in stored for key in reading.answers):
            yield ReadAgain(reading, account_id, None)
            continue
        answers = tuple(stored[key] for key in reading.answers)
        if isinstance(provider, WindowProvider) and reading.window is None:
            # Written before a lineage named its provider, and by another one than today's.
            yield ReadAgain(reading, account_id, None)
            continue
        try:
            yield _read(provider, reading, answers, lineage, accounts, told_apart)
        except ProviderError as error:
            yield ReadAgain(reading, account_id, None, failure=type(error).__name__)


def _read(
    provider: ProviderClient,
    reading: Reading,
    answers: tuple[StoredAnswer, ...],
    lineage: Lineage,
    accounts: Accounts,
    told_apart: ToldApart,
) -> ReadAgain:
    raws = [RawAnswer(one.operation, one.body, one.digest, one.request_id) for one in answers]
    ids = lineage.account_ids
    with traced() as trace:
        if isinstance(provider, FeedProvider):
            changes = provider.to_changes(raws, cursor_before=reading.cursor_before)
            rows, quarantined = changes.delta.upserts, changes.quarantined
            removed = changes.delta.removed
        else:
            assert isinstance(provider, WindowProvider), "a provider tells changes, or dates"
            assert reading.window is not None, "a window was asked for"
            request = WindowRequest(window=reading.window, is_first=reading.is_first)
            account = _account_then(reading, lineage, accounts)
            if account is None:  # it was deleted with all its rows
                return ReadAgain(reading, None, (), answers=answers)
            answer = provider.to_window(raws, account, request)
            account_id = ids[account.external_id]
            rows, quarantined = told_apart(account_id, answer.transactions), answer.quarantined
            removed = frozenset()
    return ReadAgain(
        reading=reading,
        account_id=ids.get(reading.account_external_id or ""),
        records=tuple(
            Record(ids[row.account_external_id], row, trace.raw_of(row))
            for row in rows
            if ids.get(row.account_external_id) in accounts.by_id
        ),
        removed=frozenset((ids[one], name) for one, name in removed if one in ids),
        quarantined=quarantined,
        answers=answers,
    )


def _account_then(reading: Reading, lineage: Lineage, accounts: Accounts) -> Account | None:
    """Return an account as it is known today, by the name that its answers have for it."""
    external_id = reading.account_external_id
    assert external_id is not None, "a window is about one account"
    account_id = lineage.account_ids.get(external_id)
    today = None if account_id is None else accounts.by_id.get(account_id)
    return None if today is None else today.model_copy(update={"external_id": external_id})
