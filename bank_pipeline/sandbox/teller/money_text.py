"""Money as Teller writes it: signed decimal strings with cents. Pure."""

from decimal import Decimal

from bank_pipeline.sandbox.wire import number_text

_CENTS_LENGTH = 2


def money_text(value: Decimal) -> str:
    """Return `value` with two decimals, or with all it has when it has more; never a `-0`."""
    whole, _, decimals = number_text(value).partition(".")
    return f"{whole}.{decimals.ljust(_CENTS_LENGTH, '0')}"


def optional_money_text(value: Decimal | None) -> str | None:
    """Return `money_text`, or None for None."""
    return None if value is None else money_text(value)
