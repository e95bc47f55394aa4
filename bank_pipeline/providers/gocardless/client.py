"""Calls to GoCardless: what was sent, what came back, and what every failure means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import PayloadError, ProviderError
from bank_pipeline.providers import calls
from bank_pipeline.providers.answers import Archive, RawAnswer, keep_nothing
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.gocardless.errors import INVALID_TOKEN, read_complaint, to_error
from bank_pipeline.providers.gocardless.quotas import rates_of, to_quota
from bank_pipeline.providers.gocardless.tokens import TokenKeeper
from bank_pipeline.providers.http import HttpAnswer, HttpSender
from bank_pipeline.providers.metering import CallFacts, Subject, to_facts
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.throttle import UNLIMITED, RateLimiter, Throttle

ATTEMPTS_MAX: Final = 2
"""Failed calls count towards the suspension of an account: one is repeated once at most."""

_PREFIX: Final = "/api/v2"
_OK: Final = range(200, 300)
_BAD_REQUEST: Final = 400
_REDACTED: Final = b"(credential)"
_CALLED_AT: Final = re.compile(rb'"last_(?:updated|accessed)"\s*:\s*"[^"]*"')


@dataclass(frozen=True)
class Answer:
    """A success: as it came, and parsed with exact numbers."""

    raw: RawAnswer
    body: Any


@dataclass(frozen=True)
class Refusal:
    """A request of which GoCardless refuses some fields, with its words by field."""

    fields: Mapping[str, str]
    error: ProviderError


@dataclass(frozen=True)
class Call:
    """
    One request. `operation` names it in errors; `archived_as` in the archive, if otherwise.

    `credential` is what the answer must not hold when it is archived; `subject` what it reads
    of one account.
    """

    operation: str
    path: str
    method: str = "GET"
    params: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None
    archived_as: str | None = None
    credential: SecretStr | None = None
    subject: Subject | None = None


class GoCardlessClient:
    """
    GoCardless Bank Account Data over HTTP. Safe to share between threads.

    Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
    """

    def __init__(
        self,
        *,
        base_url: str,
        secret_id: str,
        secret_key: SecretStr,
        timeout_s: float,
        cache: Cache,
        retry: Retry,
        limiter: RateLimiter = UNLIMITED,
    ) -> None:
        host = base_url.rstrip("/").removesuffix(_PREFIX)
        self._http = HttpSender(
            Provider.GOCARDLESS,
            base_url=host,
            timeout_s=timeout_s,
            read_facts=_read_facts,
            throttle=Throttle(
                Provider.GOCARDLESS, limiter, rates_of, key=secret_id, sleep=retry.sleep
            ),
        )
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._retry = replace(retry, attempts_max=min(retry.attempts_max, ATTEMPTS_MAX))
        self._tokens = TokenKeeper(cache, self._create_token, name=f"{host} {secret_id}")

    def call(self, call: Call, *, archive: Archive | None = None) -> Answer:
        """
        Make one call and return its success, archived, even if it turns out unreadable.

        Raises:
            ProviderError: any of them; see `to_error`.
        """
        answer = self.attempt(call, archive=archive)
        if isinstance(answer, Refusal):
            raise answer.error
        return answer

    def attempt(self, call: Call, *, archive: Archive | None = None) -> Answer | Refusal:
        """Make one call that GoCardless may refuse for some of its fields: see `call`."""
        keep = keep_nothing if archive is None else archive
        return self._retry.call(lambda: self._call_once(call, keep))

    def close(self) -> None:
        """Close all idle connections."""
        self._http.close()

    def _call_once(self, call: Call, archive: Archive) -> Answer | Refusal:
        reply = self._send(call)
        if reply.status not in _OK:
            error = to_error(call.operation, reply)
            fields = read_complaint(reply.body).fields
            if reply.status == _BAD_REQUEST and fields:
                return Refusal(fields, error)
            raise error
        raw = _to_raw(call, reply.body)
        archive(raw)
        return Answer(raw, _to_json(call, reply.body))

    def _send(self, call: Call) -> HttpAnswer:
        """Send with the company's token; with a new one, once, when it is not valid any more."""
        token = self._tokens.current()
        reply = self._send_with(call, token)
        if reply.status not in _OK and to_error(call.operation, reply).code == INVALID_TOKEN:
            reply = self._send_with(call, self._tokens.renewed(token))
        return reply

    def _send_with(self, call: Call, token: SecretStr) -> HttpAnswer:
        return self._http.send(
            call.operation,
            call.method,
            f"{_PREFIX}/{call.path}",
            headers=_headers({"Authorization": f"Bearer {token.get_secret_value()}"}),
            params=call.params,
            json=call.json,
            subject=call.subject,
        )

    def _create_token(self) -> SecretStr:
        """
        Ask for a token with our keys: nothing of this is archived.

        Source: https://developer.gocardless.com/bank-account-data/quick-start-guide
        """
        operation = "token/new"
        keys = {
            "secret_id": self._secret_id,
            "secret_key": self._secret_key.get_secret_value(),
        }
        reply = self._http.send(
            operation, "POST", f"{_PREFIX}/token/new/", headers=_headers({}), json=keys
        )
        if reply.status not in _OK:
            raise to_error(operation, reply)
        body = calls.to_json(Provider.GOCARDLESS, operation, reply.body)
        token = body.get("access") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise PayloadError(Provider.GOCARDLESS, operation, code="NO_TOKEN")
        return SecretStr(token)


def to_segment(text: str) -> str:
    """Return an id as one segment of a path, whatever is in it."""
    return quote(text, safe="")


def _read_facts(operation: str, reply: HttpAnswer) -> CallFacts:
    if reply.status in _OK:
        return CallFacts(quota=to_quota(reply.headers))
    return to_facts(to_error(operation, reply))


def _headers(more: Mapping[str, str]) -> dict[str, str]:
    return {"Accept": "application/json", **more}


def _to_raw(call: Call, body: bytes) -> RawAnswer:
    if call.credential is not None:
        body = body.replace(call.credential.get_secret_value().encode(), _REDACTED)
    # The time of the call is the one thing in it that always differs.
    digest = calls.to_digest(_CALLED_AT.sub(b"", body))
    return RawAnswer(call.archived_as or call.operation, body, digest, None)


def _to_json(call: Call, body: bytes) -> Any:  # noqa: ANN401 - JSON enters
    return calls.to_json(Provider.GOCARDLESS, call.operation, body)
