"""
The half of a sync that talks to a provider with a change feed.

No database transaction is open here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pydantic import SecretStr

from bank_pipeline.domain.account_matching import AskedAccount
from bank_pipeline.domain.connection import Connection, HistoryStage
from bank_pipeline.domain.depth import AS_USUAL, Depth, Reach
from bank_pipeline.domain.reading import Reading
from bank_pipeline.domain.transitions import ends_soon
from bank_pipeline.errors import CursorRejectedError, ProviderError, TransientError
from bank_pipeline.providers.answers import AccountsAnswer, Archive, ChangesAnswer, WindowAnswer
from bank_pipeline.providers.base import FeedProvider
from bank_pipeline.storage.consents import NextConsent
from bank_pipeline.sync.collected import Collected
from bank_pipeline.sync.history import Horizon
from bank_pipeline.sync.recognise import KnownAccounts, Recognised, recognise, recognise_part
from bank_pipeline.sync.reports import AccountReading, Step
from bank_pipeline.sync.started import StartedSync

FULL_ACCOUNTS_EVERY: Final = timedelta(days=7)
_NO_ACCOUNTS: Final = AccountsAnswer(accounts=(), balances=(), is_complete=False, status=None)


@dataclass(frozen=True)
class Fetched:
    """
    Everything one sync learned from the provider.

    `must_reconcile`: the changes are a replay of the whole history because the cursor was
    lost or given up, so rows that it does not show are gone. `trouble`: what is wrong at the
    provider all the same; the sync keeps what came and ends as a failure.

    Of a provider without a change feed: `windows` are the answers account by account, None when
    transactions were not asked for. `horizon` is what is known by now of how far back the bank
    goes, `readings` what each account was asked for. `is_deep`: this looked as far back as the
    bank goes, and `reach` is how far back it was meant to look.
    `gone_account_ids` are accounts of which the bank said that they are, `renamed_accounts`
    those that go by another id now, {old: new}. `sources` say how what is in here was asked for.
    `asked` are accounts that may be known ones, which a person must tell; `is_foreign` says that
    they look like those of another login. `was_asked` is False where the bank was asked for no
    account, because what it told lately was spared a second call, or `is_put_off`. `consent`: it
    was read by a new consent, which is in use from now on.
    """

    accounts: AccountsAnswer
    changes: ChangesAnswer | None
    must_reconcile: bool
    calls_count: int
    trouble: ProviderError | None = None
    windows: tuple[WindowAnswer, ...] | None = None
    horizon: Horizon | None = None
    readings: tuple[AccountReading, ...] = ()
    reach: Reach = AS_USUAL
    is_deep: bool = False
    gone_account_ids: frozenset[str] = frozenset()
    renamed_accounts: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Reading, ...] = ()
    asked: tuple[AskedAccount, ...] = ()
    is_foreign: bool = False
    was_asked: bool = True
    consent: NextConsent | None = None

    @property
    def is_put_off(self) -> bool:
        """Say whether nothing was asked for because a person must tell first what it is."""
        return bool(self.asked) and not self.was_asked and self.trouble is None

    @property
    def pages_count(self) -> int:
        """Count the pages of transactions."""
        if self.changes is not None:
            return self.changes.pages_count
        return sum(answer.pages_count for answer in self.windows or ())


def fetch_all(
    provider: FeedProvider,
    started: StartedSync,
    credential: SecretStr,
    *,
    load_known: Callable[[], KnownAccounts],
    archive: Archive,
    reach: Reach = AS_USUAL,
) -> Fetched:
    """
    Fetch what the steps need with the fewest calls, and recognise the accounts of a whole list.

    A `reach` beyond the usual replays the history: the feed then tells every row as it is now.

    A change feed that brings its accounts along saves the accounts call, unless something
    asks for the full list (see `_needs_full_accounts`). `_is_replay_due` says what asks for the
    history once more.

    Raises:
        TransientError: the provider has no data any more for a connection that had some.
    """
    connection = started.connection
    changes, must_reconcile, calls_count, collected = None, False, 0, Collected(archive)
    if Step.TRANSACTIONS in started.request.steps:
        changes, must_reconcile, collected = _fetch_changes(
            provider, connection, credential, archive, is_replay=reach.depth is not Depth.NORMAL
        )
        calls_count += changes.calls_count
    accounts = changes.accounts if changes is not None else _NO_ACCOUNTS
    trouble = None
    if started.awaited_account_ids or _needs_full_accounts(started, changes, accounts):
        calls_count += 1
        try:
            accounts = provider.fetch_accounts(credential, archive=archive)
        except ProviderError as error:
            if changes is None:
                raise
            trouble = error  # the feed came whole: its rows need not wait for the list
    if accounts.status is not None and accounts.status.error_code is not None:
        trouble = provider.to_error(accounts.status.error_code)
    found = _recognised(accounts, started, load_known)
    if changes is not None and _is_replay_due(changes, found, started):
        collected = Collected(archive)
        changes = provider.fetch_changes(credential, cursor=None, archive=collected)
        must_reconcile = True
        calls_count += changes.calls_count
    listed = {account.external_id for account in found.answer.accounts}
    is_whole = changes is not None and changes.cursor_before is None
    told = (found.answer, changes, must_reconcile, calls_count, trouble)
    return Fetched(
        *told,
        renamed_accounts=found.renamed,
        asked=found.asked,
        is_foreign=found.is_foreign,
        readings=tuple(AccountReading(one, asked=None) for one in sorted(listed) if is_whole),
        reach=reach,
        is_deep=is_whole,
        sources=_sources(changes, collected, is_replay=must_reconcile),
    )


def _recognised(
    accounts: AccountsAnswer, started: StartedSync, load_known: Callable[[], KnownAccounts]
) -> Recognised:
    if accounts.is_complete:
        return recognise(load_known(), accounts)
    return recognise_part(started.known_account_ids | started.closed_account_ids, accounts)


def _is_replay_due(changes: ChangesAnswer, found: Recognised, started: StartedSync) -> bool:
    """
    Say whether an update has to make way for the whole history, which brings rows as they are now.

    Rows of `awaited_account_ids` were set aside until the provider lists their account, and it is
    recognised. Of an account that goes by another id, a feed never tells the end of what it
    showed under the old one.
    """
    if changes.cursor_before is None:
        return False  # it is one
    listed = {account.external_id for account in found.answer.accounts}
    if not listed.isdisjoint(started.awaited_account_ids):
        return True
    moved = started.moved_account_ids.union(found.renamed.values())
    return bool(moved) and not moved.isdisjoint(_told_accounts(changes))


def _told_accounts(changes: ChangesAnswer) -> set[str]:
    """Return the accounts whose rows an update shows; it may list others besides."""
    if changes.long is None:
        return {row.account_external_id for row in changes.delta.upserts}
    pages = map(changes.long.read, range(len(changes.long)))
    return {row.account_external_id for page in pages for row in page.delta.upserts}


def _sources(
    changes: ChangesAnswer | None, collected: Collected, *, is_replay: bool
) -> tuple[Reading, ...]:
    if changes is None or not collected.keys:
        return ()
    return (Reading(collected.keys, changes.cursor_before, is_replay=is_replay),)


def _fetch_changes(
    provider: FeedProvider,
    connection: Connection,
    credential: SecretStr,
    archive: Archive,
    *,
    is_replay: bool,
) -> tuple[ChangesAnswer, bool, Collected]:
    collected = Collected(archive)
    had_data = connection.history_stage is not HistoryStage.AWAITING_INITIAL
    cursor = None if is_replay else connection.cursor
    try:
        changes = provider.fetch_changes(credential, cursor=cursor, archive=collected)
    except CursorRejectedError:
        if cursor is None:
            raise
        cursor, collected = None, Collected(archive)
        changes = provider.fetch_changes(credential, cursor=None, archive=collected)
    if had_data and changes.stage is HistoryStage.AWAITING_INITIAL:
        # Nothing was read, so nothing may be taken as covered: neither events nor removals.
        raise TransientError(connection.provider, "transactions", code="DATA_WITHDRAWN")
    # A replay cannot tell what the provider took back before it: what it omits is gone.
    return changes, had_data and cursor is None, collected


def _needs_full_accounts(
    started: StartedSync, changes: ChangesAnswer | None, accounts: AccountsAnswer
) -> bool:
    """
    Say whether the full list of accounts is worth a call.

    It is when there is no feed to bring accounts along, when the feed does not show exactly
    the accounts we hold as open, when the list was not read for a week or must be read again
    (a renewal, a word of the provider about accounts), and when the consent seems to end
    soon, because the answer also tells whether it was renewed.
    """
    if accounts.is_complete:
        return False
    connection, now = started.connection, started.started_at
    last = connection.last_full_accounts_at
    if last is None or now - last > FULL_ACCOUNTS_EVERY:
        return True
    if changes is None or ends_soon(connection.consent_expires_at, now=now):
        return True
    return {account.external_id for account in accounts.accounts} != started.known_account_ids
