"""
One account's transactions of some dates: page by page, and then in our words.

Source: https://enablebanking.com/docs/api/reference/#get-account-transactions
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.identity import fingerprint, identified
from bank_pipeline.domain.transaction import Transaction, TransactionStatus, paid_until
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    FeedMovedError,
    PayloadError,
    ProviderError,
    UserActionError,
    WindowTooWideError,
)
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import (
    QuarantinedRow,
    RawAnswer,
    WindowAnswer,
    WindowRequest,
)
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking.accounts import to_institution_id
from bank_pipeline.providers.enable_banking.client import parse_model
from bank_pipeline.providers.enable_banking.quirks import Quirks, quirks_of
from bank_pipeline.providers.enable_banking.schemas import (
    EbAspspName,
    EbTransaction,
    EbTransactionsPage,
)
from bank_pipeline.providers.enable_banking.transform import (
    FUTURE_DAYS_MAX,
    is_name,
    to_transaction,
)
from bank_pipeline.providers.rows import Rows

OPERATION: Final = "accounts/transactions"
PAGES_MAX: Final = 1_000  # 10 rows a page are 10,000 rows; beyond this something loops
STALE_AFTER_DAYS: Final = 7  # a longest history that ends earlier may lack its newest rows
STALE_LOOK_DAYS: Final = 30

Fetch = Callable[[Mapping[str, str], list[RawAnswer]], JsonAnswer]
_Pair = tuple[str | None, Transaction]


def to_cost(params: Mapping[str, str]) -> int:
    """
    Return how many calls a bank counts for a page. Pure.

    Most banks count no further pages. Looking for the longest history takes a call of its own.
    """
    if "continuation_key" in params:
        return 0
    return 2 if "strategy" in params else 1


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
            except (FeedMovedError, WindowTooWideError, UserActionError, PayloadError):
                raise
            except ProviderError as error:
                if len(self.pages) == begun:
                    raise
                self.unread.clear()
                self.trouble = error  # the pages before are good, and are asked for again
                return
            key = parse_model(EbTransactionsPage, answer).continuation_key or ""
            self.unread.clear()
            if key in seen:  # this page may be one of those before, once more
                self.trouble = _payload_error("CONTINUATION_STUCK")
                return
            self.pages.append(answer.raw)
            if not key:
                return
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
    if loop.trouble is None:
        read = _read(loop.pages, account, request)
        if read.is_stale(request):
            _look_again(fetch, read.newest, request, loop)


def _look_again(fetch: Fetch, newest: date | None, request: WindowRequest, loop: Loop) -> None:
    """Read on from where a history ends; of a bank that refuses that, the newest days."""
    begun, recent = len(loop.pages), _recent(request)
    end = recent if newest is None else max(min(newest, recent), request.window.first)
    refused: ProviderError | None = None
    for day in dict.fromkeys((end, recent)):
        try:
            loop.read_series(fetch, {"date_from": day.isoformat()})
        except WindowTooWideError as error:
            del loop.pages[begun:]
            refused = error
        except (UserActionError, PayloadError):
            raise
        except ProviderError as error:
            loop.trouble = error  # the first look is good, and some banks give it only now
            return
        else:
            return
    loop.trouble = refused


def _recent(request: WindowRequest) -> date:
    recent = request.window.last - timedelta(days=STALE_LOOK_DAYS)
    return max(request.window.first, recent)


def to_operation(bank: EbAspspName | None, *, since: str | None = None) -> str:
    """
    Name the call, the bank it goes to, and from when on a history is looked at again.

    Who reads the archived answer again has nothing else to know it by.
    """
    facts = {"bank": to_institution_id(bank)} if bank else {}
    if since is not None:
        facts["since"] = since
    return f"{OPERATION}?{urlencode(facts)}" if facts else OPERATION


def _fact(answer: RawAnswer, name: str) -> str:
    return next(iter(parse_qs(answer.operation.partition("?")[2]).get(name, ())), "")


def _quirks_of(answers: Sequence[RawAnswer]) -> Quirks:
    country, _, name = (_fact(answers[0], "bank") if answers else "").partition(":")
    return quirks_of(country, name)


def _looked_from(answer: RawAnswer, request: WindowRequest) -> date:
    since = _fact(answer, "since")
    return date.fromisoformat(since) if since else _recent(request)


def to_window(
    answers: Sequence[RawAnswer], account: Account, request: WindowRequest
) -> WindowAnswer:
    """
    Translate the pages of one window, in their order. Pure.

    They cover the window when the last one names no further page. The longest history is
    what the bank gives, and covers no day before its oldest booked row; one that may be stale
    covers nothing until it was looked at again, and nothing older than a gap before that look.
    """
    read = _read(answers, account, request)
    rows = identified(_merged(read.series))
    return WindowAnswer(
        account_external_id=account.external_id,
        transactions=tuple(_capped(row, request.window.last) for row in rows),
        covered=read.covered(request),
        quarantined=read.unread,
        identity_rules=_quirks_of(answers).identity_rules,
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
    looked_from: date | None
    is_ended: bool
    unread: tuple[QuarantinedRow, ...]

    @property
    def newest(self) -> date | None:
        """The day of the newest booked row of the first series."""
        return max(_booked_days(self.series[:1]), default=None)

    def is_stale(self, request: WindowRequest) -> bool:
        """Say whether the newest booked row is so old that there may be newer ones."""
        newest = max(_booked_days(self.series), default=date.min)
        return newest < request.window.last - timedelta(days=STALE_AFTER_DAYS)

    def covered(self, request: WindowRequest) -> DateWindow | None:
        """Return the dates of which every row was read, None when that is not certain."""
        if not self.is_ended:
            return None
        if not request.is_first:
            return request.window
        if self.looked_from is None and self.is_stale(request):
            return None
        since = self._since()
        first = min(max(since, request.window.first), request.window.last)
        return DateWindow(first=first, last=request.window.last)

    def _since(self) -> date:
        days = _booked_days(self.series)
        if self.looked_from is None:
            return min(days)
        if self.newest is None or self.newest < self.looked_from:
            return self.looked_from  # nobody has read the days between the two
        return min(*days, self.looked_from)


def _read(answers: Sequence[RawAnswer], account: Account, request: WindowRequest) -> _Read:
    rows = Rows.of(OPERATION, [answer.body for answer in answers])
    quirks = _quirks_of(answers)

    def transform(raw: EbTransaction, unreadable: Mapping[str, Any]) -> _Pair | None:
        pair = to_transaction(
            raw, unreadable, account=account, quirks=quirks, last_day=request.window.last
        )
        return pair if _can_end(pair[1]) else None

    series: list[list[_Pair]] = []
    looked_from: date | None = None
    is_ended = True
    for answer in answers:
        page = parse_model(EbTransactionsPage, to_answer(answer))
        if is_ended:
            looked_from = _looked_from(answer, request) if series else None
            series.append([])
        for row in page.transactions:
            pair = rows.read(row, EbTransaction, transform, id_key="entry_reference")
            if pair is not None:
                series[-1].append(pair)
        is_ended = not page.continuation_key
    unread = tuple(dict.fromkeys(_to_unread(row, quirks) for row in rows.quarantined))
    return _Read(tuple(series), looked_from, is_ended, unread)


def _to_unread(row: QuarantinedRow, quirks: Quirks) -> QuarantinedRow:
    """Take away an id that the row may not be stored by: nobody knows which one it is."""
    is_known = row.external_id is not None and is_name(row.external_id, quirks)
    return row if is_known else replace(row, external_id=None)


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


def _can_end(row: Transaction) -> bool:
    """
    Say whether anybody will notice that a pending row is gone.

    Without any date no answer covers it: it would be pending for ever, so it is left out
    until it is booked.
    """
    return row.status is not TransactionStatus.PENDING or row.transaction_date is not None


def _capped(row: Transaction, today: date) -> Transaction:
    """A bank east of us may be a day ahead; but a value date says nothing of when it was paid."""
    is_value_date = row.transaction_date == row.value_date
    ahead = timedelta(0) if is_value_date else timedelta(days=FUTURE_DAYS_MAX)
    return paid_until(row, today, ahead=ahead)


def _booked_days(series: Sequence[Sequence[_Pair]]) -> list[date]:
    return [
        row.booking_date
        for pairs in series
        for _, row in pairs
        if row.status is TransactionStatus.BOOKED and row.booking_date
    ]


def _content(pair: _Pair) -> tuple[str | None, str]:
    external_id, row = pair
    return external_id, fingerprint(row)


def to_answer(answer: RawAnswer) -> JsonAnswer:
    """Read an archived answer again. Pure."""
    return JsonAnswer(answer, calls.to_json(Provider.ENABLE_BANKING, answer.operation, answer.body))


def _payload_error(code: str) -> PayloadError:
    return PayloadError(Provider.ENABLE_BANKING, OPERATION, code=code)
