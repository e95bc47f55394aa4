"""A realistic first load: transactions of some accounts, as rich as Plaid's, from one seed."""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.transaction import (
    Counterparty,
    CounterpartyType,
    Merchant,
    PaymentMethod,
    ProviderCategory,
    Transaction,
    TransactionStatus,
)

SEED: Final = 20260616
FIRST_DAY: Final = date(2024, 6, 16)
DAYS: Final = 730
PENDING_SHARE: Final = 0.005
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
_SHOPS: Final = (
    "Madison Bicycle Shop",
    "United Airlines",
    "Whole Foods Market",
    "Shell",
    "Netflix",
    "Corner Coffee Roasters",
    "Deutsche Bahn",
    "City Pharmacy",
)


@dataclass(frozen=True)
class Load:
    """Accounts and their transactions."""

    accounts: tuple[Account, ...]
    transactions: tuple[Transaction, ...]


def build_load(*, accounts_count: int, transactions_count: int) -> Load:
    """Build a load; the same counts give the same load."""
    chance = random.Random(SEED)
    accounts = tuple(_account(number) for number in range(accounts_count))
    transactions = tuple(
        _transaction(chance, accounts[number % accounts_count], number)
        for number in range(transactions_count)
    )
    return Load(accounts, transactions)


def change_some(transactions: tuple[Transaction, ...], *, every: int) -> tuple[Transaction, ...]:
    """Change every n-th transaction as banks do: the text settles, a category is found."""
    return tuple(
        transaction
        if number % every
        else Transaction.model_validate(
            dict(transaction)
            | {"description": f"{transaction.description} *SETTLED", "category": "travel"}
        )
        for number, transaction in enumerate(transactions)
    )


def forget_hashes(transactions: tuple[Transaction, ...]) -> None:
    """Make the transactions as if just fetched: their content hashes not computed yet."""
    for transaction in transactions:
        transaction.__dict__.pop("content_hash", None)


def _account(number: int) -> Account:
    return Account(
        external_id=_external_id(random.Random(number)),
        name=f"Account {number}",
        type=AccountType.CHECKING,
        provider_type="depository",
        currency="USD",
        identifiers=AccountIdentifiers(masked_number=f"{number:04}"),
    )


def _transaction(chance: random.Random, account: Account, number: int) -> Transaction:
    shop = chance.choice(_SHOPS)
    day = FIRST_DAY + timedelta(days=number % DAYS)
    is_pending = chance.random() < PENDING_SHARE
    at = datetime.combine(day, time(chance.randrange(24), chance.randrange(60)), UTC)
    return Transaction(
        account_external_id=account.external_id,
        external_id=_external_id(chance),
        pending_external_id=None if is_pending else _external_id(chance),
        status=TransactionStatus.PENDING if is_pending else TransactionStatus.BOOKED,
        amount=Decimal(chance.randrange(-500_00, 100_00)) / 100,
        currency="USD",
        booking_date=None if is_pending else day,
        transaction_date=day,
        booked_at=None if is_pending else at,
        transacted_at=at,
        description=f"{shop.upper()} #{chance.randrange(10_000):04} {number}",
        cleaned_description=shop,
        counterparty=Counterparty(name=shop, type=CounterpartyType.MERCHANT),
        merchant=Merchant(
            name=shop,
            external_id=_external_id(random.Random(shop)),
            website=f"{shop.split()[0].lower()}.com",
            category_code="5411",
        ),
        payment_method=PaymentMethod.CARD,
        payment_channel="in store",
        reference=f"{chance.randrange(10**12):012}",
        category="groceries",
        provider_category=ProviderCategory(
            primary="FOOD_AND_DRINK",
            detailed="FOOD_AND_DRINK_GROCERIES",
            confidence="VERY_HIGH",
            version="v2",
        ),
        details={
            "location": {
                "city": "San Francisco",
                "country": "US",
                "lat": 37.77 + chance.randrange(1000) / 100_000,
                "postal_code": "94110",
                "region": "CA",
            },
            "logo_url": f"https://plaid-merchant-logos.plaid.com/{shop.split()[0].lower()}.png",
            "transaction_code": "purchase",
        },
    )


def _external_id(chance: random.Random) -> str:
    return "".join(chance.choices(_ALPHABET, k=37))
