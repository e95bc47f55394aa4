"""
The half of a sync that talks to a provider without a change feed: account by account.

One account's failure leaves its siblings alone, and what came is kept. No database
transaction is open while the provider answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.window import (
    HISTORY_STEPS,
    DateWindow,
    first_window,
    next_window,
    shorter_window,
)
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    PayloadError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
    UserActionError,
    WindowTooWideError,
)
from bank_pipeline.providers.answers import (
    Archive,
    PresentUser,
    QuarantinedRow,
    WindowAnswer,
    WindowRequest,
)
from bank_pipeline.providers.base import Scope, WindowProvider
from bank_pipeline.storage.accounts import (
    load_account_ids,
    load_accounts,
    load_closed_external_ids,
    load_moved,
)
from bank_pipeline.storage.coverage import load_coverage
from bank_pipeline.storage.institutions import load_history_days
from bank_pipeline.storage.transactions import load_oldest_pending
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.quota import CallBook, SpentCall
from bank_pipeline.sync.recognise import KnownAccounts, recognise
from bank_pipeline.sync.reports import Step

_GRAVEST_FIRST: Final[tuple[type[ProviderError], ...]] = (
    UserActionError,
    ConfigurationError,
    PayloadError,
    AccountBlockedError,
    WindowTooWideError,
)
"""Then what passes soon, and last a limit: the ledger keeps it from being met again too early."""


@dataclass(frozen=True)
class Held:
    """
    What we know of a connection's accounts before we ask, by their external ids.

    `history_days` is the longest history that the bank is known to give right after a consent,
    `refused_beyond_days` that beyond which it refused to go under this one; None when unknown.
    `closed` are accounts that the bank listed no more. Of a consent that is not in use yet: `told`
    came with its link, and `is_other_provider` says that ours are another provider's.
    """

    accounts: tuple[Account, ...]
    covered: Mapping[str, tuple[DateWindow, ...]]
    oldest_pending: Mapping[str, date]
    history_days: int | None
    refused_beyond_days: int | None = None
    closed: frozenset[str] = frozenset()
    told: tuple[Account, ...] | None = None
    is_other_provider: bool = False

    def known(self) -> KnownAccounts:
        """Return what the accounts that are shown are compared with."""
        return KnownAccounts(self.accounts, self.closed, is_other_provider=self.is_other_provider)

    def renamed(self, names: Mapping[str, str]) -> "Held":
        """Return the same under the ids that accounts go by now: {old: new}."""
        return replace(
            self,
            covered={names.get(one, one): windows for one, windows in self.covered.items()},
            oldest_pending={names.get(one, one): day for one, day in self.oldest_pending.items()},
        )


def load_held(db: sa.Connection, connection: Connection) -> Held:
    """Load what a sync by windows begins with."""
    ids = load_account_ids(db, connection.id)
    names = {account_id: external_id for external_id, account_id in ids.items()}
    covered = load_coverage(db, ids.values())
    moved = load_moved(db, connection.id)
    pending = load_oldest_pending(db, ids.values())
    institution = connection.institution_external_id
    return Held(
        accounts=tuple(load_accounts(db, connection.id)),
        # What another provider covered is read once more, to know its rows by their new names.
        covered={
            names[account_id]: windows
            for account_id, windows in covered.items()
            if moved.get(names[account_id], connection.provider) is connection.provider
        },
        oldest_pending={names[account_id]: day for account_id, day in pending.items()},
        history_days=None
        if institution is None
        else load_history_days(db, connection.provider, institution),
        refused_beyond_days=connection.refused_beyond_days,
        closed=load_closed_external_ids(db, connection.id),
    )


def fetch_windows(
    provider: WindowProvider,
    credential: SecretStr,
    *,
    steps: frozenset[Step],
    held: Held,
    calls: CallBook,
    archive: Archive,
    present_user: PresentUser | None,
    now: datetime,
) -> Fetched:
    """
    Fetch what the steps need: the accounts, then each one's balances and transactions.

    Raises:
        ProviderError: nothing could be read at all. What stops later is kept beside what came.
    """
    known = held.accounts if held.told is None else held.told
    answer = provider.fetch_accounts(credential, known=known, archive=archive)
    if answer.status is not None and answer.status.error_code is not None:
        raise provider.to_error(answer.status.error_code)
    found = recognise(held.known(), answer)
    answer, renamed = found.answer, found.renamed
    accounts = {account.external_id: account for account in answer.accounts}.values()
    reader = _Reader(provider, credential, held.renamed(renamed), calls, archive, present_user, now)
    try:
        for account in accounts:
            trouble = answer.troubles.get(account.external_id)
            if trouble is None:
                reader.read(account, steps)
            else:
                reader.note(account.external_id, trouble)
        for external_id in answer.troubles.keys() - {one.external_id for one in accounts}:
            reader.note(external_id, answer.troubles[external_id])
    except UserActionError as error:
        if not reader.has_read:
            raise
        reader.stopped_by = error  # it will say so again; what came need not wait
    listed = tuple(one for one in accounts if one.external_id not in reader.gone)
    return Fetched(
        accounts=replace(
            answer,
            accounts=listed,
            balances=(*answer.balances, *reader.balances),
            quarantined=(*answer.quarantined, *reader.quarantined),
        ),
        changes=None,
        windows=tuple(reader.windows) if Step.TRANSACTIONS in steps else None,
        must_reconcile=False,
        calls_count=answer.calls_count + reader.calls_count,
        trouble=reader.trouble(accounts_count=len(listed)),
        learned_history_days=reader.learned_history_days,
        refused_beyond_days=reader.refused_beyond_days,
        gone_account_ids=frozenset(reader.gone),
        answered_call_ids=tuple(calls.answered),
        renamed_accounts=renamed,
        asked=found.asked,
        is_foreign=found.is_foreign,
    )


@dataclass
class _Reader:
    """Reads one account after the other, and gathers what came of it."""

    provider: WindowProvider
    credential: SecretStr
    held: Held
    calls: CallBook
    archive: Archive
    present_user: PresentUser | None
    now: datetime
    windows: list[WindowAnswer] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    quarantined: list[QuarantinedRow] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    last_gone: AccountGoneError | None = None
    blocked: set[str] = field(default_factory=set)
    troubles: list[ProviderError] = field(default_factory=list)
    stopped_by: ProviderError | None = None
    calls_count: int = 0
    learned_history_days: int | None = None
    refused_beyond_days: int | None = None

    @property
    def has_read(self) -> bool:
        return bool(self.windows or self.balances)

    def read(self, account: Account, steps: frozenset[Step]) -> None:
        """
        Read one account; only what stops the whole connection is raised.

        Rows before balances; and where the bank did not answer for the one, it is not asked for
        the other: some providers suspend an account whose calls keep failing.
        """
        is_up = True
        if Step.TRANSACTIONS in steps:
            is_up = self._guard(account, Scope.TRANSACTIONS, self._read_window)
        if Step.BALANCES in steps and is_up and account.external_id not in self.gone:
            self._guard(account, Scope.BALANCES, self._read_balances)

    def note(self, external_id: str, error: ProviderError) -> None:
        """Write down what is wrong with one account."""
        if isinstance(error, AccountGoneError):
            self.gone.add(external_id)
            self.last_gone = error
            return
        if isinstance(error, AccountBlockedError):
            self.blocked.add(external_id)
        self.troubles.append(error)

    def trouble(self, *, accounts_count: int) -> ProviderError | None:
        """
        Return the failure that this sync ends with, the gravest one; None when all is well.

        A bank that refuses every account refuses the customer. A connection without a single
        account is no success.
        """
        if self.stopped_by is not None:
            return self.stopped_by
        told = {answer.account_external_id for answer in self.windows}
        told |= {balance.account_external_id for balance in self.balances}
        refused = self.blocked - told
        if accounts_count and len(refused) == accounts_count:
            blocked = next(one for one in self.troubles if isinstance(one, AccountBlockedError))
            return ReauthRequiredError(
                blocked.provider,
                blocked.operation,
                code=blocked.code,
                request_id=blocked.request_id,
            )
        if not accounts_count and not self.troubles:
            nothing = TransientError(self.provider.provider, "accounts", code="NO_ACCOUNTS")
            return self.last_gone or nothing
        return min(self.troubles, key=_gravity, default=None)

    def _guard(self, account: Account, scope: Scope, read: Callable[[Account], None]) -> bool:
        """Read one scope, and say whether the bank answered for this account."""
        if self.calls.is_fresh(scope, account.external_id):
            return True
        try:
            read(account)
        except UserActionError:
            raise
        except ProductUnsupportedError:
            pass  # this account has no such data: no failure, and nothing to try again
        except ProviderError as error:
            self.note(account.external_id, error)
            return not isinstance(error, TransientError) or isinstance(error, RateLimitedError)
        return True

    def _read_balances(self, account: Account) -> None:
        with self.calls.spend(Scope.BALANCES, account.external_id) as call:
            answer = self.provider.fetch_balances(
                self.credential, account, archive=self.archive, present_user=self.present_user
            )
            call.seen = answer.quota
        self.calls_count += answer.calls_count
        self.balances += answer.balances
        self.quarantined += answer.quarantined

    def _read_window(self, account: Account) -> None:
        request = self._request(account)
        for _ in range(len(HISTORY_STEPS) + 2):
            try:
                answer = self._fetch_window(account, request)
            except WindowTooWideError as error:
                self.calls_count += 1
                shorter = shorter_window(request.window, earliest=error.earliest)
                if shorter is None:
                    raise
                request = replace(request, window=shorter)
                self.refused_beyond_days = (shorter.last - shorter.first).days
                if request.is_first:  # later, some banks give less than right after the consent
                    self.learned_history_days = self.refused_beyond_days
            else:
                self._keep(answer)
                return
        raise TransientError(self.provider.provider, "transactions", code="NO_WINDOW_FITS")

    def _fetch_window(self, account: Account, request: WindowRequest) -> WindowAnswer:
        call: SpentCall
        with self.calls.spend(Scope.TRANSACTIONS, account.external_id) as call:
            answer = self.provider.fetch_window(
                self.credential,
                account,
                request,
                archive=self.archive,
                present_user=self.present_user,
            )
            call.seen, call.counted = answer.quota, answer.counted_calls
            call.is_whole = answer.trouble is None
        return answer

    def _keep(self, answer: WindowAnswer) -> None:
        self.calls_count += answer.calls_count
        self.windows.append(answer)
        self.balances += answer.balances
        self.quarantined += answer.quarantined
        if answer.trouble is not None:
            self.troubles.append(answer.trouble)

    def _request(self, account: Account) -> WindowRequest:
        today = self.now.date()
        covered = self.held.covered.get(account.external_id, ())
        if not covered:
            window = first_window(today, days=self._history_days())
            return WindowRequest(window=window, is_first=True)
        window = next_window(
            covered[0],  # what follows a gap does not fill it
            oldest_pending=self.held.oldest_pending.get(account.external_id),
            overlap_days=self.provider.capabilities.overlap_days,
            today=today,
        )
        days = self._refused_beyond_days()
        if days is not None:  # to be refused again would cost a call every day
            first = max(window.first, today - timedelta(days=days))
            window = DateWindow(first=first, last=today)
        return WindowRequest(window=window, is_first=False)

    def _refused_beyond_days(self) -> int | None:
        refused = (self.held.refused_beyond_days, self.refused_beyond_days)
        return min((days for days in refused if days is not None), default=None)

    def _history_days(self) -> int:
        known = (
            self.held.history_days,
            self._refused_beyond_days(),
            self.provider.capabilities.history_days_max,
        )
        return min((days for days in known if days is not None), default=HISTORY_STEPS[0])


def _gravity(error: ProviderError) -> tuple[int, bool, float]:
    ranks = (rank for rank, kind in enumerate(_GRAVEST_FIRST) if isinstance(error, kind))
    wait_s = error.retry_after_s or 0.0
    return next(ranks, len(_GRAVEST_FIRST)), isinstance(error, RateLimitedError), wait_s
