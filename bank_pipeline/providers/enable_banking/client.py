"""Calls to Enable Banking: what was sent, what came back, and what every failure means."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ProviderError
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import Archive, keep_nothing
from bank_pipeline.providers.calls import JsonAnswer
from bank_pipeline.providers.enable_banking.errors import to_error
from bank_pipeline.providers.enable_banking.signer import Signer
from bank_pipeline.providers.http import HttpAnswer, HttpSender
from bank_pipeline.providers.metering import CallFacts, Subject, to_facts
from bank_pipeline.providers.retry import Retry

ATTEMPTS_MAX: Final = 2  # banks count what fails: one more try, then the next run
_REFUSED_TOKEN: Final = "UNAUTHORIZED_ACCESS"  # noqa: S105 - a code of theirs
_OK = range(200, 300)
_NOTHING: Final[Mapping[str, str]] = {}

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass
class Count:
    """How many calls something took, retries included."""

    calls: int = 0


class EnableBankingClient:
    """Enable Banking over HTTP. Safe to share between threads."""

    def __init__(self, sender: HttpSender, signer: Signer, *, retry: Retry) -> None:
        self._sender = sender
        self._signer = signer
        self._retry = replace(retry, attempts_max=min(retry.attempts_max, ATTEMPTS_MAX))

    def call(  # noqa: PLR0913 - keyword-only
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,  # noqa: ANN401 - what is to be sent
        psu_headers: Mapping[str, str] = _NOTHING,
        archive: Archive | None = None,
        retries: bool = True,
        today: date | None = None,
        count: Count | None = None,
        subject: Subject | None = None,
    ) -> JsonAnswer:
        """
        Make one call and return its success, archived, even if it turns out unreadable.

        Without `archive` nothing is kept. `retries=False` is for what must not be done twice.
        Nor is what a bank counts even when it fails (`subject`): the second call of the day is
        worth more some minutes later, by plan.

        Raises:
            ProviderError: any of them; see `errors.to_error`, which `today` is for.
        """
        keep = keep_nothing if archive is None else archive
        counted = Count() if count is None else count

        def attempt() -> JsonAnswer:
            reply = self._send(
                operation,
                method,
                path,
                params=params,
                json=json,
                psu_headers=psu_headers,
                today=today,
                count=counted,
                subject=subject,
            )
            raw = calls.to_raw(operation, reply.body)
            keep(raw)
            return JsonAnswer(raw, calls.to_json(Provider.ENABLE_BANKING, operation, reply.body))

        is_spent = subject is not None and subject.scope is not None and subject.cost > 0
        return self._retry.call(attempt) if retries and not is_spent else attempt()

    def close(self) -> None:
        """Close all idle connections."""
        self._sender.close()

    def _send(  # noqa: PLR0913 - keyword-only
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        json: Any,  # noqa: ANN401 - what is to be sent
        psu_headers: Mapping[str, str],
        today: date | None,
        count: Count,
        subject: Subject | None,
    ) -> HttpAnswer:
        def send(token: str) -> HttpAnswer:
            count.calls += 1
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                **psu_headers,
            }
            return self._sender.send(
                operation,
                method,
                path,
                headers=headers,
                params=params,
                json=json,
                subject=subject,
            )

        token = self._signer.token()
        reply = send(token)
        error = _error(operation, reply, today)
        if error is not None and error.code == _REFUSED_TOKEN:
            reply = send(self._signer.token(refused=token))
            error = _error(operation, reply, today)
        if error is not None:
            raise error
        return reply


def parse_model(model: type[_Model], answer: JsonAnswer) -> _Model:
    """
    Read an envelope.

    Raises:
        PayloadError: its code names the fields that do not fit, never their values.
    """
    operation = answer.raw.operation.partition("?")[0]  # what follows is for ourselves
    return calls.parse_model(Provider.ENABLE_BANKING, operation, model, answer.body)


def read_facts(operation: str, reply: HttpAnswer) -> CallFacts:
    """Say what an answer tells besides its body: nothing of a quota but that it is spent."""
    error = _error(operation, reply, None)
    return CallFacts() if error is None else to_facts(error)


def _error(operation: str, reply: HttpAnswer, today: date | None) -> ProviderError | None:
    return None if reply.status in _OK else to_error(operation, reply, today=today)
