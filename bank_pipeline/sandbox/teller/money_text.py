"""Money as Teller writes it: signed decimal strings with cents. Pure."""

from decimal import Decimal
from typing import Final

_CENTS: Final = Decimal("0.01")


def money_text(value: Decimal) -> str:
    """Return `value` with two decimals, or with all it has when it has more; never a `-0`."""
    exact = value.normalize()
    rounded = exact.quantize(_CENTS)
    return format((rounded if rounded == exact else exact) or abs(rounded), "f")


def optional_money_text(value: Decimal | None) -> str | None:
    """Return `money_text`, or None for None."""
    return None if value is None else money_text(value)
