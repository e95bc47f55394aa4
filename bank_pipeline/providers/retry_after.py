"""When a provider wants to be asked again: the header `Retry-After` in all its forms. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_MAX_S: Final = 86_400.0  # an absurd wish must not silence a connection for years
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")


def read_wait_s(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """
    Read how long a provider asks us to wait; None when it says nothing. Names are in lower case.

    Seconds, an HTTP date or an ISO time: none of the providers documents a form. A date is on the
    sender's own clock, which `Date` tells; without that it goes by `now`. Never negative, at most
    a day.
    """
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), RETRY_AFTER_MAX_S)
    moment, since = _to_moment(text), _to_moment(headers.get("date", "")) or now
    if moment is None or since is None:
        return None
    return min(max((moment - since).total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def _to_moment(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
