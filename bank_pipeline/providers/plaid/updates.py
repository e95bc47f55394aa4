"""One update of Plaid's feed as an answer: its rows, and what its pages say besides. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.providers.answers import AccountsAnswer, ChangedPage, ChangesAnswer
from bank_pipeline.providers.plaid.changes import to_accounts, to_delta, to_page, to_stage
from bank_pipeline.providers.plaid.client import SYNC, SyncPages, parse_pages
from bank_pipeline.providers.plaid.schemas import PlaidSyncPage
from bank_pipeline.providers.rows import Rows

_NO_ACCOUNTS: Final = AccountsAnswer(accounts=(), balances=(), is_complete=False, status=None)
_NO_ROWS: Final = TransactionDelta(upserts=(), removed=frozenset())


def to_changes(
    pages: Iterable[PlaidSyncPage], rows: Rows, *, cursor_before: str | None
) -> ChangesAnswer:
    """Translate pages that are read while they are gone through: one is held at a time."""
    ends = _Ends()
    delta = to_delta(ends.noted(pages), rows)
    return ends.to_answer(delta, rows, cursor_before=cursor_before)


def to_long_changes(fetched: SyncPages, *, cursor_before: str | None) -> ChangesAnswer:
    """Translate what the pages say besides their rows; those are read when they are written."""
    ends = _Ends()
    for _ in ends.noted(fetched.read()):
        pass
    rows = Rows(SYNC, has_odd_text=True)  # of the accounts, which are few
    answer = ends.to_answer(_NO_ROWS, rows, cursor_before=cursor_before)
    return replace(answer, long=LongPages(fetched), calls_count=fetched.calls_count)


@dataclass(frozen=True)
class LongPages:
    """Pages that wait; see `LongUpdate`."""

    fetched: SyncPages

    def __len__(self) -> int:
        """Count the pages."""
        return len(self.fetched)

    def read(self, number: int) -> ChangedPage:
        """Translate one page."""
        answer = self.fetched.answer(number)
        [page] = parse_pages([answer])
        return to_page(page, Rows.of(SYNC, [answer.body]))


def nothing_yet(cursor: str | None) -> ChangesAnswer:
    """Return what stands for data that is not ready."""
    return ChangesAnswer(
        delta=_NO_ROWS,
        cursor_before=cursor,
        cursor_after=None,
        stage=HistoryStage.AWAITING_INITIAL,
        accounts=_NO_ACCOUNTS,
        calls_count=1,
        pages_count=0,
    )


@dataclass
class _Ends:
    """What is kept of the pages of one update beside their rows."""

    last: PlaidSyncPage | None = None
    accounts: list[Any] = field(default_factory=list)
    pages_count: int = 0

    def noted(self, pages: Iterable[PlaidSyncPage]) -> Iterator[PlaidSyncPage]:
        """Hand the pages on. Most list the accounts of the page before as they were."""
        before: list[Any] = []
        for page in pages:
            self.last = page
            accounts = list(page.accounts or ())
            if accounts != before:
                self.accounts.extend(accounts)
            before = accounts
            self.pages_count += 1
            yield page

    def to_answer(
        self, delta: TransactionDelta, rows: Rows, *, cursor_before: str | None
    ) -> ChangesAnswer:
        """Return the answer once all pages were gone through; a call each, as far as they tell."""
        last = self.last
        assert last is not None, "an update has at least one page"
        account_rows = Rows(SYNC, rows.has_odd_text)
        accounts, balances = to_accounts(self.accounts, account_rows)
        return ChangesAnswer(
            delta=delta,
            cursor_before=cursor_before,
            cursor_after=last.next_cursor or None,
            stage=to_stage(last.transactions_update_status, next_cursor=last.next_cursor),
            accounts=AccountsAnswer(
                accounts=accounts,
                balances=balances,
                is_complete=False,  # Plaid lists only accounts that have transactions
                status=None,
                quarantined=tuple(account_rows.quarantined),
            ),
            calls_count=self.pages_count,
            pages_count=self.pages_count,
            quarantined=tuple(rows.quarantined),
        )
