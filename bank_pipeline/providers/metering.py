"""
Every call to a provider passes here: asked for before it is made, told of when it has ended.

Whoever starts calls (a sync, a link) installs a meter for as long as it lasts; the clients need
not know who listens. One thread does one piece of work, so a context variable is its own.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ProviderError, RateLimitedError
from bank_pipeline.providers.answers import QuotaSeen
from bank_pipeline.providers.base import Scope


@dataclass(frozen=True)
class Subject:
    """
    What a call reads of one account.

    `scope` is set where banks count such calls, and `cost` is how many they count for it: some
    answers take several calls there, and most further pages take none.
    """

    account_external_id: str
    scope: Scope | None = None
    cost: int = 1


@dataclass(frozen=True)
class PlannedCall:
    """A call about to be made. `operation` names it, and holds neither an id nor a query."""

    provider: Provider
    operation: str
    subject: Subject | None = None


@dataclass(frozen=True)
class CallFacts:
    """
    What an answer says of itself besides its body: what failed, and what is left of a quota.

    A refusal for too many calls says that nothing is.
    """

    error_code: str | None = None
    request_id: str | None = None
    quota: QuotaSeen | None = None


@dataclass(frozen=True)
class EndedCall:
    """
    How a call ended. No `status`: there was no answer.

    A success with an `error_code` in its facts is one whose body could not be read.
    """

    status: int | None
    duration_ms: int
    facts: CallFacts


class CallMeter(Protocol):
    """Grants calls, and keeps what came of them."""

    def begin(self, call: PlannedCall) -> object:
        """Return a ticket for the call; a RateLimitedError when it may not be made now."""

    def end(self, ticket: object, ended: EndedCall) -> None:
        """Keep how it ended."""


_METER: Final[ContextVar[CallMeter | None]] = ContextVar("call_meter", default=None)


@contextmanager
def metered_by(meter: CallMeter) -> Iterator[None]:
    """Have this meter told of every call that this thread makes inside."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


@dataclass
class Sending:
    """A call under way, to be filled with what its answer says."""

    status: int | None = None
    facts: CallFacts = CallFacts()

    def answered(self, status: int, facts: CallFacts) -> None:
        """Note the answer, whatever its status."""
        self.status, self.facts = status, facts


@contextmanager
def sending(call: PlannedCall) -> Iterator[Sending]:
    """Make one call inside, metered. An error of ours that is raised inside names what failed."""
    meter, sent = _METER.get(), Sending()
    if meter is None:
        yield sent
        return
    ticket = meter.begin(call)
    began_s = time.monotonic()
    try:
        yield sent
    except ProviderError as error:
        sent.facts = CallFacts(error_code=error.code)
        raise
    except BaseException as error:
        sent.facts = CallFacts(error_code=type(error).__name__)
        raise
    finally:
        duration_ms = round((time.monotonic() - began_s) * 1000)
        meter.end(ticket, EndedCall(sent.status, duration_ms, sent.facts))


def to_facts(error: ProviderError) -> CallFacts:
    """Return what a refusal says, from the error that it was translated into."""
    quota = None
    if isinstance(error, RateLimitedError):
        wait_s = error.retry_after_s
        quota = QuotaSeen(0, None if wait_s is None else timedelta(seconds=wait_s))
    return CallFacts(error_code=error.code, request_id=error.request_id, quota=quota)
