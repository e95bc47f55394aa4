"""
A session, which is what Enable Banking calls a connection: how it is, and whose bank it opens.

Asking for it costs no bank's quota.

Source: https://enablebanking.com/docs/api/reference/#get-session
"""

import hashlib
from typing import Any, Final
from urllib.parse import quote

from pydantic import SecretStr

from bank_pipeline.errors import ProviderError, TransientError
from bank_pipeline.providers.answers import Archive
from bank_pipeline.providers.cache import Cache
from bank_pipeline.providers.enable_banking.accounts import AUTHORIZED
from bank_pipeline.providers.enable_banking.client import EnableBankingClient, parse_model
from bank_pipeline.providers.enable_banking.errors import error_of_code
from bank_pipeline.providers.enable_banking.schemas import EbAspspName, EbSession

OPERATION: Final = "sessions/get"
BANK_TTL_S: Final = 30 * 24 * 3600  # a session's bank never changes
GONE: Final = {
    "EXPIRED_SESSION": "EXPIRED",
    "REVOKED_SESSION": "REVOKED",
    "CLOSED_SESSION": "CLOSED",
    "SESSION_DOES_NOT_EXIST": "SESSION_DOES_NOT_EXIST",
}
"""Errors that are an answer to how the session is, and the status that each stands for."""


class Sessions:
    """Looks at sessions. Safe to share between threads."""

    def __init__(self, client: EnableBankingClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def fetch(self, credential: SecretStr, *, archive: Archive | None = None) -> EbSession:
        """Ask how a session is. Succeeds for one that is gone: look at `status`."""
        session = self._ask(credential, archive)
        if session.aspsp is not None:
            self._cache.get_or_create(_key(credential), session.aspsp.model_dump, ttl_s=BANK_TTL_S)
        return session

    def bank_of(self, credential: SecretStr) -> EbAspspName | None:
        """Return the bank of a session, from memory where it was seen before."""
        remembered = self._cache.get_or_create(
            _key(credential), lambda: self._fetch_bank(credential), ttl_s=BANK_TTL_S
        )
        if not remembered.get("name"):
            self._cache.drop(_key(credential))  # what was not said may be said next time
            return None
        return EbAspspName.model_validate(remembered)

    def kind_of(self, credential: SecretStr) -> str | None:
        """
        Return whose login a session is of (`personal`, `business`); None if it does not tell.

        Raises:
            TransientError: it may tell later.
        """
        try:
            return self.fetch(credential).psu_type
        except TransientError:
            raise
        except ProviderError:
            return None

    def to_confirmed(self, credential: SecretStr, error: ProviderError) -> ProviderError:
        """
        Return what a session's own status makes of an error that blames the session.

        Nobody is sent to their bank because of one answer among many.
        """
        try:
            status = self.fetch(credential).status.upper()
        except ProviderError as other:
            return other
        if status != AUTHORIZED:
            return error_of_code(error.operation, status)
        return TransientError(error.provider, error.operation, code=error.code)

    def _fetch_bank(self, credential: SecretStr) -> dict[str, Any]:
        # Called while the cache is locked: nothing in here may look into it.
        session = self._ask(credential, None)
        if session.aspsp is None and session.status.upper() != AUTHORIZED:
            raise error_of_code(OPERATION, session.status)
        return session.aspsp.model_dump() if session.aspsp else {}

    def _ask(self, credential: SecretStr, archive: Archive | None) -> EbSession:
        try:
            answer = self._client.call(OPERATION, "GET", session_path(credential), archive=archive)
        except ProviderError as error:
            if error.code not in GONE:
                raise
            return EbSession(status=GONE[error.code])
        return parse_model(EbSession, answer)


def session_path(credential: SecretStr) -> str:
    """Return where a session is. The id in it is a secret."""
    return f"/sessions/{quote(credential.get_secret_value(), safe='')}"


def _key(credential: SecretStr) -> str:
    digest = hashlib.blake2b(credential.get_secret_value().encode(), digest_size=16).hexdigest()
    return f"enable_banking/bank/{digest}"
