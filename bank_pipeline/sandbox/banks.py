"""The simulated banks and what each offers its customers, as data."""
# ruff: noqa: E501 - one bank or account per line reads as a table

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from bank_pipeline.sandbox.ledger import AccountKind, Bank

BANKS: Final = (
    Bank("us-harbor", "First Harbor Bank", "US", "https://firstharbor.example", oauth=True, utc_offset=timedelta(hours=-5)),
    Bank("de-mueritz", "Sparkasse Müritz-Öchtringen", "DE", "https://sparkasse-mueritz.example", oauth=False, utc_offset=timedelta(hours=1)),
    Bank("gb-meridian", "Meridian Money", "GB", "https://meridian.example", oauth=False),
    Bank("us-prairie", "Prairie Credit Union", "US", "https://prairiecu.example", oauth=False, utc_offset=timedelta(hours=-6)),
    Bank("fr-soleil", "Crédit du Soleil", "FR", "https://creditdusoleil.example", oauth=False, utc_offset=timedelta(hours=1)),
    Bank("ca-boreal", "Banque Boréale / Boreal Bank", "CA", "https://boreal.example", oauth=False, utc_offset=timedelta(hours=-5)),
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """
    One account as a bank opens it for a customer.

    `currency` is an ISO code, an unofficial one, or None. `opening` is the balance before the
    first movement, negative when owed. `opened_days` is the age at the world's start where it
    is less than the history asked for.
    """

    kind: AccountKind
    name: str
    official_name: str | None
    currency: str | None
    opening: str
    credit_limit: str | None = None
    business: bool = False
    masked: bool = True
    opened_days: int | None = None

    def has_iban(self) -> bool:
        """Whether such an account can be paid into from other banks."""
        return self.kind is AccountKind.CHECKING

    def limit(self) -> Decimal | None:
        """Return the credit limit, positive, or None without one."""
        return None if self.credit_limit is None else Decimal(self.credit_limit)


_CHECKING: Final = AccountKind.CHECKING
_SAVINGS: Final = AccountKind.SAVINGS
_CARD: Final = AccountKind.CREDIT_CARD

OFFERS: Final = {
    "us-harbor": (
        Offer(_CHECKING, "Everyday Checking", "First Harbor Everyday Checking®", "USD", "2410.55"),
        Offer(_SAVINGS, "High-Yield Savings", "First Harbor High-Yield Savings", "USD", "18250.00"),
        Offer(_CARD, "Anchor Rewards Card", "Anchor Rewards Visa Signature®", "USD", "-312.40", "7500.00"),
        Offer(AccountKind.MORTGAGE, "Home Mortgage", "30 Year Fixed Mortgage", "USD", "-284310.77"),
    ),
    "de-mueritz": (
        Offer(_CHECKING, "Girokonto", "Girokonto „Komfort“", "EUR", "1733.08"),
        Offer(_SAVINGS, "Tagesgeld", None, "EUR", "9400.00"),
        Offer(_CARD, "Kreditkarte Gold", "Mastercard Gold", "EUR", "0", "4000"),
        Offer(AccountKind.LOAN, "Autokredit", "Ratenkredit 2231/7", "EUR", "-11890.12"),
    ),
    "gb-meridian": (
        Offer(_CHECKING, "Main", "Meridian Current Account", "GBP", "1204.19"),
        Offer(_CHECKING, "円 Wallet", "Meridian Multi-Currency JPY", "JPY", "152300", opened_days=300),
        Offer(_CHECKING, "دينار", "Meridian Multi-Currency KWD", "KWD", "410.125", opened_days=200),
        Offer(_CHECKING, "Bitcoin 🪙", None, "BTC", "0.214907", masked=False),
        Offer(AccountKind.INVESTMENT, "Stocks & Shares ISA", None, None, "15220.4375", masked=False),
    ),
    "us-prairie": (
        Offer(_CHECKING, "BUSINESS CHKG", "PRAIRIE BUSINESS CHECKING", "USD", "40311.02", business=True),
        Offer(_CHECKING, "Share Draft", None, "USD", "902.00"),
        Offer(AccountKind.INVESTMENT, "Roth IRA", "Prairie Roth IRA", "USD", "61277.318"),
        Offer(AccountKind.LOAN, "Student Loan", "Federal Direct Loan", "USD", "-22140.66"),
    ),
    "fr-soleil": (
        Offer(_CHECKING, "Compte courant", "Compte courant n° 2 «\u202fL'Essentiel\u202f»", "EUR", "980.40"),
        Offer(_SAVINGS, "Livret A", "Livret A", "EUR", "12100.00"),
        Offer(_CARD, "Carte à débit différé", None, "EUR", "-88.10"),
    ),
    "ca-boreal": (
        Offer(_CHECKING, "Chequing / Compte-chèques", None, "CAD", "3120.00"),
        Offer(_CARD, "Visa Boréale", "Visa* Boréale Infinite", "CAD", "-1450.09", "12000"),
        Offer(_CHECKING, "US Dollar Account", "U.S. Dollar Chequing", "USD", "640.00"),
    ),
}  # fmt: skip
"""What a customer of each bank has, in the order in which the bank lists it."""

IBAN_COUNTRIES: Final = frozenset({"DE", "FR", "GB"})
