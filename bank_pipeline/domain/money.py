"""Amounts and currencies. Pure: no clock, no network, no database."""

from decimal import Context, Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, Field

CURRENCY_UNKNOWN: Final = "XXX"  # ISO 4217 for "no currency": what some banks send for "unknown"

DIGITS_MAX: Final = 60
"""More than any currency or token needs, and few enough to hold and to compute with."""

_EXACT: Final = Context(prec=2 * DIGITS_MAX)  # Decimal's default of 28 digits would round

Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
"""An ISO 4217 code. Unknown is None, never a guess and never XXX."""


def normalise_amount(amount: Decimal) -> Decimal:
    """
    Return the same number in its one canonical form: no trailing zeros, no exponent, no -0.

    Banks spell one amount as 72.1 today and 72.10 tomorrow. Equal amounts must have equal
    content hashes, or an unchanged row would be rewritten every day.

    Raises:
        ValueError: NaN, infinite or absurdly long; none is an amount of money.
    """
    if not amount.is_finite():
        raise ValueError("an amount of money is a finite number")
    if amount == 0:
        return Decimal(0)
    if (
        not -DIGITS_MAX < amount.adjusted() < DIGITS_MAX
        or len(amount.as_tuple().digits) > DIGITS_MAX
    ):
        raise ValueError(f"an amount of money has at most {DIGITS_MAX} digits")
    normalised = amount.normalize(_EXACT)
    exponent = normalised.as_tuple().exponent
    assert isinstance(exponent, int), "a finite number has an integer exponent"
    return normalised.quantize(Decimal(1), context=_EXACT) if exponent > 0 else normalised


def to_readable(amount: Decimal) -> str:
    """Return an amount as people read it: 1,234.50, and 1,234 as it is: digits tell no currency."""
    exponent = amount.as_tuple().exponent
    return f"{amount:,.2f}" if exponent == -1 else f"{amount:,f}"


Amount = Annotated[Decimal, AfterValidator(normalise_amount)]
"""Signed from the account holder: positive is money in. Exact, never through a float."""


def to_currency(code: str | None) -> str | None:
    """Return an upper-case ISO code; None for blank and for XXX, which mean unknown."""
    cleaned = (code or "").strip().upper()
    return None if cleaned in ("", CURRENCY_UNKNOWN) else cleaned
