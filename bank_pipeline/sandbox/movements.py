"""What people do with their money in one day, before any bank has shown it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from bank_pipeline.sandbox.ledger import AccountKind, Bank, BankAccount, Party
from bank_pipeline.sandbox.merchants import HOLDERS, SHOPS, Merchant
from bank_pipeline.sandbox.money import (
    FOREIGN,
    Money,
    amount_between,
    exchange_rate,
    money_of,
    rounded,
)
from bank_pipeline.sandbox.people import FRIENDS

_WEIGHTS: Final = [shop.weight for shop in SHOPS]
_HOLDER_WEIGHTS: Final = [holder.weight for holder in HOLDERS]
_CHEQUE_COUNTRIES: Final = frozenset({"US", "CA", "FR"})
_LONG_MEMO: Final = (
    "SEPA-Überweisung // Verwendungszweck: Rückerstattung der anteiligen Nebenkosten gemäß "
    "Abrechnung vom Vorjahr inkl. Heizung, Wasser, Müllabfuhr & Treppenhausreinigung; "
) * 5  # some banks pass on everything the sender typed
_MEMOS: Final = (
    "🍕🍕 pizza night",
    "rent share — thx!!",
    "für's Geschenk",
    "שכר דירה",
    "دفعة أولى",
    "it's \"lunch\"; O'Hara",
    "",
    "Tab\there\\n, 100%",
    "割り勘",
    _LONG_MEMO,
)


@dataclass(frozen=True, slots=True)
class Movement:
    """
    Money that moves at `at`, which is on `date` at the bank, as it stands in the end.

    `by_card` ones are shown as pending first. `hold` is what the pending entry shows when that
    is another amount. `copies` of it happen, equal in everything. `value_days` shifts the value
    date.
    """

    amount: Decimal
    description: str
    original: str
    party: Party | None
    category: str
    at: datetime
    date: date
    channel: str = "other"
    by_card: bool = False
    hold: Decimal | None = None
    copies: int = 1
    value_days: int = 0
    city: str | None = None
    country: str | None = None
    check_number: str | None = None
    reference: str | None = None
    source_amount: Decimal | None = None
    source_currency: str | None = None
    exchange_rate: Decimal | None = None


@dataclass(frozen=True)
class Purse:
    """An account as its holder uses it. `purchases` are made per day on average."""

    account: BankAccount
    bank: Bank
    money: Money
    purchases: float


@dataclass(frozen=True)
class Day:
    """A calendar date at the bank, the moment in UTC at which it begins, and its dice."""

    date: date
    begins_at: datetime
    rolled: Random

    def moment(self, *, first_hour: int = 7, last_hour: int = 23) -> datetime:
        """Draw a moment of the day, to the second."""
        seconds = self.rolled.randrange(first_hour * 3600, last_hour * 3600)
        return self.begins_at + timedelta(seconds=seconds)


def begin_of(day: date, bank: Bank) -> datetime:
    """Return the moment in UTC at which a calendar date begins at the bank."""
    return datetime.combine(day, time.min, UTC) - bank.utc_offset


def purchases_per_day(kind: AccountKind, *, first_checking: bool) -> float:
    """Return how often people pay from such an account; a first account sees most of it."""
    if kind is AccountKind.CREDIT_CARD:
        return 1.1
    if kind is AccountKind.CHECKING:
        return 1.0 if first_checking else 0.25
    return 0.0


def day_spending(purse: Purse, day: Day) -> Iterator[Movement]:
    """Yield what the holder buys, withdraws and pays by hand on one day."""
    rolled = day.rolled
    if not purse.purchases:
        return
    while rolled.random() < purse.purchases / (1 + purse.purchases):  # geometric: mean `purchases`
        yield _purchase(purse, day)
    if rolled.random() < _SELDOM * purse.purchases:
        yield _seldom(purse, day)
    if (
        rolled.random() < _WITHDRAWAL * purse.purchases
        and purse.account.kind is AccountKind.CHECKING
    ):
        yield _withdrawal(purse, day)


_SELDOM: Final = 0.22  # of days bring something out of the ordinary
_WITHDRAWAL: Final = 0.04
_INVOICES: Final = (9_000,) * 11 + (2_500_000,)  # dollars at most; few are large
_TWINS: Final = 0.03  # of purchases are made twice: the second coffee
_FINE: Final = 0.01  # of amounts have more decimals than the currency, by fuel or energy prices


def _purchase(purse: Purse, day: Day) -> Movement:
    rolled = day.rolled
    shop = rolled.choices(SHOPS, _WEIGHTS)[0]
    amount = amount_between(rolled, shop.low, shop.high, purse.money)
    if purse.money.digits and rolled.random() < _FINE:
        amount += Decimal(rolled.randrange(1, 100)).scaleb(-min(6, purse.money.digits + 3))
    copies = 2 if rolled.random() < _TWINS else 1
    return replace(_at_shop(shop, -amount, day), copies=copies)


def _at_shop(shop: Merchant, amount: Decimal, day: Day) -> Movement:
    return Movement(
        amount=amount,
        description=shop.name,
        original=shop.descriptor,
        party=shop.party(),
        category=shop.category,
        at=day.moment(),
        date=day.date,
        channel=shop.channel,
        by_card=True,
        city=shop.city,
        country=shop.country,
    )


def _seldom(purse: Purse, day: Day) -> Movement:
    choices = [_hold, _hold, _refund, _abroad, _abroad, _verification]
    if purse.account.kind is AccountKind.CHECKING:
        choices += [_to_friend, _to_friend, _from_friend, _cheque, _fee]
    if purse.account.business:
        choices += [_invoice] * 4
    return day.rolled.choice(choices)(purse, day)


def _hold(purse: Purse, day: Day) -> Movement:
    """Pay where an amount is reserved first and another is booked."""
    rolled = day.rolled
    holder = rolled.choices(HOLDERS, _HOLDER_WEIGHTS)[0]
    amount = amount_between(rolled, holder.low, holder.high, purse.money)
    if holder.category == "TRANSPORTATION_GAS" and rolled.random() < 0.5:  # noqa: PLR2004 - half
        held = purse.money.unit()  # a pump reserves one cent, or more than a tank holds
    else:
        held = rounded(amount * Decimal(rolled.randrange(101, 160)) / 100, purse.money)
    return replace(_at_shop(holder, -amount, day), hold=-held)


def _refund(purse: Purse, day: Day) -> Movement:
    shop = day.rolled.choices(SHOPS, _WEIGHTS)[0]
    amount = amount_between(day.rolled, shop.low, shop.high, purse.money)
    refund = _at_shop(shop, amount, day)
    return replace(refund, original=f"REFUND {shop.descriptor}", by_card=day.rolled.random() < 0.5)  # noqa: PLR2004 - half


def _abroad(purse: Purse, day: Day) -> Movement:
    """Pay in a foreign currency: the bank shows its own and, beside it, the other."""
    rolled = day.rolled
    source = money_of(rolled.choice([code for code in FOREIGN if code != purse.money.code]))
    shop = rolled.choices(SHOPS, _WEIGHTS)[0]
    paid = amount_between(rolled, shop.low, shop.high, source)
    rate = exchange_rate(source, purse.money, rolled)
    amount = max(purse.money.unit(), rounded(paid * rate, purse.money))
    return replace(
        _at_shop(shop, -amount, day),
        original=f"{shop.descriptor} {paid} {source.code} @ {rate}",
        source_amount=-paid,
        source_currency=source.code,
        exchange_rate=rate,
    )


def _verification(purse: Purse, day: Day) -> Movement:
    shop = day.rolled.choice([shop for shop in SHOPS if shop.channel == "online"])
    zero = Decimal(0).quantize(purse.money.unit())
    return replace(_at_shop(shop, zero, day), original=f"{shop.descriptor} CARD VERIFICATION")


def _to_friend(purse: Purse, day: Day) -> Movement:
    return _friend(purse, day, sign=-1, category="TRANSFER_OUT_TRANSFER_OUT_FROM_APPS")


def _from_friend(purse: Purse, day: Day) -> Movement:
    return _friend(purse, day, sign=1, category="TRANSFER_IN_TRANSFER_IN_FROM_APPS")


def _friend(purse: Purse, day: Day, *, sign: int, category: str) -> Movement:
    rolled = day.rolled
    friend = rolled.choice(FRIENDS)
    memo = rolled.choice(_MEMOS)
    return Movement(
        amount=sign * amount_between(rolled, 3, 160, purse.money),
        description=friend,
        original=f"{friend} {memo}".rstrip(),
        party=Party(friend, "person") if rolled.random() < 0.8 else None,  # noqa: PLR2004 - mostly
        category=category,
        at=day.moment(),
        date=day.date,
        channel="online",
        reference=f"P2P{rolled.randrange(10**9):09d}",
    )


def _cheque(purse: Purse, day: Day) -> Movement:
    rolled = day.rolled
    if purse.bank.country not in _CHEQUE_COUNTRIES:
        return _fee(purse, day)
    number = str(rolled.randrange(1001, 9999))
    return Movement(
        amount=-amount_between(rolled, 20, 900, purse.money),
        description=f"Check {number}",
        original=f"CHECK PAID #{number}",
        party=None,
        category="TRANSFER_OUT_OTHER_TRANSFER_OUT",
        at=day.moment(first_hour=1, last_hour=5),
        date=day.date,
        check_number=number,
    )


def _invoice(purse: Purse, day: Day) -> Movement:
    """Get paid by another business, sometimes a great deal."""
    rolled = day.rolled
    number = f"INV-{day.date.year}-{rolled.randrange(10**5):05d}"
    return Movement(
        amount=amount_between(rolled, 900, rolled.choice(_INVOICES), purse.money),
        description="Wide Receivables LLC",
        original=f"WIRE IN WIDE RECEIVABLES LLC {number} {number}/A {number}/B",
        party=Party("Wide Receivables LLC", "merchant"),
        category="TRANSFER_IN_WIRE",
        at=day.moment(first_hour=8, last_hour=18),
        date=day.date,
        reference=number,
    )


def _fee(purse: Purse, day: Day) -> Movement:
    return Movement(
        amount=-amount_between(day.rolled, 1, 35, purse.money),
        description="Account fee",
        original="*** SERVICE CHARGE ***",
        party=Party(purse.bank.name, "financial_institution"),
        category="BANK_FEES_OTHER_BANK_FEES",
        at=day.moment(first_hour=0, last_hour=3),
        date=day.date,
    )


def _withdrawal(purse: Purse, day: Day) -> Movement:
    notes = Decimal(day.rolled.randrange(1, 16) * 20)
    return Movement(
        amount=-max(purse.money.unit(), rounded(notes * purse.money.per_dollar, purse.money)),
        description="ATM withdrawal",
        original=f"ATM/GA {day.rolled.randrange(10**6):06d} {purse.bank.name}",
        party=None,
        category="TRANSFER_OUT_WITHDRAWAL",
        at=day.moment(first_hour=0, last_hour=24),
        date=day.date,
        channel="in store",
        by_card=day.rolled.random() < 0.5,  # noqa: PLR2004 - half
        country=purse.bank.country,
    )
