"""
One account's transactions of some dates: page after page backwards, newest first.

Only the first page is asked by date. The others are asked by id (`from_id`: rows older than
that one), for nobody says what both together mean while rows arrive; and we stop by
ourselves at the first date that was asked for. What arrives meanwhile comes in front and
moves nothing behind it. But a pending row that posts meanwhile moves to the front: so after
several pages the first one is read again, and its word counts.

The row that a page goes on from is a booked one, because a pending one may get another id
between two calls.

Source: https://teller.io/docs/api/account/transactions
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from pydantic import SecretStr

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.identity_rules import LASTING
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.errors import PayloadError, ProviderError, TransientError
from bank_pipeline.providers.answers import (
    Archive,
    QuarantinedRow,
    RawAnswer,
    WindowAnswer,
    WindowRequest,
)
from bank_pipeline.providers.calls import JsonAnswer, to_json
from bank_pipeline.providers.exact_json import dump_json, escape_odd
from bank_pipeline.providers.fields import FIRST_YEAR
from bank_pipeline.providers.rows import Rows
from bank_pipeline.providers.teller.client import TellerClient, account_path, rows_of
from bank_pipeline.providers.teller.schemas import TellerTransaction
from bank_pipeline.providers.teller.transform import to_transaction

TRANSACTIONS: Final = "transactions"
PAGE_ROWS: Final = 500
SMALL_PAGE_ROWS: Final = 100  # after a time-out, which a long history may cause
ROUND_ROWS: Final = 50
"""Nobody documents the most that Teller gives at once: a short page of 50, 100, ... may be full."""

PAGES_MAX: Final = 400  # 200,000 rows of one account; more means that something loops
_SMALL_PAGE: Final = f"{TRANSACTIONS}?count={SMALL_PAGE_ROWS}"
"""The operation of a smaller page: what is a short page must be known when it is read again."""


@dataclass(frozen=True)
class Page:
    """One page as it came, and how many rows were asked for."""

    rows: list[Any]
    count: int
    body: bytes

    def anchor(self) -> Mapping[str, Any] | None:
        """Return the row to go on from: the last booked one that has an id, else the last."""
        named = [
            row
            for row in self.rows
            if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]
        ]
        booked = [row for row in named if row.get("status") == "posted"]
        return next(reversed(booked or named), None)

    def is_last(self, first: date) -> bool:
        """Say whether no older page has a row that is asked for."""
        if len(self.rows) < self.count and (not self.rows or len(self.rows) % ROUND_ROWS):
            return True
        anchor = self.anchor()
        day = _to_date(anchor.get("date")) if anchor else None
        return day is not None and day < first


@dataclass
class Fetched:
    """What a loop over pages brought; `trouble` is why it broke off after the first."""

    pages: list[Page] = field(default_factory=list)
    trouble: ProviderError | None = None
    calls_count: int = 0


class PageReader:
    """Reads the pages of one account, in one loop."""

    def __init__(
        self,
        client: TellerClient,
        credential: SecretStr,
        account: Account,
        request: WindowRequest,
        archive: Archive,
    ) -> None:
        self._client = client
        self._credential = credential
        self._path = account_path(account.external_id, TRANSACTIONS)
        self._request = request
        self._archive = archive
        self._count = PAGE_ROWS
        self._fetched = Fetched()

    def fetch_all(self) -> Fetched:
        """
        Fetch every page of the window; of the whole history when it is read for the first time.

        Raises:
            ProviderError: of the first page. What goes wrong later is `trouble`.
        """
        fetched = self._fetched
        fetched.pages.append(self._fetch(None))
        try:
            if not fetched.pages[0].rows:
                # It says that every row of these dates is gone. That is asked twice.
                fetched.pages = [self._fetch(None)]
            self._fetch_older()
            if len(fetched.pages) > 1:
                fetched.pages.append(self._fetch(None))
        except ProviderError as error:
            fetched.trouble = error
        return fetched

    def _fetch_older(self) -> None:
        pages, used = self._fetched.pages, set[str]()
        while not pages[-1].is_last(_first_day(self._request)):
            anchor = pages[-1].anchor()
            if anchor is None or anchor["id"] in used:
                raise _payload_error("PAGE_REPEATED" if anchor else "NO_IDS")
            if len(pages) == PAGES_MAX:
                raise _payload_error("PAGES_MAX")
            used.add(anchor["id"])
            pages.append(self._fetch(anchor["id"]))

    def _fetch(self, from_id: str | None) -> Page:
        try:
            answer = self._call(from_id)
        except TransientError as error:
            if error.code != "TIMEOUT" or self._count == SMALL_PAGE_ROWS:
                raise
            self._count = SMALL_PAGE_ROWS
            answer = self._call(from_id)
        return Page(rows_of(answer), self._count, answer.raw.body)

    def _call(self, from_id: str | None) -> JsonAnswer:
        self._fetched.calls_count += 1
        params = {"count": str(self._count)}
        if from_id is not None:
            params["from_id"] = from_id
        elif not self._request.is_first:
            params["start_date"] = self._request.window.first.isoformat()
        return self._client.call(
            TRANSACTIONS if self._count == PAGE_ROWS else _SMALL_PAGE,
            self._path,
            credential=self._credential,
            params=params,
            archive=self._archive,
            about_account=True,
        )


def read_pages(answers: Sequence[RawAnswer]) -> Fetched:
    """
    Read archived pages again; what else was archived with them is left out. Pure.

    Raises:
        ProviderError: the first page cannot be read. A later one is `trouble`.
    """
    fetched = Fetched()
    for answer in answers:
        if answer.operation not in (TRANSACTIONS, _SMALL_PAGE):
            continue
        fetched.calls_count += 1
        count = PAGE_ROWS if answer.operation == TRANSACTIONS else SMALL_PAGE_ROWS
        try:
            body = to_json(Provider.TELLER, answer.operation, answer.body)
            fetched.pages.append(Page(rows_of(JsonAnswer(answer, body)), count, answer.body))
        except ProviderError as error:
            if not fetched.pages:
                raise
            fetched.trouble = error
            break
    if len(fetched.pages) > 1 and not fetched.pages[0].rows:
        fetched.pages = fetched.pages[1:]  # an empty first page was asked for twice
    return fetched


def to_window_answer(fetched: Fetched, account: Account, request: WindowRequest) -> WindowAnswer:
    """
    Translate pages, in their order. Pure.

    Teller's ids are unique, so rows with one id are one row: its last word counts, and a
    booked one is the later life of a pending one. The newest row comes first.
    """
    rows = Rows.of(TRANSACTIONS, [page.body for page in fetched.pages])
    read = _reader(rows, account, request)
    found: dict[str, Transaction] = {}
    strangers: list[QuarantinedRow] = []
    first = _first_day(request)
    for page in _in_time(fetched.pages, first):
        for raw in page.rows:
            if _is_of_another(raw, account):
                strangers.append(_to_stranger(raw))
            elif (row := read(raw)) is not None and _is_news(row, found):
                found[row.external_id] = row
    is_whole = fetched.trouble is None and _is_whole(fetched.pages, first)
    return WindowAnswer(
        account_external_id=account.external_id,
        transactions=tuple(found.values()),
        covered=request.window if is_whole else None,
        quarantined=(*_each_once(rows.quarantined), *_each_once(strangers)),
        trouble=fetched.trouble,
        identity_rules=LASTING,
        calls_count=fetched.calls_count,
        pages_count=len(fetched.pages),
    )


def _first_day(request: WindowRequest) -> date:
    """Return the first day that is read: of an account that is new to us, all that there is."""
    return date.min if request.is_first else request.window.first


def _is_news(row: Transaction, found: Mapping[str, Transaction]) -> bool:
    before = found.get(row.external_id)
    pending = TransactionStatus.PENDING
    return before is None or (before.status is pending and row.status is not pending)


def _reader(
    rows: Rows, account: Account, request: WindowRequest
) -> Callable[[Any], Transaction | None]:
    def translate(raw: TellerTransaction, unreadable: Mapping[str, Any]) -> Transaction:
        return to_transaction(raw, unreadable, account, today=request.window.last)

    return lambda raw: rows.read(raw, TellerTransaction, translate, id_key="id")


def _in_time(pages: Sequence[Page], first: date) -> list[Page]:
    """Return the pages newest word first: the one read again at the end, then the others."""
    end = _end(pages, first)
    again = [] if end is None else list(pages[end + 1 :])
    return [*reversed(again), *(pages if end is None else pages[: end + 1])]


def _is_whole(pages: Sequence[Page], first: date) -> bool:
    end = _end(pages, first)
    return end is not None and (end == 0 or len(pages) > end + 1)


def _end(pages: Sequence[Page], first: date) -> int | None:
    return next((n for n, page in enumerate(pages) if page.is_last(first)), None)


def _is_of_another(raw: Any, account: Account) -> bool:  # noqa: ANN401 - one parsed row
    stated = raw.get("account_id") if isinstance(raw, dict) else None
    return isinstance(stated, str) and stated != account.external_id


def _to_stranger(raw: dict[str, Any]) -> QuarantinedRow:
    external_id = raw.get("id")
    return QuarantinedRow(
        operation=TRANSACTIONS,
        external_id=escape_odd(external_id) if isinstance(external_id, str) else None,
        raw=dump_json(raw),
        reason="account_id: another account",
    )


def _each_once(rows: Sequence[QuarantinedRow]) -> tuple[QuarantinedRow, ...]:
    """A page that is read again brings its bad rows again."""
    return tuple(dict.fromkeys(rows))


def _to_date(value: object) -> date | None:
    """Return a real date: one of the year 1 does not say that no older page is asked for."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return day if day is not None and day.year >= FIRST_YEAR else None


def _payload_error(code: str) -> PayloadError:
    return PayloadError(Provider.TELLER, TRANSACTIONS, code=code)
