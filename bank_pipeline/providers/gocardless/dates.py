"""
Dates and times as banks write them through GoCardless. Pure.

A date-time is a bank's local time: its date is cut from the text, and no zone is shifted.
"""

import datetime as dt
import re
from typing import Final

from bank_pipeline.providers.fields import FIRST_YEAR

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MIDNIGHT: Final = dt.time(0)


def to_day(text: str | None) -> dt.date | None:
    """Return the calendar date that a date or a date-time begins with; None without a real one."""
    found = _DAY.match(text.strip()) if text else None
    if found is None:
        return None
    try:
        day = dt.date.fromisoformat(found[0])
    except ValueError:  # the 31st of June
        return None
    return day if day.year >= FIRST_YEAR else None


def to_moment(text: str | None) -> dt.datetime | None:
    """
    Return a time in UTC; None when it is missing, unreadable, without an offset, or midnight.

    Banks without times send midnight.
    """
    moment = _read(text)
    if moment is None or moment.tzinfo is None or moment.time() == _MIDNIGHT:
        return None
    return _to_utc(moment)


def to_instant(text: str | None) -> dt.datetime | None:
    """Return a time of GoCardless's own in UTC: it means UTC where it names no offset."""
    moment = _read(text)
    if moment is None:
        return None
    return _to_utc(moment) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _read(text: str | None) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.year >= FIRST_YEAR else None


def _to_utc(moment: dt.datetime) -> dt.datetime | None:
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError:  # the last hours of the year 9999
        return None


def find_day(pattern: re.Pattern[str], text: str) -> dt.date | None:
    """Return the date that a pattern's groups `y`, `m` and `d` find; two digits mean 20yy."""
    found = pattern.search(text)
    if found is None:
        return None
    year = int(found["y"])
    try:
        return dt.date(year + 2000 if year < 100 else year, int(found["m"]), int(found["d"]))  # noqa: PLR2004 - two digits
    except ValueError:
        return None
