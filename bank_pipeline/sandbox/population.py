"""Who lives in the simulated world and which accounts they hold: banks, logins, accounts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Final

from bank_pipeline.sandbox.banks import BANKS, IBAN_COUNTRIES, Offer
from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import Bank, BankAccount, Login
from bank_pipeline.sandbox.money import money_of
from bank_pipeline.sandbox.people import person_name, username

BANKS_BY_ID: Final[Mapping[str, Bank]] = MappingProxyType({bank.id: bank for bank in BANKS})


@dataclass(frozen=True)
class OpenedAccount:
    """An account and the balance it had before its first movement, negative when owed."""

    account: BankAccount
    opening: Decimal


@dataclass(frozen=True)
class Customer:
    """One login with all that it shows."""

    login: Login
    opened: tuple[OpenedAccount, ...]


@dataclass(frozen=True)
class Desk:
    """A customer at the bank's desk: what opening an account for them takes."""

    seed: int
    login_id: str
    bank: Bank
    beginning: datetime
    history_days: int


def bank_of_turn(number: int) -> Bank:
    """Return the bank of the customer of this number, from 0: banks take turns."""
    return BANKS[number % len(BANKS)]


def customer(desk: Desk, number: int, offers: Sequence[Offer]) -> Customer:
    """Return the world's customer of this number, from 0, with all that is offered to them."""
    name = person_name(number)
    opened = tuple(open_account(desk, offer, index) for index, offer in enumerate(offers, start=1))
    ids = tuple(one.account.id for one in opened)
    return Customer(
        Login(desk.login_id, desk.bank.id, name, username(name, number + 1), ids), opened
    )


def open_account(desk: Desk, offer: Offer, index: int) -> OpenedAccount:
    """Open the customer's account of this index, from 1; all of a customer's IBANs are one."""
    account_id = f"acc-{desk.login_id.removeprefix('login-')}-{index}"
    rolled = dice(desk.seed, account_id)
    opened_at = desk.beginning + desk.bank.utc_offset - _age(desk, offer)
    official = offer.currency is not None and money_of(offer.currency).official
    account = BankAccount(
        id=account_id,
        login_id=desk.login_id,
        kind=offer.kind,
        name=offer.name,
        official_name=offer.official_name,
        mask=f"{rolled.randrange(10_000):04d}" if offer.masked else None,
        currency=offer.currency if official else None,
        unofficial_currency=None if official else offer.currency,
        opened_on=opened_at.date(),
        iban=_iban(desk)
        if official and offer.has_iban() and desk.bank.country in IBAN_COUNTRIES
        else None,
        credit_limit=offer.limit(),
        business=offer.business,
    )
    return OpenedAccount(account, Decimal(offer.opening))


def _age(desk: Desk, offer: Offer) -> timedelta:
    days = desk.history_days if offer.opened_days is None else offer.opened_days
    return timedelta(days=min(days, desk.history_days))


def _iban(desk: Desk) -> str:
    """Return the customer's IBAN with right check digits; its accounts differ by currency only."""
    rolled = dice(desk.seed, desk.login_id, "iban")
    body = _BANK_CODES[desk.bank.country] + _digits(rolled, 10)
    letters = body + desk.bank.country + "00"
    check = 98 - int("".join(str(int(letter, 36)) for letter in letters)) % 97
    return f"{desk.bank.country}{check:02d}{body}"


_BANK_CODES: Final = {"DE": "15050100", "FR": "3000400003000", "GB": "MRDN2014"}


def _digits(rolled: Random, count: int) -> str:
    return "".join(str(rolled.randrange(10)) for _ in range(count))
