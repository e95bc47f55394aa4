"""
Remembers which accounts their holder may not see, so that they are asked for seldom.

GoCardless counts each such refusal, and at the tenth in a row it suspends the whole consent, with
all the accounts beside. So a refused account waits for longer each time: seven refusals of its
transactions are a year. Its balances are asked for as long as they come, and else once; its
details not at all. Whatever is remembered is of one consent: a new one is asked at once. It is kept
under a digest of random ids, so that the erasure of a team, which empties the cache, need not have
it forgotten of all others.

Source: https://developer.gocardless.com/bank-account-data/statuses
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

from bank_pipeline.domain.waits import growing_wait
from bank_pipeline.errors import AccountBlockedError
from bank_pipeline.providers.cache import LASTING, Cache
from bank_pipeline.providers.gocardless.errors import FORBIDDEN, error_of_code

WAITS: Final = tuple(timedelta(days=days) for days in (1, 7, 30, 90))
"""Waits after the first, second, … refusal of transactions; the last one repeats."""
TTL_S: Final = 95 * 86_400  # above the longest wait

_COUNT, _UNTIL, _BALANCES = "count", "until", "balances"


class Refusals:
    """What was refused, by account and agreement. Without a cache every refusal is the first."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def is_refused(self, agreement: str | None, account_id: str) -> bool:
        """Say whether the transactions of an account were refused when last asked for."""
        return bool(self._held(agreement, account_id))

    @contextmanager
    def asking_transactions(
        self, agreement: str | None, account_id: str, operation: str, *, today: date
    ) -> Iterator[None]:
        """
        Ask for transactions inside.

        Raises:
            AccountBlockedError: they were refused, or lately, and then nothing was asked.
        """
        held = self._held(agreement, account_id)
        if held and today < date.fromisoformat(held[_UNTIL]):
            raise error_of_code(operation, FORBIDDEN)
        try:
            yield
        except AccountBlockedError as error:
            if error.code == FORBIDDEN:
                count = held.get(_COUNT, 0) + 1
                until = today + growing_wait(WAITS, count)
                news = {**held, _COUNT: count, _UNTIL: until.isoformat()}
                self._keep(agreement, account_id, news)
            raise
        if held:
            self._cache.drop(_key(agreement, account_id))

    @contextmanager
    def asking_balances(
        self, agreement: str | None, account_id: str, operation: str
    ) -> Iterator[None]:
        """
        Ask for balances inside: once refused beside the transactions, only after those came.

        Raises:
            AccountBlockedError: they were refused, now or then.
        """
        held = self._held(agreement, account_id)
        if _BALANCES in held:
            raise error_of_code(operation, FORBIDDEN)
        try:
            yield
        except AccountBlockedError as error:
            if held and error.code == FORBIDDEN:
                self._keep(agreement, account_id, {**held, _BALANCES: True})
            raise

    def _held(self, agreement: str | None, account_id: str) -> dict[str, Any]:
        if agreement is None:  # whatever comes next could not be told from another consent
            return {}
        return self._cache.get_or_create(_key(agreement, account_id), dict, ttl_s=TTL_S)

    def _keep(self, agreement: str | None, account_id: str, news: dict[str, Any]) -> None:
        if agreement is not None:
            key = _key(agreement, account_id)
            self._cache.drop(key)
            self._cache.get_or_create(key, lambda: news, ttl_s=TTL_S)


def _key(agreement: str | None, account_id: str) -> str:
    digest = hashlib.blake2b(f"{agreement} {account_id}".encode(), digest_size=16).hexdigest()
    return f"{LASTING}gocardless-refused-{digest}"
