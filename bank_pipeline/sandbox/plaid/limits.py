"""
Plaid's rate limits: fixed windows of a minute of virtual time, per Item and per client.

Source: https://plaid.com/docs/errors/rate-limit-exceeded/ (the sandbox's numbers).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bank_pipeline.sandbox.plaid.errors import plaid_error

_WINDOW_S: Final = 60


@dataclass(frozen=True)
class Limit:
    """Calls per minute; None for no limit. `code` is the error beyond it."""

    per_item: int | None
    per_client: int | None
    code: str


LIMITS: Final[Mapping[str, Limit]] = {
    "/accounts/get": Limit(100, 5_000, "ACCOUNTS_LIMIT"),
    "/accounts/balance/get": Limit(25, 100, "BALANCE_LIMIT"),
    "/transactions/sync": Limit(50, 1_000, "TRANSACTIONS_SYNC_LIMIT"),
    "/transactions/get": Limit(80, 1_000, "TRANSACTIONS_LIMIT"),
    "/transactions/refresh": Limit(2, 100, "TRANSACTIONS_REFRESH_LIMIT"),
    "/item/get": Limit(40, 5_000, "ITEM_GET_LIMIT"),
    "/item/remove": Limit(100, 500, "RATE_LIMIT"),
    "/institutions/get": Limit(None, 10, "INSTITUTIONS_GET_LIMIT"),
    "/institutions/get_by_id": Limit(None, 400, "INSTITUTIONS_GET_BY_ID_LIMIT"),
    "/sandbox/transactions/create": Limit(2, 50, "RATE_LIMIT"),
    "/link/token/create": Limit(None, 20_000, "RATE_LIMIT"),
    "/item/public_token/exchange": Limit(None, 12_000, "RATE_LIMIT"),
}


class RateWindows:
    """Count the calls of the running minute. Callers hold the simulator's lock."""

    def __init__(self, scale: float | None) -> None:
        """Multiply all limits by `scale`; None counts nothing."""
        self.scale = scale
        self._minute = 0
        self._calls: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[str] = Counter()  # by operation

    def admit(self, operation: str, item_id: str, now: datetime) -> None:
        """Count a call; refuse it with the endpoint's own code when it is one too many."""
        limit = LIMITS.get(operation)
        if self.scale is None or limit is None:
            return
        self._turn_to(int(now.timestamp()) // _WINDOW_S)
        self._admit(limit.per_client, limit.code, (operation, ""))
        if item_id:
            self._admit(limit.per_item, limit.code, (operation, item_id))

    def _turn_to(self, minute: int) -> None:
        if minute != self._minute:
            self._minute = minute
            self._calls.clear()

    def _admit(self, per_minute: int | None, code: str, window: tuple[str, str]) -> None:
        if per_minute is None or self.scale is None:
            return
        if self._calls[window] >= max(1, int(per_minute * self.scale)):
            self.refused[window[0]] += 1
            raise plaid_error(code)
        self._calls[window] += 1
