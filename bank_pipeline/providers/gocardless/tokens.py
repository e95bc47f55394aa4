"""
The company's access token: one for all customers, shared by the processes through the cache.

It opens nothing by itself but everything together with a requisition's id, so it is sealed in
the cache, and never logged. Where the cache has no seal, every process has one of its own.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Final

from pydantic import SecretStr

from bank_pipeline.providers.cache import Cache

LIFE_S: Final = 86_400
"""How long an access token is valid: `access_expires`, as documented."""
MARGIN_S: Final = 3_600
"""The last hour is not used from the cache, so that nothing ends under way."""

# One from the cache is at most LIFE_S - MARGIN_S old, so it lives as long as we remember it.
_REMEMBERED_S: Final = MARGIN_S


class TokenKeeper:
    """
    Keeps one token for all threads; `create` asks for a new one. Safe to share.

    GoCardless allows 100 new tokens an hour, and any number of valid ones at a time.
    """

    def __init__(self, cache: Cache, create: Callable[[], SecretStr], *, name: str) -> None:
        """Prepare; `name` tells several keys at several hosts apart, and is hashed."""
        digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
        self._key = f"gocardless-token-{digest}"
        self._cache = cache
        self._create = create
        self._lock = threading.Lock()
        self._creating = threading.Lock()
        self._token: SecretStr | None = None
        self._refused: SecretStr | None = None
        self._forget_at_s = 0.0

    # The cache is never asked under a lock of ours: whoever creates something else in the cache
    # may hold a lock of its own and need a token to go on.

    def current(self) -> SecretStr:
        """Return a token, made anew only when neither we nor the cache have a fresh one."""
        return self._remembered() or self._remember(self._from_cache())

    def renewed(self, refused: SecretStr) -> SecretStr:
        """Return another token than the one that was refused, which is forgotten."""
        with self._lock:
            self._refused = refused
            if self._token == refused:
                self._token = None
        remembered = self._remembered()
        if remembered is not None:
            return remembered  # another thread was faster
        token = self._from_cache()
        if token == refused:
            self._cache.drop(self._key)
            token = self._from_cache()
        return self._remember(token)

    def _from_cache(self) -> SecretStr:
        return self._cache.get_or_create_secret(
            self._key, self._create_once, ttl_s=LIFE_S - MARGIN_S
        )

    def _create_once(self) -> SecretStr:
        """Ask for a token, unless another thread did while we waited for our turn."""
        with self._creating:
            return self._remembered() or self._remember(self._create())

    def _remembered(self) -> SecretStr | None:
        with self._lock:
            is_fresh = time.monotonic() < self._forget_at_s
            return self._token if is_fresh else None

    def _remember(self, token: SecretStr) -> SecretStr:
        with self._lock:
            if token != self._refused:  # read from the cache just before it was refused
                self._token = token
                self._forget_at_s = time.monotonic() + _REMEMBERED_S
        return token
