"""The half of a sync that talks to the provider. No database transaction is open here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.transitions import ends_soon
from bank_pipeline.errors import CursorRejectedError
from bank_pipeline.providers.base import AccountsAnswer, Archive, ChangesAnswer, ProviderClient
from bank_pipeline.sync.reports import Step

_NO_ACCOUNTS: Final = AccountsAnswer(accounts=(), balances=(), is_complete=False, status=None)


@dataclass(frozen=True)
class Fetched:
    """
    Everything one sync learned from the provider.

    `must_reconcile`: the changes are a replay of the whole history because the cursor was
    lost, so rows that it does not show are gone.
    """

    accounts: AccountsAnswer
    changes: ChangesAnswer | None
    must_reconcile: bool
    calls_count: int


def fetch_all(
    provider: ProviderClient,
    connection: Connection,
    credential: SecretStr,
    *,
    steps: frozenset[Step],
    known_account_ids: frozenset[str],
    archive: Archive,
    now: datetime,
) -> Fetched:
    """
    Fetch what the steps need with the fewest calls.

    A change feed that brings its accounts along saves the accounts call, unless it leaves
    out one that we hold as open, or the connection is new: then the full list is fetched,
    because only a full list can tell that an account is gone. It also tells until when the
    consent lasts, so it is asked whether one that seems to end soon was renewed.
    """
    changes, must_reconcile, calls_count = None, False, 0
    if Step.TRANSACTIONS in steps:
        changes, must_reconcile = _fetch_changes(provider, connection, credential, archive)
        calls_count += changes.calls_count
    accounts = changes.accounts if changes is not None else _NO_ACCOUNTS
    wants_accounts = bool(steps & {Step.ACCOUNTS, Step.BALANCES}) or _has_unknown(
        changes, known_account_ids
    )
    is_enough = _is_enough(accounts, connection, known_account_ids)
    if ends_soon(connection.consent_expires_at, now=now) or (wants_accounts and not is_enough):
        accounts = provider.fetch_accounts(credential, archive=archive)
        calls_count += 1
    return Fetched(accounts, changes, must_reconcile, calls_count)


def _fetch_changes(
    provider: ProviderClient, connection: Connection, credential: SecretStr, archive: Archive
) -> tuple[ChangesAnswer, bool]:
    try:
        return provider.fetch_changes(credential, cursor=connection.cursor, archive=archive), False
    except CursorRejectedError:
        if connection.cursor is None:
            raise
        return provider.fetch_changes(credential, cursor=None, archive=archive), True


def _is_enough(
    accounts: AccountsAnswer, connection: Connection, known_account_ids: frozenset[str]
) -> bool:
    if accounts.is_complete:
        return True
    if connection.history_stage is not HistoryStage.COMPLETE or not known_account_ids:
        return False
    return {account.external_id for account in accounts.accounts} == known_account_ids


def _has_unknown(changes: ChangesAnswer | None, known_account_ids: frozenset[str]) -> bool:
    if changes is None:
        return False
    return any(t.account_external_id not in known_account_ids for t in changes.delta.upserts)
