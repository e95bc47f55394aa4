"""
The receiver of webhooks: bounded, verified, stored, answered. It never syncs.

Anybody can send anything here. What is not a provider's own word of just now leaves nothing but
a count, and no answer is a failure of ours unless the database is away.
"""

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.webhooks import Refusal
from bank_pipeline.errors import ProviderError, StorageError, WebhookRejectedError
from bank_pipeline.gateway.bodies import UnreadBodyError, read_in_time
from bank_pipeline.gateway.meters import Meters, WebhookOutcome
from bank_pipeline.gateway.problems import Problem
from bank_pipeline.sync.inbox import Inbox
from bank_pipeline.sync.refusals import RefusalCounter

T = TypeVar("T")
_log: Final = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 256 * 1024  # real webhooks are below 10 kB
BODY_S_MAX: Final = 5.0  # half of what Plaid waits for our answer
THREADS_MAX: Final = 32
"""
Webhooks of one provider that are verified at once, and hence committed together.

Of its own for each, so that neither a flood of forgeries nor a provider that cannot be asked for
its keys takes the threads of others. They share few connections of the database: one commits.
"""

WAITING_MAX: Final = 1_000
"""Webhooks of one provider that wait for a thread, about a second's work; more come again later."""

RETRY_AFTER_S: Final = 30.0  # Plaid's own first delay

_STATUS_OF_REFUSAL: Final = {
    Refusal.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Refusal.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Refusal.BROKEN_OFF: HTTPStatus.BAD_REQUEST,
}


def webhook_routes(services: Services, meters: Meters) -> list[Route]:
    """Return the receivers, one for each provider that is on and sends any."""
    inbox, counter = Inbox(services.sync), RefusalCounter(services.sync)
    return [
        Route(
            f"/webhooks/{provider.value}",
            _Receiver(inbox, counter, meters, provider).receive,
            methods=["POST"],
        )
        for provider, client in services.sync.providers.items()
        if client.capabilities.has_webhooks
    ]


class _Receiver:
    """Takes one provider's webhooks."""

    def __init__(
        self, inbox: Inbox, counter: RefusalCounter, meters: Meters, provider: Provider
    ) -> None:
        self._inbox = inbox
        self._counter = counter
        self._meters = meters
        self._provider = provider
        self._threads = anyio.CapacityLimiter(THREADS_MAX)

    async def receive(self, request: Request) -> Response:
        """
        Answer 200 only after the event is stored; Plaid waits at most ten seconds.

        Why a webhook is refused is told to the operator, not to who sent it.
        """
        if self._threads.statistics().tasks_waiting >= WAITING_MAX:
            self._counter.note_for_later(self._provider, Refusal.TOO_BUSY)
            self._meter(WebhookOutcome.PUT_OFF, Refusal.TOO_BUSY)
            return _later(HTTPStatus.TOO_MANY_REQUESTS, RETRY_AFTER_S)
        try:
            body = await read_in_time(request, bytes_max=BODY_BYTES_MAX, seconds_max=BODY_S_MAX)
        except UnreadBodyError as error:
            await self._in_thread(partial(self._refuse, error.refusal))
            status = _STATUS_OF_REFUSAL[error.refusal]
            return Problem(status, "the body was not read to its end").to_response()
        return await self._in_thread(partial(self._take, _joined(request), body))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def _take(self, headers: dict[str, str], body: bytes) -> Response:
        try:
            self._inbox.accept(self._provider, headers, body)
        except WebhookRejectedError as error:
            self._refuse(error.refusal)
            if error.retry_after_s is not None:
                return _later(HTTPStatus.TOO_MANY_REQUESTS, error.retry_after_s)
            return Problem(HTTPStatus.UNAUTHORIZED, "the signature is not valid").to_response()
        except ProviderError as error:
            # Not our failure, and anybody can bring it about who names a key that is new to us.
            self._counter.note(self._provider, Refusal.KEY_UNAVAILABLE)
            self._meter(WebhookOutcome.PUT_OFF, Refusal.KEY_UNAVAILABLE)
            return _later(HTTPStatus.TOO_MANY_REQUESTS, error.retry_after_s or RETRY_AFTER_S)
        except StorageError as error:
            _log.error("%s", error)
            self._meter(WebhookOutcome.PUT_OFF, "database")
            return _later(HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
        self._meter(WebhookOutcome.STORED)
        return JSONResponse({"status": "stored"})

    def _refuse(self, refusal: Refusal) -> None:
        self._counter.note(self._provider, refusal)
        self._meter(WebhookOutcome.REFUSED, refusal)

    def _meter(self, outcome: WebhookOutcome, reason: str = "") -> None:
        self._meters.count_webhook(self._provider, outcome, reason)


def _later(status: HTTPStatus, seconds: float) -> Response:
    headers = {"Retry-After": str(max(1, round(seconds)))}
    return Problem(status, "not just now; deliver it again", headers=headers).to_response()


def _joined(request: Request) -> dict[str, str]:
    """Return the headers; those that come twice as one, as HTTP has it, and so neither is lost."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
