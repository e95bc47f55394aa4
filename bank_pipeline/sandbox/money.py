"""Currencies of the simulated world: their smallest units and rough worth. Pure."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Final


@dataclass(frozen=True)
class Money:
    """A currency. `digits` after the point; `per_dollar` units are worth one US dollar."""

    code: str | None
    digits: int
    per_dollar: Decimal
    official: bool = True

    def unit(self) -> Decimal:
        """Return the smallest unit."""
        return Decimal(1).scaleb(-self.digits)


_MONEYS: Final = (
    Money("USD", 2, Decimal(1)),
    Money("EUR", 2, Decimal("0.92")),
    Money("GBP", 2, Decimal("0.79")),
    Money("CAD", 2, Decimal("1.36")),
    Money("JPY", 0, Decimal(150)),
    Money("KWD", 3, Decimal("0.308")),
    Money("CHF", 2, Decimal("0.88")),
    Money("MXN", 2, Decimal("18.4")),
    Money("BTC", 6, Decimal("0.000016"), official=False),
    Money(None, 2, Decimal(1), official=False),
)
MONEYS: Final = {money.code: money for money in _MONEYS}

FOREIGN: Final = ("USD", "EUR", "GBP", "JPY", "KWD", "CHF", "MXN")  # what travellers pay in


def money_of(code: str | None) -> Money:
    """Return what is known of a currency; one that is not known counts as unofficial."""
    return MONEYS.get(code) or Money(code, 2, Decimal(1), official=False)


def amount_between(rolled: Random, low: float, high: float, money: Money) -> Decimal:
    """
    Draw a positive amount between two worths in US dollars, in units of `money`.

    Small ones are more frequent, as in any purse: the mean lies a quarter of the way up.
    """
    cents = int(low * 100) + int((high - low) * 100 * rolled.random() * rolled.random())
    dollars = Decimal(cents) / 100
    return max(money.unit(), rounded(dollars * money.per_dollar, money))


def rounded(amount: Decimal, money: Money) -> Decimal:
    """Round to the smallest unit, half to even as banks do."""
    return amount.quantize(money.unit(), rounding=ROUND_HALF_EVEN)


def exchange_rate(source: Money, target: Money, rolled: Random) -> Decimal:
    """Return how many units of `target` one of `source` buys today, six digits after the point."""
    drift = Decimal(rolled.randrange(970, 1031)) / 1000
    return (target.per_dollar / source.per_dollar * drift).quantize(Decimal("0.000001"))
