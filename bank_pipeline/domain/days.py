"""Days before and after others, where a bank may name any day there is. Pure."""

from datetime import date, timedelta


def day_before(day: date, span: timedelta) -> date:
    """Return the day that is so much earlier; the first that there is, where there is none."""
    return day - span if day - date.min >= span else date.min


def day_after(day: date, span: timedelta) -> date:
    """Return the day that is so much later; the last that there is, where there is none."""
    return day + span if date.max - day >= span else date.max
