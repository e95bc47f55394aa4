"""
The half of a sync that talks to a provider without a change feed: account by account.

One account's failure leaves its siblings alone, and what came is kept. No database
transaction is open while the provider answers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.reading import Reading
from bank_pipeline.domain.window import HISTORY_STEPS, DateWindow
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
from bank_pipeline.storage.accounts import StoredAccounts
from bank_pipeline.storage.coverage import load_coverage
from bank_pipeline.storage.institutions import load_history_days
from bank_pipeline.storage.transactions import load_oldest_pending
from bank_pipeline.sync.collected import Collected
from bank_pipeline.sync.failures import classify
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.history import Horizon
from bank_pipeline.sync.quota import CallBook, SpentCall
from bank_pipeline.sync.recognise import KnownAccounts, recognise
from bank_pipeline.sync.reports import AccountReading, Step

_SCOPES: Final = {Step.TRANSACTIONS: Scope.TRANSACTIONS, Step.BALANCES: Scope.BALANCES}
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
    None when unknown. `backfill_requested_at` is since when a backfill is under way, if one is.
    `closed` are accounts that the bank listed no more, `excluded` those that nobody wants read:
    they are listed, and not asked for. Of a consent that is not in use yet: `told`
    came with its link, and `is_other_provider` says that ours are another provider's.
    """

    accounts: tuple[Account, ...]
    covered: Mapping[str, tuple[DateWindow, ...]]
    oldest_pending: Mapping[str, date]
    history_days: int | None
    backfill_requested_at: datetime | None = None
    closed: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    told: tuple[Account, ...] | None = None
    is_other_provider: bool = False

    def known(self) -> KnownAccounts:
        """Return what the accounts that are shown are compared with."""
        is_other = self.is_other_provider
        return KnownAccounts(self.accounts, self.closed, self.excluded, is_other_provider=is_other)

    def renamed(self, names: Mapping[str, str]) -> "Held":
        """Return the same under the ids that accounts go by now: {old: new}."""
        return replace(
            self,
            covered={names.get(one, one): windows for one, windows in self.covered.items()},
            oldest_pending={names.get(one, one): day for one, day in self.oldest_pending.items()},
            excluded=frozenset(names.get(one, one) for one in self.excluded),
        )


def load_held(db: sa.Connection, connection: Connection, stored: StoredAccounts) -> Held:
    """Load what a sync by windows begins with, besides the accounts."""
    names = {one.id: external_id for external_id, one in stored.held.items()}
    covered = load_coverage(db, names.keys())
    pending = load_oldest_pending(db, names.keys())
    institution = connection.institution_external_id
    return Held(
        accounts=stored.accounts,
        # What another provider covered is read once more, to know its rows by their new names.
        covered={
            names[account_id]: windows
            for account_id, windows in covered.items()
            if stored.held[names[account_id]].moved_from in (None, connection.provider)
        },
        oldest_pending={names[account_id]: day for account_id, day in pending.items()},
        history_days=None
        if institution is None
        else load_history_days(db, connection.provider, institution),
        backfill_requested_at=connection.backfill_requested_at,
        closed=stored.closed,
        excluded=stored.excluded,
    )


def fetch_windows(
    provider: WindowProvider,
    credential: SecretStr,
    *,
    steps: frozenset[Step],
    held: Held,
    horizon: Horizon,
    calls: CallBook,
    archive: Archive,
    present_user: PresentUser | None,
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
    if not held.is_other_provider:
        calls.go_on_as(renamed)
    accounts = {account.external_id: account for account in answer.accounts}.values()
    reader = _Reader(
        provider, credential, held.renamed(renamed), horizon, calls, archive, present_user
    )
    reader.read_all(accounts, steps, troubles=answer.troubles)
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
        trouble=reader.trouble({one.external_id for one in listed}, waits=bool(found.asked)),
        horizon=horizon,
        readings=tuple(reader.readings.values()),
        reach=horizon.reach,
        is_deep=(horizon.reach.depth is Depth.DEEP and not reader.has_spared) or not held.covered,
        gone_account_ids=frozenset(reader.gone),
        renamed_accounts=renamed,
        sources=tuple(reader.sources),
        asked=found.asked,
        is_foreign=found.is_foreign,
        was_asked=reader.asked_count > 0,
    )


@dataclass
class _Reader:
    """Reads one account after the other, and gathers what came of it."""

    provider: WindowProvider
    credential: SecretStr
    held: Held
    horizon: Horizon
    calls: CallBook
    archive: Archive
    present_user: PresentUser | None
    windows: list[WindowAnswer] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    quarantined: list[QuarantinedRow] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    last_gone: AccountGoneError | None = None
    blocked: set[str] = field(default_factory=set)
    troubles: list[ProviderError] = field(default_factory=list)
    stopped_by: ProviderError | None = None
    sources: list[Reading] = field(default_factory=list)
    calls_count: int = 0
    asked_count: int = 0
    has_spared: bool = False
    readings: dict[str, AccountReading] = field(default_factory=dict)

    def read_all(
        self,
        accounts: Collection[Account],
        steps: frozenset[Step],
        *,
        troubles: Mapping[str, ProviderError],
    ) -> None:
        """Read the accounts that nothing is wrong with, until something stops them all."""
        wanted = [one for one in accounts if one.external_id not in self.held.excluded]
        names = [one.external_id for one in wanted if one.external_id not in troubles]
        scopes = [scope for step, scope in _SCOPES.items() if step in steps]
        self.calls.reserve((scope, name) for name in names for scope in scopes)
        try:
            for account in wanted:
                trouble = troubles.get(account.external_id)
                if trouble is None:
                    self.read(account, steps)
                else:
                    self.note(account.external_id, trouble)
            for name in troubles.keys() - self.held.excluded - {a.external_id for a in accounts}:
                self.note(name, troubles[name])
        except UserActionError as error:
            if not (self.windows or self.balances):
                raise
            self.stopped_by = error  # it will say so again; what came need not wait

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
        self._note_trouble(external_id, error)
        if isinstance(error, AccountGoneError):
            self.gone.add(external_id)
            self.last_gone = error
            return
        if isinstance(error, AccountBlockedError):
            self.blocked.add(external_id)
        self.troubles.append(error)

    def _note_trouble(self, external_id: str, error: ProviderError) -> None:
        kind, code = classify(error)
        reading = self.readings.get(external_id, AccountReading(external_id, asked=None))
        self.readings[external_id] = replace(reading, trouble=f"{kind}: {code}")

    def trouble(self, listed: Collection[str], *, waits: bool) -> ProviderError | None:
        """
        Return the failure that this sync ends with, the gravest one; None when all is well.

        A bank that refuses every account refuses the customer. A connection without a single
        account that is read is no success, and no failure where a person is waited for.
        """
        if self.stopped_by is not None:
            return self.stopped_by
        told = {answer.account_external_id for answer in self.windows}
        told |= {balance.account_external_id for balance in self.balances}
        wanted = {*listed} - self.held.excluded
        if wanted and wanted <= self.blocked - told:
            blocked = next(one for one in self.troubles if isinstance(one, AccountBlockedError))
            return ReauthRequiredError(
                blocked.provider,
                blocked.operation,
                code=blocked.code,
                request_id=blocked.request_id,
            )
        if not wanted and not self.troubles:
            nothing = TransientError(self.provider.provider, "accounts", code="NO_ACCOUNTS")
            return None if waits else self.last_gone or nothing
        return min(self.troubles, key=_gravity, default=None)

    def _guard(self, account: Account, scope: Scope, read: Callable[[Account], None]) -> bool:
        """Read one scope, and say whether the bank answered for this account."""
        is_backfill = self.horizon.reach.depth is Depth.BACKFILL and scope is Scope.TRANSACTIONS
        since = self.held.backfill_requested_at if is_backfill else None
        if self.calls.is_fresh(scope, account.external_id, since=since):
            if self.horizon.reach.depth is Depth.DEEP and scope is Scope.TRANSACTIONS:
                self.has_spared |= not self.calls.is_read_deep(account.external_id)
            return True
        self.asked_count += 1
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
        with self.calls.spend(Scope.BALANCES, account.external_id):
            answer = self.provider.fetch_balances(
                self.credential, account, archive=self.archive, present_user=self.present_user
            )
        self.calls_count += answer.calls_count
        self.balances += answer.balances
        self.quarantined += answer.quarantined

    def _read_window(self, account: Account) -> None:
        request = self._request(account)
        refused: list[date] = []
        for _ in range(len(HISTORY_STEPS) + 2):
            self._note_reading(account, request, refused)
            try:
                answer = self._fetch_window(account, request)
            except WindowTooWideError as error:
                self.calls_count += 1
                if self.horizon.has_given(request):  # it says so of dates that it gave lately
                    raise _not_about_dates(error) from error
                shorter = self.horizon.shorter(request, earliest=error.earliest)
                if shorter is None:
                    raise
                refused.append(request.window.first)
                request = shorter
            except RateLimitedError:
                if refused:  # what is left of the steps is for the next try
                    self.horizon.note_refusal(request)
                raise
            else:
                self.horizon.note_answer(request, answer, is_cut=bool(refused))
                self._keep(answer)
                return
        raise TransientError(self.provider.provider, "transactions", code="NO_WINDOW_FITS")

    def _note_reading(
        self, account: Account, request: WindowRequest, refused: Sequence[date]
    ) -> None:
        name, before = account.external_id, self.readings.get(account.external_id)
        asked = request.window if before is None else before.asked
        self.readings[name] = AccountReading(name, asked, tuple(refused))

    def _fetch_window(self, account: Account, request: WindowRequest) -> WindowAnswer:
        call: SpentCall
        collected = Collected(self.archive)
        with self.calls.spend(Scope.TRANSACTIONS, account.external_id) as call:
            answer = self.provider.fetch_window(
                self.credential,
                account,
                request,
                archive=collected,
                present_user=self.present_user,
            )
            call.is_whole = answer.trouble is None
        source = Reading(
            collected.keys,
            account_external_id=account.external_id,
            window=request.window,
            is_first=request.is_first,
            covered=answer.covered,
        )
        self.sources.append(source)
        return answer

    def _keep(self, answer: WindowAnswer) -> None:
        self.calls_count += answer.calls_count
        self.windows.append(answer)
        reading = self.readings[answer.account_external_id]
        self.readings[answer.account_external_id] = replace(reading, covered=answer.covered)
        self.balances += answer.balances
        self.quarantined += answer.quarantined
        if answer.trouble is not None:
            self._note_trouble(answer.account_external_id, answer.trouble)
            self.troubles.append(answer.trouble)

    def _request(self, account: Account) -> WindowRequest:
        return self.horizon.plan(
            self.held.covered.get(account.external_id, ()),
            self.held.oldest_pending.get(account.external_id),
        )


def _not_about_dates(error: WindowTooWideError) -> TransientError:
    return TransientError(
        error.provider, error.operation, code=error.code, request_id=error.request_id
    )


def _gravity(error: ProviderError) -> tuple[int, bool, float]:
    ranks = (rank for rank, kind in enumerate(_GRAVEST_FIRST) if isinstance(error, kind))
    rank = next(ranks, len(_GRAVEST_FIRST))
    return rank, isinstance(error, RateLimitedError), error.retry_after_s or 0.0
