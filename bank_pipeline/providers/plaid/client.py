"""Calls to Plaid: what was sent, what came back, and what every failure means."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import urllib3
from pydantic import BaseModel, SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    ConfigurationError,
    CursorRejectedError,
    FeedMovedError,
    PayloadError,
    TransientError,
)
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import Archive, RawAnswer, keep_nothing
from bank_pipeline.providers.http import HttpAnswer
from bank_pipeline.providers.metering import CallFacts, PlannedCall, sending, to_facts
from bank_pipeline.providers.plaid.errors import to_error, to_word
from bank_pipeline.providers.plaid.rates import rates_of
from bank_pipeline.providers.plaid.schemas import PlaidSyncPage
from bank_pipeline.providers.plaid.transport import AnswerTooLargeError
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter, Throttle
from bank_pipeline.providers.waiting import WaitingBodies

if TYPE_CHECKING:
    from bank_pipeline.providers.plaid.sdk import PlaidSdk

CONNECT_TIMEOUT_S: Final = 5.0  # a reachable host answers a handshake at once
RESTARTS_MAX: Final = 5  # Plaid moves data in bursts; what moves longer will move again
PAGES_MAX: Final = 4_000  # 2,000,000 changes; more in one update means that something loops
PAGES_AT_ONCE: Final = 40  # Plaid allows 50 calls a minute per Item, all else included
PAGE_PACE_S: Final = 1.25  # beyond them: a pace that stays below 50 a minute
FEED_TOTAL_MAX_S: Final = PAGES_MAX * PAGE_PACE_S  # no restart begins later

SYNC: Final = "transactions/sync"
_REQUEST_ID = re.compile(rb'"request_id"\s*:\s*"[^"]*"')
_OK = range(200, 300)

_Model = TypeVar("_Model", bound=BaseModel)
Send = Callable[["PlaidSdk"], HttpAnswer]


@dataclass(frozen=True)
class Answer:
    """A success: as it came, and parsed with exact numbers."""

    raw: RawAnswer
    body: dict[str, Any]


@dataclass(frozen=True)
class SyncPage:
    """One page of a change feed with its answer."""

    raw: RawAnswer
    page: PlaidSyncPage


@dataclass(frozen=True)
class SyncPages:
    """
    All pages of one update, in order, and how many calls they took, restarts included.

    Nothing of an update is used before its last page is there. All but the last wait packed, so
    that an update of one page is parsed once.
    """

    before: tuple[RawAnswer, ...]
    bodies: WaitingBodies
    last: SyncPage
    calls_count: int

    def __len__(self) -> int:
        """Count the pages."""
        return len(self.before) + 1

    def answer(self, number: int) -> RawAnswer:
        """Return one page's answer; its number is its place in the order."""
        if number == len(self.before):
            return self.last.raw
        return replace(self.before[number], body=self.bodies[number])

    def answers(self) -> Iterator[RawAnswer]:
        """Return the answers, one at a time."""
        return map(self.answer, range(len(self)))

    def read(self) -> Iterator[PlaidSyncPage]:
        """Read the pages, one at a time."""
        yield from parse_pages(map(self.answer, range(len(self.before))))
        yield self.last.page


@dataclass
class _Loop:
    """Reading one feed: the calls made so far, and the answer that is being looked into."""

    calls_count: int = 0
    unread: list[RawAnswer] = field(default_factory=list)

    def begin_call(self) -> None:
        """Whatever came before has been read, or is given up with its loop."""
        self.calls_count += 1
        self.unread.clear()


class PlaidClient:
    """
    Plaid over HTTP. Safe to share between threads.

    The SDK is loaded by the first call: importing it costs 0.2 s, which a process that only
    lists assets should not pay.
    """

    def __init__(
        self,
        *,
        host: str,
        client_id: str,
        secret: SecretStr,
        timeout_s: float,
        retry: Retry,
        limiter: RateLimiter = UNLIMITED,
    ) -> None:
        self._host = host
        self._client_id = client_id
        self._secret = secret
        self._timeout_s = timeout_s
        self._retry = retry
        self._throttle = Throttle(
            Provider.PLAID, limiter, partial(rates_of, host), key=client_id, sleep=retry.sleep
        )

    def call(
        self,
        operation: str,
        send: Send,
        *,
        archive: Archive | None = None,
        retries: bool = True,
        item: SecretStr | None = None,
    ) -> Answer:
        """
        Make one call and return its success, archived, even if it turns out unreadable.

        Without `archive` nothing is kept: that is for answers that may hold a credential.
        `retries=False` is for what must not be done twice. `item` is the access token of the
        Item that it is about, whose calls Plaid counts by themselves.

        Raises:
            ProviderError: any of them; see `to_error`.
        """
        keep = keep_nothing if archive is None else archive
        if not retries:
            return self._call_once(operation, send, archive=keep, item=item)
        return self._retry.call(lambda: self._call_once(operation, send, archive=keep, item=item))

    def fetch_sync_pages(
        self, access_token: SecretStr, *, cursor: str | None, archive: Archive
    ) -> SyncPages:
        """
        Fetch every page of changes after `cursor`; None asks for the whole history.

        A failure in the middle, whatever it is, starts again from the first cursor: Plaid
        promises nothing for a cursor from the middle of a loop that broke.

        The pages of a whole update are archived together, in order. Of an update that
        failed, only the answer that could not be read, if that was why, is.

        Raises:
            FeedMovedError: still moving after RESTARTS_MAX restarts.
            CursorRejectedError: Plaid does not know `cursor`.
            PayloadError: the feed does not end, or stands still.

        Source: https://plaid.com/docs/api/products/transactions/#transactionssync
        """
        loop = _Loop()
        retry = Retry(RESTARTS_MAX + 1, FEED_TOTAL_MAX_S, self._retry.sleep)
        try:
            pages = retry.call(lambda: self._read_feed(access_token, cursor=cursor, loop=loop))
        except Exception:
            for answer in loop.unread:
                archive(answer)
            raise
        for answer in pages.answers():
            archive(answer)
        return pages

    def close(self) -> None:
        """Close all idle connections."""
        if "_sdk" in self.__dict__:
            self._sdk.close()

    def _read_feed(self, access_token: SecretStr, *, cursor: str | None, loop: _Loop) -> SyncPages:
        before: list[RawAnswer] = []
        bodies = WaitingBodies()
        sent = [cursor or ""]
        while True:
            if len(before) >= PAGES_AT_ONCE:
                self._retry.sleep(PAGE_PACE_S)
            loop.begin_call()
            last = self._fetch_page(access_token, sent[-1], loop, is_first=not before)
            page, request_id = last.page, last.raw.request_id
            if not page.has_more:
                return SyncPages(tuple(before), bodies, last, loop.calls_count)
            bodies.append(last.raw.body)
            before.append(replace(last.raw, body=b""))
            if page.next_cursor == "" or page.next_cursor in sent:
                raise _payload_error(SYNC, "CURSOR_STUCK", request_id)
            if len(before) == PAGES_MAX:
                raise _payload_error(SYNC, "PAGES_MAX", request_id)
            sent.append(page.next_cursor)

    def _fetch_page(
        self, access_token: SecretStr, cursor: str, loop: _Loop, *, is_first: bool
    ) -> SyncPage:
        try:
            answer = self._call_once(
                SYNC,
                lambda sdk: sdk.sync_transactions(access_token, cursor=cursor),
                archive=loop.unread.append,
                item=access_token,
                sent_cursor=bool(cursor),
            )
        except CursorRejectedError as error:
            if is_first:
                raise
            # Only the middle of this loop is lost; the cursor we keep may still be good.
            raise FeedMovedError(
                Provider.PLAID, SYNC, code=error.code, request_id=error.request_id
            ) from error
        return SyncPage(answer.raw, parse_model(PlaidSyncPage, answer))

    def _call_once(
        self,
        operation: str,
        send: Send,
        *,
        archive: Archive,
        item: SecretStr | None,
        sent_cursor: bool = False,
    ) -> Answer:
        self._throttle.pass_by(operation, "POST", subject=None if item is None else to_name(item))
        with sending(PlannedCall(Provider.PLAID, operation)) as sent:
            reply = self._send(operation, send, archive)
            if reply.status in _OK:
                sent.answered(reply.status, CallFacts())
            else:
                now = datetime.fromtimestamp(time.time(), UTC)
                error = to_error(operation, reply, now=now, sent_cursor=sent_cursor)
                sent.answered(reply.status, to_facts(error))
                raise error
        try:
            answer = to_answer(operation, reply.body)
        except Exception:
            archive(_to_unread(operation, reply.body))
            raise
        archive(answer.raw)
        return answer

    def _send(self, operation: str, send: Send, archive: Archive) -> HttpAnswer:
        try:
            return send(self._sdk)
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise TransientError(Provider.PLAID, operation, code=_to_code(error)) from None
        except AnswerTooLargeError as error:
            archive(_to_unread(operation, error.head))
            raise _payload_error(operation, "ANSWER_TOO_LARGE", None) from None
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            # The SDK checks what it sends. Its text quotes the value, which may be a token.
            code = f"REQUEST_{type(error).__name__}"
            raise ConfigurationError(Provider.PLAID, operation, code=code) from None

    @cached_property
    def _sdk(self) -> "PlaidSdk":
        from bank_pipeline.providers.plaid.sdk import PlaidSdk  # noqa: PLC0415 - see the class

        return PlaidSdk(
            host=self._host,
            client_id=self._client_id,
            secret=self._secret,
            timeout_s=(min(CONNECT_TIMEOUT_S, self._timeout_s), self._timeout_s),
        )


def to_name(item: SecretStr) -> str:
    """Return a name for an Item that opens nothing."""
    return hashlib.blake2b(item.get_secret_value().encode(), digest_size=12).hexdigest()


def _to_unread(operation: str, body: bytes) -> RawAnswer:
    return RawAnswer(operation, body, to_digest(body), None)


def _to_code(error: Exception) -> str:
    # urllib3 counts a refused connection among its time-outs; to an operator it is not one.
    is_refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError) and not is_refused:
        return "TIMEOUT"
    return f"NO_ANSWER_{type(error).__name__}"


def to_answer(operation: str, body: bytes) -> Answer:
    """
    Read the body of a success.

    Bytes that are not UTF-8 spoil the text they are in and no more: see `changes.Rows`.

    Raises:
        TransientError: not JSON at all: some proxy's page, or a broken connection.
        PayloadError: JSON, but not an object, or with NaN and the like in it.
    """
    parsed = calls.to_json(Provider.PLAID, operation, body)
    if not isinstance(parsed, dict):
        raise _payload_error(operation, "NOT_AN_OBJECT", None)
    request_id = to_word(parsed.get("request_id"))
    return Answer(RawAnswer(operation, body, to_digest(body), request_id), parsed)


def to_digest(body: bytes) -> bytes:
    """Hash a body without its request id, the one thing that differs on every call."""
    return hashlib.blake2b(_REQUEST_ID.sub(b"", body), digest_size=16).digest()


def parse_model(model: type[_Model], answer: Answer) -> _Model:
    """
    Read an envelope.

    Raises:
        PayloadError: its code names the fields that do not fit, never their values.
    """
    raw = answer.raw
    return calls.parse_model(
        Provider.PLAID, raw.operation, model, answer.body, request_id=raw.request_id
    )


def parse_pages(answers: Iterable[RawAnswer]) -> Iterator[PlaidSyncPage]:
    """Read answers of the change feed again, one at a time. Pure."""
    for answer in answers:
        yield parse_model(PlaidSyncPage, to_answer(answer.operation, answer.body))


def _payload_error(operation: str, code: str, request_id: str | None) -> PayloadError:
    return PayloadError(Provider.PLAID, operation, code=code, request_id=request_id)
