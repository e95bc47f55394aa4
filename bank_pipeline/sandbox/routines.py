"""What comes round every month: wages, bills, interest, transfers between own accounts. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import AccountKind, BankAccount, Party
from bank_pipeline.sandbox.merchants import BILLS, EMPLOYERS, SUBSCRIPTIONS, Merchant
from bank_pipeline.sandbox.money import amount_between, exchange_rate, money_of, rounded
from bank_pipeline.sandbox.movements import Day, Movement, Purse

_DAYS: Final = 28  # every month has them


@dataclass(frozen=True)
class Bill:
    """What the holder owes a merchant on one day of every month. `amount` is positive."""

    day: int
    merchant: Merchant
    amount: Decimal
    by_card: bool


@dataclass(frozen=True)
class Habits:
    """What a main account or a card sees every month. `salary` is positive, None without one."""

    payday: int
    salary: Decimal | None
    employer: Party
    bills: tuple[Bill, ...]


@dataclass(frozen=True)
class StandingTransfer:
    """Money that its holder moves between two own accounts on one day of every month."""

    seed: int
    source: BankAccount
    target: BankAccount
    day: int
    dollars: int


def habits_of(seed: int, purse: Purse, *, main: bool) -> Habits:
    """Draw the habits of one account, once and for all. A `main` one is paid into."""
    rolled = dice(seed, purse.account.id, "habits")
    merchants: Sequence[Merchant] = BILLS if main else ()
    by_card = dict.fromkeys(merchants, False)
    if purse.account.kind is AccountKind.CREDIT_CARD or main:
        by_card |= dict.fromkeys(rolled.sample(SUBSCRIPTIONS, 2), True)
    bills = tuple(
        Bill(
            day=rolled.randrange(1, _DAYS + 1),
            merchant=merchant,
            amount=amount_between(rolled, merchant.low, merchant.high, purse.money),
            by_card=card,
        )
        for merchant, card in by_card.items()
    )
    return Habits(
        payday=rolled.randrange(20, _DAYS + 1),
        salary=amount_between(rolled, 5200, 8000, purse.money) if main else None,
        employer=rolled.choice(EMPLOYERS),
        bills=bills,
    )


def standing_transfers(seed: int, accounts: Sequence[BankAccount]) -> tuple[StandingTransfer, ...]:
    """Return what flows every month from a person's first checking account to each other one."""
    source = next((one for one in accounts if one.kind is AccountKind.CHECKING), None)
    if source is None:
        return ()
    targets = [one for one in accounts if one is not source]
    return tuple(_standing_transfer(seed, source, target) for target in targets)


def day_routine(
    purse: Purse, habits: Habits, transfers: Iterable[StandingTransfer], day: Day
) -> Iterator[Movement]:
    """Yield what the day brings by arrangement."""
    if habits.salary is not None and day.date.day == habits.payday:
        yield _salary(habits.employer, habits.salary, day)
    for bill in habits.bills:
        if day.date.day == bill.day:
            yield _bill(bill, day)
    for transfer in transfers:
        if day.date.day == transfer.day:
            yield _leg(transfer, purse, day)
    if day.date.day == _DAYS:
        yield from _interest(purse, day)


def _standing_transfer(seed: int, source: BankAccount, target: BankAccount) -> StandingTransfer:
    rolled = dice(seed, source.id, target.id, "transfer")
    low, high = _DOLLARS.get(target.kind, (80, 300))
    return StandingTransfer(
        seed=seed,
        source=source,
        target=target,
        day=rolled.randrange(1, _DAYS + 1),
        dollars=rolled.randrange(low, high),
    )


_DOLLARS: Final = {
    AccountKind.CREDIT_CARD: (800, 1250),
    AccountKind.MORTGAGE: (1100, 1500),
    AccountKind.SAVINGS: (100, 400),
}  # per month and kind of target


def _salary(employer: Party, amount: Decimal, day: Day) -> Movement:
    return Movement(
        amount=amount,
        description=f"Payroll {employer.name}",
        original=f"ACH CREDIT {employer.name} PAYROLL {day.date:%m/%y} // Gehalt",
        party=employer,
        category="INCOME_SALARY",
        at=day.moment(first_hour=2, last_hour=8),
        date=day.date,
        reference=f"PAY{day.date:%y%m}",
    )


def _bill(bill: Bill, day: Day) -> Movement:
    return Movement(
        amount=-bill.amount,
        description=bill.merchant.name,
        original=f"{bill.merchant.descriptor} {day.date:%b %y}",
        party=bill.merchant.party(),
        category=bill.merchant.category,
        at=day.moment(first_hour=1, last_hour=9),
        date=day.date,
        channel=bill.merchant.channel,
        by_card=bill.by_card,
        reference=None if bill.by_card else f"MNDT-{bill.day:02d}-{len(bill.merchant.name):03d}",
    )


def _leg(transfer: StandingTransfer, purse: Purse, day: Day) -> Movement:
    """Return one account's side of a transfer; both sides are drawn from the same dice."""
    outgoing = purse.account.id == transfer.source.id
    source, target = _code(transfer.source), _code(transfer.target)
    exchange = _exchanged(transfer, day.date)
    other = transfer.target if outgoing else transfer.source
    out, into = _CATEGORIES[transfer.target.kind]
    if transfer.target.unofficial_currency:
        out = "TRANSFER_OUT_CRYPTO"
    converted = not outgoing and source != target
    return Movement(
        amount=-exchange.sent if outgoing else exchange.received,
        description=f"Transfer {'to' if outgoing else 'from'} {other.name}",
        original=f"ONLINE TRANSFER {'TO' if outgoing else 'FROM'} {other.name} ...{other.mask}",
        party=Party(purse.bank.name, "financial_institution", iban=other.iban),
        category=out if outgoing else into,
        at=day.moment(first_hour=6, last_hour=22),
        date=day.date,
        channel="online",
        reference=f"TRF{day.date:%y%m%d}{transfer.dollars:04d}",
        source_amount=exchange.sent if converted else None,
        source_currency=source if converted else None,
        exchange_rate=exchange.rate if converted else None,
    )


@dataclass(frozen=True)
class _Exchange:
    """What one transfer sends, at which rate, and what arrives; all positive."""

    sent: Decimal
    rate: Decimal
    received: Decimal


def _exchanged(transfer: StandingTransfer, day: date) -> _Exchange:
    rolled = dice(transfer.seed, transfer.source.id, transfer.target.id, day)
    source, target = money_of(_code(transfer.source)), money_of(_code(transfer.target))
    sent = amount_between(rolled, transfer.dollars * 0.9, transfer.dollars * 1.1, source)
    if source == target:
        return _Exchange(sent, Decimal(1), sent)
    rate = exchange_rate(source, target, rolled)
    return _Exchange(sent, rate, max(target.unit(), rounded(sent * rate, target)))


def _code(account: BankAccount) -> str | None:
    return account.currency or account.unofficial_currency


_CATEGORIES: Final = {
    AccountKind.CHECKING: ("TRANSFER_OUT_ACCOUNT_TRANSFER", "TRANSFER_IN_ACCOUNT_TRANSFER"),
    AccountKind.SAVINGS: ("TRANSFER_OUT_SAVINGS", "TRANSFER_IN_SAVINGS"),
    AccountKind.CREDIT_CARD: ("LOAN_PAYMENTS_CREDIT_CARD_PAYMENT",) * 2,
    AccountKind.LOAN: ("LOAN_PAYMENTS_PERSONAL_LOAN_PAYMENT",) * 2,
    AccountKind.MORTGAGE: ("LOAN_PAYMENTS_MORTGAGE_PAYMENT",) * 2,
    AccountKind.INVESTMENT: (
        "TRANSFER_OUT_INVESTMENT_AND_RETIREMENT_FUNDS",
        "TRANSFER_IN_INVESTMENT_AND_RETIREMENT_FUNDS",
    ),
}  # by the kind of target: what the source is told, what the target is told


def _interest(purse: Purse, day: Day) -> Iterator[Movement]:
    """Yield the month's interest or dividend, whose amounts have up to six decimals."""
    terms = _INTEREST.get(purse.account.kind)
    if terms is None:
        return
    sign, low, high, words, category, decimals = terms
    worth = amount_between(day.rolled, low, high, purse.money)
    fraction = Decimal(day.rolled.randrange(10**decimals)).scaleb(-decimals)
    yield Movement(
        amount=sign * (worth + fraction),
        description=words,
        original=f"{words.upper()} {day.date:%m/%Y}",
        party=Party(purse.bank.name, "financial_institution"),
        category=category,
        at=day.moment(first_hour=0, last_hour=2),
        date=day.date,
        value_days=-1,
    )


_INTEREST: Final = {
    AccountKind.SAVINGS: (1, 2, 40, "Interest paid", "INCOME_INTEREST_EARNED", 4),
    AccountKind.INVESTMENT: (1, 3, 90, "Dividend reinvested", "INCOME_DIVIDENDS", 6),
    AccountKind.CREDIT_CARD: (-1, 1, 20, "Interest charge", "BANK_FEES_INTEREST_CHARGE", 2),
    AccountKind.LOAN: (-1, 20, 90, "Loan interest", "BANK_FEES_INTEREST_CHARGE", 2),
    AccountKind.MORTGAGE: (-1, 600, 900, "Mortgage interest", "BANK_FEES_INTEREST_CHARGE", 2),
}  # sign, dollars from and to, words, category, decimals
