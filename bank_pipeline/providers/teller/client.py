"""
Calls to Teller: what was sent, what came back, and what every failure means.

Source: https://teller.io/docs/api
"""

import base64
import threading
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    CredentialsRefusedError,
    PayloadError,
    ProviderError,
    RateLimitedError,
)
from bank_pipeline.providers.answers import Archive, RawAnswer, keep_nothing
from bank_pipeline.providers.calls import JsonAnswer, to_json, to_raw
from bank_pipeline.providers.http import HttpAnswer, HttpSender
from bank_pipeline.providers.metering import CallFacts
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.teller.certificate import CertificateProof, Tls
from bank_pipeline.providers.teller.errors import Backoff, code_of, to_error, to_word

VERSION: Final = "2020-10-12"
_OK: Final = range(200, 300)
_BAD_REQUEST: Final = 400
_UNAUTHORISED: Final = 401
_FORBIDDEN: Final = 403
_GONE: Final = (404, 410)
_PROBE: Final = "accounts"


class TellerClient:
    """Teller over HTTP. Safe to share between threads."""

    def __init__(
        self, *, base_url: str, timeout_s: float, tls: Tls, proof: CertificateProof, retry: Retry
    ) -> None:
        self._sender = HttpSender(
            Provider.TELLER,
            base_url=base_url,
            timeout_s=timeout_s,
            read_facts=_read_facts,
            tls=tls.context,
        )
        self._proof = proof
        self._retry = retry
        self._backoff = Backoff()
        self._lock = threading.Lock()

    def call(
        self,
        operation: str,
        path: str,
        *,
        credential: SecretStr | None = None,
        params: Mapping[str, str] | None = None,
        archive: Archive | None = None,
        about_account: bool = False,
    ) -> JsonAnswer:
        """
        GET a document, and return it archived.

        An answer that turns out unreadable is archived when no further attempt brings a
        readable one. Without `archive` nothing is kept.

        Raises:
            ProviderError: any of them; see `to_error`.
        """
        keep = keep_nothing if archive is None else archive
        unread: list[RawAnswer] = []

        def attempt() -> JsonAnswer:
            reply = self._send(operation, "GET", path, credential, params)
            if reply.status not in _OK:
                raise self._to_error(operation, reply, credential, about_account=about_account)
            raw = to_raw(operation, reply.body, request_id=_request_id(reply))
            unread.append(raw)
            return JsonAnswer(raw, to_json(Provider.TELLER, operation, reply.body))

        try:
            answer = self._retry.call(attempt)
        except Exception:
            for raw in unread[-1:]:
                keep(raw)
            raise
        keep(answer.raw)
        return answer

    def delete(self, operation: str, path: str, *, credential: SecretStr) -> None:
        """
        DELETE a thing; one that is gone already is deleted.

        Raises:
            ProviderError: any of them; see `to_error`.
        """

        def attempt() -> None:
            reply = self._send(operation, "DELETE", path, credential, None)
            is_gone = reply.status in _GONE and code_of(reply) is not None
            if reply.status not in _OK and not is_gone:
                raise self._to_error(operation, reply, credential, about_account=False)

        self._retry.call(attempt)

    def probe_certificate(self) -> None:
        """
        Ask for accounts without a token: Teller looks at the certificate first.

        Raises:
            CredentialsRefusedError: Teller does not accept our certificate (400).
        """

        def attempt() -> None:
            reply = self._send(_PROBE, "GET", "/accounts", None, None)
            if reply.status == _BAD_REQUEST:
                raise _refused(_PROBE, reply)
            if reply.status not in (*_OK, _UNAUTHORISED, _FORBIDDEN):
                raise self._to_error(_PROBE, reply, None, about_account=False)

        self._retry.call(attempt)

    def close(self) -> None:
        """Close all idle connections."""
        self._sender.close()

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        credential: SecretStr | None,
        params: Mapping[str, str] | None,
    ) -> HttpAnswer:
        headers = {"Teller-Version": VERSION, "Accept": "application/json"}
        if credential is not None:
            user = f"{credential.get_secret_value()}:".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
        reply = self._sender.send(operation, method, path, headers=headers, params=params)
        if reply.status in _OK:
            with self._lock:
                self._backoff.accepted()
            if credential is not None:
                self._proof.record()
        return reply

    def _to_error(
        self,
        operation: str,
        reply: HttpAnswer,
        credential: SecretStr | None,
        *,
        about_account: bool,
    ) -> ProviderError:
        is_token_known = (code_of(reply) or "").startswith(("enrollment.", "account."))
        if credential is not None and is_token_known:
            self._proof.record()  # it looked behind the token, so it had accepted both
        error = to_error(
            operation,
            reply,
            about_account=about_account,
            is_certificate_proven=reply.status != _FORBIDDEN or self._proof.holds(),
        )
        if isinstance(error, RateLimitedError) and error.retry_after_s is None:
            with self._lock:
                error.retry_after_s = self._backoff.refused(now_s=time.monotonic())
        if reply.status == _BAD_REQUEST and self._is_certificate_refused():
            return _refused(operation, reply)
        return error

    def _is_certificate_refused(self) -> bool:
        """Ask, because a bad request and a bad certificate are told by the same answer."""
        try:
            return self._send(_PROBE, "GET", "/accounts", None, None).status == _BAD_REQUEST
        except ProviderError:
            return False


def _refused(operation: str, reply: HttpAnswer) -> CredentialsRefusedError:
    return CredentialsRefusedError(
        Provider.TELLER,
        operation,
        code=code_of(reply) or f"HTTP_{reply.status}",
        request_id=_request_id(reply),
    )


def account_path(external_id: str, *parts: str) -> str:
    """Build the path of an account or of what belongs to it; links are never followed."""
    return "/".join(["/accounts", quote(external_id, safe=""), *parts])


def rows_of(answer: JsonAnswer) -> list[Any]:
    """
    Return the rows of a bare list.

    Raises:
        PayloadError: the answer is no list.
    """
    if not isinstance(answer.body, list):
        raise PayloadError(
            Provider.TELLER,
            answer.raw.operation,
            code="SHAPE NOT_A_LIST",
            request_id=answer.raw.request_id,
        )
    return answer.body


def _read_facts(_operation: str, reply: HttpAnswer) -> CallFacts:
    is_ok = reply.status in _OK
    code = None if is_ok else code_of(reply) or f"HTTP_{reply.status}"
    return CallFacts(error_code=code, request_id=_request_id(reply))


def _request_id(reply: HttpAnswer) -> str | None:
    return to_word(reply.headers.get("x-request-id"))
