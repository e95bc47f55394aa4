"""
Plaid's rates: calls a minute for each Item, and for us as a client, by endpoint. Pure.

Source: https://plaid.com/docs/errors/rate-limit-exceeded/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bank_pipeline.providers.throttle import PER_SUBJECT, Rate

_MINUTE_S: Final = 60.0
_SANDBOX: Final = "://sandbox."


@dataclass(frozen=True)
class _Limits:
    """Calls a minute. None: not limited, or not stated."""

    per_item: int | None
    per_client: int | None


_PRODUCTION: Final[Mapping[str, _Limits]] = {
    "transactions/sync": _Limits(50, 2_500),
    "accounts/get": _Limits(15, 15_000),
    "item/get": _Limits(15, 5_000),
    "item/remove": _Limits(30, 2_000),
    "institutions/get": _Limits(None, 50),
    "institutions/get_by_id": _Limits(None, 400),
    "link/token/create": _Limits(None, 20_000),
    "item/public_token/exchange": _Limits(None, 12_000),
}
_OF_SANDBOX: Final[Mapping[str, _Limits]] = {
    "transactions/sync": _Limits(50, 1_000),
    "accounts/get": _Limits(100, 5_000),
    "item/get": _Limits(40, 5_000),
    "item/remove": _Limits(100, 500),
    "institutions/get": _Limits(None, 10),
}


def rates_of(host: str, operation: str, _method: str) -> Mapping[str, Rate]:
    """Return the rates that a call counts towards, by bucket."""
    limits = _PRODUCTION.get(operation)
    if _SANDBOX in host:
        limits = _OF_SANDBOX.get(operation, limits)
    if limits is None:
        return {}
    given = {f"{operation} {PER_SUBJECT}": limits.per_item, operation: limits.per_client}
    return {
        bucket: Rate(calls, _MINUTE_S, burst=(calls + 1) // 2)
        for bucket, calls in given.items()
        if calls is not None
    }
