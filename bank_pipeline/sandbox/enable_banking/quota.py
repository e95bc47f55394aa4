"""
How often a bank may be asked while its customer is away, and what says that they are not.

Headers about the customer are all or none: all that the bank requires lift the limit.
Source: https://enablebanking.com/docs/api/reference/
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from bank_pipeline.sandbox.enable_banking.errors import api_error
from bank_pipeline.sandbox.enable_banking.profiles import Profile

PSU_HEADERS: Final = (
    "psu-ip-address",
    "psu-user-agent",
    "psu-referer",
    "psu-accept",
    "psu-accept-charset",
    "psu-accept-encoding",
    "psu-accept-language",
    "psu-geo-location",
)
_LOCATION: Final = re.compile(r"-?\d{1,2}\.\d{1,6},-?\d{1,3}\.\d{1,6}")


class Quota:
    """Count accesses by account, endpoint and UTC day. `per_day` None counts but admits all."""

    def __init__(self, per_day: int | None) -> None:
        self.per_day = per_day
        self._used: Counter[tuple[object, ...]] = Counter()
        self.refused: Counter[str] = Counter()  # by day

    def admit(self, key: tuple[str, ...], now: datetime, *, cost: int = 1) -> None:
        """Take `cost` accesses of today's; a call that begins beyond the limit is refused."""
        today = (*key, now.date())
        if self.per_day is not None and self._used[today] >= self.per_day:
            self.refused[now.date().isoformat()] += 1
            raise api_error("ASPSP_RATE_LIMIT_EXCEEDED")
        self._used[today] += cost

    def spend(self, key: tuple[str, ...], now: datetime, *, cost: int) -> None:
        """Take accesses of today's without asking, as others do who share them."""
        self._used[(*key, now.date())] += cost

    def reset(self) -> None:
        """Forget what was used."""
        self._used.clear()


def is_attended(profile: Profile, headers: Mapping[str, str]) -> bool:
    """
    Say whether the request states that the customer is online.

    Raises:
        EnableBankingError: some of the required headers are missing, or a value makes no sense.
    """
    given = [one for one in PSU_HEADERS if one in headers]
    if not given:
        return False
    for required in profile.required_psu_headers:
        if required.lower() not in given:
            detail = f"PSU header {_camel(required)} is not provided"
            raise api_error("PSU_HEADER_NOT_PROVIDED", detail=detail)
    for one in given:
        if not _is_sound(one, headers[one]):
            raise api_error("PSU_HEADER_INVALID", detail=f"PSU header {_camel(one)} is invalid")
    if profile.refuses_psu_headers:
        raise api_error("ASPSP_ERROR")
    return True


def _is_sound(name: str, value: str) -> bool:
    if name == "psu-geo-location":
        return _LOCATION.fullmatch(value) is not None
    if name != "psu-ip-address":
        return bool(value.strip())
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _camel(header: str) -> str:
    first, *rest = header.lower().split("-")
    return first + "".join(word.capitalize() for word in rest)
