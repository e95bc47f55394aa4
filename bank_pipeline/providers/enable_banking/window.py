"""
One account's transactions of some dates: page by page, and then in our words.

Source: https://enablebanking.com/docs/api/reference/#get-account-transactions
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.identity import fingerprint, identified
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    FeedMovedError,
    PayloadError,
    ProviderError,
    TransientError,
    WindowTooWideError,
)
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking.accounts import to_institution_id
from bank_pipeline.providers.enable_banking.client import Count, parse_model
from bank_pipeline.providers.enable_banking.quirks import Quirks, quirks_of
from bank_pipeline.providers.enable_banking.schemas import (
    EbAspspName,
    EbTransaction,
    EbTransactionsPage,
)
from bank_pipeline.providers.enable_banking.transform import to_transaction
from bank_pipeline.providers.rows import Rows

OPERATION: Final = "accounts/transactions"
PAGES_MAX: Final = 200  # banks give 10 rows a page and more; beyond this something loops
STALE_AFTER_DAYS: Final = 7  # a longest history that ends earlier may lack its newest rows
STALE_LOOK_DAYS: Final = 30

Fetch = Callable[[Mapping[str, str], list[RawAnswer]], JsonAnswer]
_Pair = tuple[str | None, Transaction]


@dataclass
class Counts:
    """
    The calls of one window, retries included, and how many of them a bank counts.

    Most banks count no further pages. Looking for the longest history takes a call of its own.
    """

    plain: Count = field(default_factory=Count)
    longest: Count = field(default_factory=Count)
    paged: Count = field(default_factory=Count)

    def of(self, params: Mapping[str, str]) -> Count:
        """Return where a call with these parameters is counted."""
        if "continuation_key" in params:
            return self.paged
        return self.longest if "strategy" in params else self.plain

    @property
    def made(self) -> int:
        """Say how many calls were made."""
        return self.plain.calls + self.longest.calls + self.paged.calls

    @property
    def counted(self) -> int:
        """Say how many calls banks count."""
        return self.plain.calls + 2 * self.longest.calls


@dataclass
class Loop:
    """
    Reading one window: what was read, and why it broke off, if it did.

    `pages` are whole answers in their order, of up to two series; `unread` is the answer that
    is being looked into.
    """

    pages: list[RawAnswer] = field(default_factory=list)
    unread: list[RawAnswer] = field(default_factory=list)
    trouble: ProviderError | None = None

    def read_series(self, fetch: Fetch, params: Mapping[str, str]) -> None:
        """
        Read pages until no key leads on, and keep them; set `trouble` if they break off.

        A key that is refused spoils the pages before it: they are read again, once.

        Raises:
            ProviderError: nothing was read, or what came makes no sense.
        """
        begun = len(self.pages)
        try:
            self._read_pages(fetch, params)
        except FeedMovedError:
            del self.pages[begun:]
            self._read_pages(fetch, params)

    def _read_pages(self, fetch: Fetch, params: Mapping[str, str]) -> None:
        begun, seen, key = len(self.pages), set[str](), ""
        while True:
            asked = {**params, "continuation_key": key} if key else params
            self.unread.clear()
            try:
                answer = fetch(asked, self.unread)
            except FeedMovedError:
                raise
            except TransientError as error:
                if len(self.pages) == begun:
                    raise
                self.unread.clear()
                self.trouble = error  # the pages before are good, and are asked for again
                return
            key = parse_model(EbTransactionsPage, answer).continuation_key or ""
            self.unread.clear()
            self.pages.append(answer.raw)
            if not key:
                return
            if key in seen:
                raise _payload_error("CONTINUATION_STUCK")
            if len(self.pages) - begun >= PAGES_MAX:
                raise _payload_error("PAGES_MAX")
            seen.add(key)


def read_window(fetch: Fetch, account: Account, request: WindowRequest, loop: Loop) -> None:
    """
    Read every page of a window into `loop`.

    Right after the consent the longest history is asked for, which some banks give only then.
    Where it ends long ago the newest days are asked for besides: Wise's longest is stale.

    Raises:
        ProviderError: nothing was read, or what came makes no sense.
    """
    since = request.window.first
    if not request.is_first:
        loop.read_series(fetch, {"date_from": since.isoformat()})
        return
    loop.read_series(fetch, {"date_from": since.isoformat(), "strategy": "longest"})
    if loop.trouble is None and _read(loop.pages, account, request).is_stale(request):
        try:
            loop.read_series(fetch, {"date_from": _recent(request).isoformat()})
        except (TransientError, WindowTooWideError) as error:
            loop.trouble = error


def _recent(request: WindowRequest) -> date:
    recent = request.window.last - timedelta(days=STALE_LOOK_DAYS)
    return max(request.window.first, recent)


def to_operation(bank: EbAspspName | None) -> str:
    """
    Name the call and the bank it goes to.

    Who reads the archived answer again has nothing else to know the bank by.
    """
    return f"{OPERATION}?{urlencode({'bank': to_institution_id(bank)})}" if bank else OPERATION


def _quirks_of(answers: Sequence[RawAnswer]) -> Quirks:
    facts = parse_qs(answers[0].operation.partition("?")[2]) if answers else {}
    country, _, name = next(iter(facts.get("bank", ())), "").partition(":")
    return quirks_of(country, name)


def to_window(
    answers: Sequence[RawAnswer], account: Account, request: WindowRequest
) -> WindowAnswer:
    """
    Translate the pages of one window, in their order. Pure.

    They cover the window when the last one names no further page. The longest history is
    what the bank gives, and covers no day before its oldest row; one that may be stale
    covers nothing until it was looked at again.
    """
    read = _read(answers, account, request)
    return WindowAnswer(
        account_external_id=account.external_id,
        transactions=identified(_merged(read.series)),
        covered=read.covered(request),
        quarantined=tuple(dict.fromkeys(read.rows.quarantined)),
        calls_count=len(answers),
        pages_count=len(answers),
    )


def to_period_error(error: ProviderError, request: WindowRequest, quirks: Quirks) -> ProviderError:
    """
    Return a refusal of the period for what it is. Pure.

    A bank that only fails beyond its history is known for that. A date that it offers counts
    only if it is later than the one that was asked for.
    """
    days_max = quirks.history_days_max
    if error.code == "ASPSP_ERROR" and days_max and request.window.days >= days_max:
        refusal = WindowTooWideError(error.provider, error.operation, code=error.code)
        refusal.earliest = request.window.last - timedelta(days=days_max - 2)
        return refusal
    if isinstance(error, WindowTooWideError) and error.earliest is not None:
        is_shorter = request.window.first < error.earliest <= request.window.last
        error.earliest = error.earliest if is_shorter else None
    return error


@dataclass(frozen=True)
class _Read:
    """The rows of a window by series: the longest history, and the newest days again."""

    series: tuple[list[_Pair], ...]
    is_ended: bool
    rows: Rows

    def is_stale(self, request: WindowRequest) -> bool:
        """Say whether the newest booked row is so old that there may be newer ones."""
        days = (
            row.booking_date
            for pairs in self.series
            for _, row in pairs
            if row.status is TransactionStatus.BOOKED and row.booking_date
        )
        newest = max(days, default=date.min)
        return newest < request.window.last - timedelta(days=STALE_AFTER_DAYS)

    def covered(self, request: WindowRequest) -> DateWindow | None:
        """Return the dates of which every row was read, None when that is not certain."""
        if not self.is_ended:
            return None
        if not request.is_first:
            return request.window
        looked_again = len(self.series) > 1
        if not looked_again and self.is_stale(request):
            return None
        days = [day for pairs in self.series for _, row in pairs if (day := _day_of(row))]
        since = min([*days, _recent(request)] if looked_again else days)
        first = min(max(since, request.window.first), request.window.last)
        return DateWindow(first=first, last=request.window.last)


def _read(answers: Sequence[RawAnswer], account: Account, request: WindowRequest) -> _Read:
    rows = Rows.of(OPERATION, [answer.body for answer in answers])
    quirks = _quirks_of(answers)

    def transform(raw: EbTransaction, unreadable: Mapping[str, Any]) -> _Pair:
        return to_transaction(
            raw, unreadable, account=account, quirks=quirks, last_day=request.window.last
        )

    series: list[list[_Pair]] = []
    is_ended = True
    for answer in answers:
        page = parse_model(EbTransactionsPage, to_answer(answer))
        if is_ended:
            series.append([])
        for row in page.transactions:
            pair = rows.read(row, EbTransaction, transform, id_key="entry_reference")
            if pair is not None:
                series[-1].append(pair)
        is_ended = not page.continuation_key
    return _Read(tuple(series), is_ended, rows)


def _merged(series: Sequence[Sequence[_Pair]]) -> list[_Pair]:
    """
    Return the rows of all series: of equal ones as many as the series with the most has.

    What is pending is told by the last one, which is never stale.
    """
    merged: list[_Pair] = []
    for pairs in series:
        merged = [pair for pair in merged if pair[1].status is not TransactionStatus.PENDING]
        held = Counter(_content(pair) for pair in merged)
        for pair in pairs:
            content = _content(pair)
            if held[content]:
                held[content] -= 1
            else:
                merged.append(pair)
    return merged


def _day_of(row: Transaction) -> date | None:
    return row.booking_date or row.value_date or row.transaction_date


def _content(pair: _Pair) -> tuple[str | None, str]:
    external_id, row = pair
    return external_id, fingerprint(row)


def to_answer(answer: RawAnswer) -> JsonAnswer:
    """Read an archived answer again. Pure."""
    return JsonAnswer(answer, calls.to_json(Provider.ENABLE_BANKING, answer.operation, answer.body))


def _payload_error(code: str) -> PayloadError:
    return PayloadError(Provider.ENABLE_BANKING, OPERATION, code=code)
