"""How banks write money: texts with a sign, and `XXX` where there is no currency. Pure."""

from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.gocardless.profiles import Amounts
from bank_pipeline.sandbox.money import money_of
from bank_pipeline.sandbox.wire import number_text

NO_CURRENCY: Final = "XXX"
_LONG_DIGITS: Final = 4


def amount_text(value: Decimal, currency: str | None, style: Amounts = Amounts.USUAL) -> str:
    """Return an amount with as many decimals as it needs, and at least the style's."""
    bare = number_text(value)
    if style is Amounts.BARE:
        return bare
    least = _LONG_DIGITS if style is Amounts.LONG else money_of(currency).digits
    whole, _, decimals = bare.partition(".")
    padded = decimals.ljust(least, "0")
    return f"{whole}.{padded}" if padded else whole


def amount_json(
    value: Decimal, currency: str | None, style: Amounts = Amounts.USUAL
) -> dict[str, str]:
    """Return an amount with its currency."""
    text = amount_text(value, currency, style)
    return {"amount": text, "currency": currency or NO_CURRENCY}
