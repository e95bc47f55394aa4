"""
Sends webhooks in the background, and again when they were refused. Thread-safe.

Success is a 200 within ten seconds. The second attempt comes 30 seconds after the first and
each further delay is four times as long, for a day. An endpoint that refused more than 90 % of
the day's attempts gets no second ones; a 429 may say when to come back, four hours hence at most.
All of that in virtual time. It is Plaid's way, and that of the others who document none.

Source: https://plaid.com/docs/api/webhooks/#webhook-retries
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.wire import moment_text

_FIRST_DELAY: Final = timedelta(seconds=30)
_GROWTH: Final = 4
_DAY: Final = timedelta(hours=24)
_RETRY_AFTER_MAX: Final = timedelta(hours=4)
_REFUSED_MAX: Final = 0.9
_OK: Final = 200
_TOO_MANY: Final = 429
_JOIN_S: Final = 15.0


@dataclass(frozen=True)
class Attempt:
    """One POST: when, in virtual time, and with what end. `status` None is no answer at all."""

    at: datetime
    status: int | None
    error: str | None = None


@dataclass
class Delivery:
    """One webhook on its way. `due_at` None when it is over, one way or the other."""

    number: int
    url: str
    code: str
    item_id: str | None
    body: str
    created_at: datetime
    due_at: datetime | None
    headers: dict[str, str] | None = None  # instead of a fresh signature, when tampered with
    delivered: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Describe the delivery for the control API."""
        return {
            "number": self.number,
            "url": self.url,
            "webhook_code": self.code,
            "item_id": self.item_id,
            "body": self.body,
            "created_at": moment_text(self.created_at),
            "due_at": None if self.due_at is None else moment_text(self.due_at),
            "delivered": self.delivered,
            "attempts": [
                {"at": moment_text(one.at), "status": one.status, "error": one.error}
                for one in self.attempts
            ],
        }


class Outbox:
    """
    Keep what is to be sent and the thread that sends it, one webhook at a time.

    `signature_header` and `user_agent` are the provider's.
    `sign` makes the header of each attempt anew: a retry hours later must not look stale.
    `look` is called every `tick_s` real seconds while the clock runs, to find what is new.
    """

    def __init__(
        self,
        clock: VirtualClock,
        *,
        sign: Callable[[bytes, datetime], str],
        look: Callable[[], None],
        timeout_s: float,
        breaker_least: int,
        tick_s: float,
        signature_header: str = "Plaid-Verification",
        user_agent: str = "Plaid/1.0",
    ) -> None:
        self._clock = clock
        self._signature_header = signature_header
        self._user_agent = user_agent
        self._sign = sign
        self._look = look
        self._timeout_s = timeout_s
        self._breaker_least = breaker_least
        self._tick_s = tick_s if clock.running else None
        self._carrier: Callable[[Delivery], None] | None = None
        self._deliveries: list[Delivery] = []
        self._waiting: list[Delivery] = []
        self._changed = threading.Condition()
        self._sending: Delivery | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(
            target=self._run, name=f"{self._user_agent} webhooks", daemon=True
        )
        self._thread.start()

    def divert(self, carrier: Callable[[Delivery], None]) -> None:
        """Hand every webhook to `carrier` instead of sending it: what becomes of it is theirs."""
        self._carrier = carrier

    def headers_of(self, delivery: Delivery) -> dict[str, str]:
        """Return the headers of an attempt that is made now."""
        headers = delivery.headers
        if headers is None:
            signature = self._sign(delivery.body.encode(), self._clock.now())
            headers = {self._signature_header: signature}
        usual = {"Content-Type": "application/json", "User-Agent": self._user_agent}
        return {**usual, **headers}

    def stop(self) -> None:
        """End the thread, after the attempt that is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def post(
        self,
        url: str,
        *,
        code: str,
        item_id: str | None,
        body: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send `body` to `url` soon."""
        now = self._clock.now()
        with self._changed:
            number = len(self._deliveries) + 1
            delivery = Delivery(number, url, code, item_id, body, now, now, headers)
            self._deliveries.append(delivery)
            if self._carrier is not None:
                self._carrier(delivery)
                return
            self._waiting.append(delivery)
            self._changed.notify_all()

    def wake(self) -> None:
        """Look for what has become due, after time has passed."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is due or under way; say whether that came true in time."""
        with self._changed:
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._stopping or (self._sending is None and self._next_due() is None),
                timeout_s,
            )

    def log(self) -> Sequence[Delivery]:
        """Return all deliveries, oldest first."""
        with self._changed:
            return tuple(self._deliveries)

    def _run(self) -> None:
        with httpx.Client(timeout=self._timeout_s, trust_env=False) as client:
            while True:
                delivery = self._take()
                if delivery is not None:
                    self._settle(delivery, self._attempt(client, delivery))
                elif self._is_stopping():
                    return
                else:
                    self._look()

    def _take(self) -> Delivery | None:
        """Wait for something due and return it; None after a tick without, or at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._next_due() is not None, self._tick_s
            )
            self._sending = None if self._stopping else self._next_due()
            return self._sending

    def _is_stopping(self) -> bool:
        with self._changed:
            return self._stopping

    def _next_due(self) -> Delivery | None:
        now = self._clock.now()
        due = [one for one in self._waiting if one.due_at is not None and one.due_at <= now]
        return min(due, key=lambda one: (one.due_at, one.number), default=None)

    def _attempt(self, client: httpx.Client, delivery: Delivery) -> tuple[Attempt, str | None]:
        now = self._clock.now()
        body, headers = delivery.body.encode(), self.headers_of(delivery)
        try:
            with client.stream("POST", delivery.url, content=body, headers=headers) as answer:
                return Attempt(now, answer.status_code), answer.headers.get("Retry-After")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Attempt(now, None, type(error).__name__), None

    def _settle(self, delivery: Delivery, outcome: tuple[Attempt, str | None]) -> None:
        attempt, retry_after = outcome
        with self._changed:
            delivery.attempts.append(attempt)
            delivery.delivered = attempt.status == _OK
            delivery.due_at = None if delivery.delivered else self._again(delivery, retry_after)
            if delivery.due_at is None:
                self._waiting.remove(delivery)
            self._sending = None
            self._changed.notify_all()

    def _again(self, delivery: Delivery, retry_after: str | None) -> datetime | None:
        attempt = delivery.attempts[-1]
        if self._is_breaker_open(delivery.url, attempt.at):
            return None
        told = _wait_of(retry_after, attempt.at) if attempt.status == _TOO_MANY else None
        delay = _FIRST_DELAY * _GROWTH ** (len(delivery.attempts) - 1) if told is None else told
        due_at = (delivery.due_at or attempt.at) + delay
        return due_at if due_at <= delivery.created_at + _DAY else None

    def _is_breaker_open(self, url: str, now: datetime) -> bool:
        recent = [
            attempt
            for delivery in self._deliveries
            if delivery.url == url
            for attempt in delivery.attempts
            if attempt.at > now - _DAY
        ]
        refused = sum(attempt.status != _OK for attempt in recent)
        return len(recent) >= self._breaker_least and refused > _REFUSED_MAX * len(recent)


def _wait_of(retry_after: str | None, now: datetime) -> timedelta | None:
    """Read a Retry-After: seconds, an HTTP date or an ISO moment. Nonsense is None."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return min(timedelta(seconds=int(retry_after)), _RETRY_AFTER_MAX)
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(retry_after)
        except ValueError:
            continue
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
        return min(max(wait, timedelta(0)), _RETRY_AFTER_MAX)
    return None
