"""
Teller's words for the nature of an entry: its type and its category. Pure.

The world's categories are Plaid's; what has no counterpart among Teller's 28 words is null.
Source: https://teller.io/docs/api/account/transactions
"""

from typing import Final

from bank_pipeline.sandbox.ledger import AccountKind, Entry, Party

_CATEGORIES: Final = (
    ("FOOD_AND_DRINK_GROCERIES", "groceries"),
    ("FOOD_AND_DRINK_BEER", "bar"),
    ("FOOD_AND_DRINK_", "dining"),
    ("GENERAL_MERCHANDISE_ELECTRONICS", "electronics"),
    ("GENERAL_MERCHANDISE_CLOTHING", "clothing"),
    ("GENERAL_MERCHANDISE_CONVENIENCE", "groceries"),
    ("GENERAL_MERCHANDISE_", "shopping"),
    ("MEDICAL_", "health"),
    ("HOME_IMPROVEMENT_", "home"),
    ("PERSONAL_CARE_GYMS", "sport"),
    ("PERSONAL_CARE_", "service"),
    ("TRANSPORTATION_GAS", "fuel"),
    ("TRANSPORTATION_PUBLIC", "transport"),
    ("TRANSPORTATION_", "transportation"),
    ("ENTERTAINMENT_", "entertainment"),
    ("GOVERNMENT_AND_NON_PROFIT_DONATIONS", "charity"),
    ("GOVERNMENT_AND_NON_PROFIT_TAX", "tax"),
    ("GENERAL_SERVICES_INSURANCE", "insurance"),
    ("GENERAL_SERVICES_EDUCATION", "education"),
    ("GENERAL_SERVICES_STORAGE", "software"),
    ("GENERAL_SERVICES_", "service"),
    ("RENT_AND_UTILITIES_RENT", "home"),
    ("RENT_AND_UTILITIES_TELEPHONE", "phone"),
    ("RENT_AND_UTILITIES_", "utilities"),
    ("TRAVEL_LODGING", "accommodation"),
    ("TRAVEL_", "transportation"),
    ("INCOME_", "income"),
    ("LOAN_PAYMENTS_CREDIT_CARD", "general"),
    ("LOAN_PAYMENTS_", "loan"),
    ("TRANSFER_OUT_INVESTMENT", "investment"),
)  # the first that fits, by how the world's category begins

_TYPES: Final = (
    ("INCOME_INTEREST", "interest"),
    ("BANK_FEES_INTEREST", "interest"),
    ("BANK_FEES_", "fee"),
    ("TRANSFER_OUT_WITHDRAWAL", "atm"),
    ("TRANSFER_IN_WIRE", "wire"),
    ("TRANSFER_IN_TRANSFER_IN_FROM_APPS", "digital_payment"),
    ("TRANSFER_OUT_TRANSFER_OUT_FROM_APPS", "digital_payment"),
    ("TRANSFER_IN_DEPOSIT", "deposit"),
    ("TRANSFER_", "transfer"),
    ("INCOME_", "ach"),
)
_PAYMENT: Final = "LOAN_PAYMENTS_"
_SHOP_CHANNELS: Final = ("online", "in store")


def category_of(entry: Entry) -> str | None:
    """Return one of Teller's 28 words, or None where none fits."""
    fitting = (word for start, word in _CATEGORIES if entry.category.startswith(start))
    return next(fitting, None)


def type_of(entry: Entry, kind: AccountKind) -> str:
    """Return the type, an open set of words."""
    if entry.check_number is not None:
        return "check"
    if entry.category.startswith(_PAYMENT):
        return "payment" if kind is AccountKind.CREDIT_CARD else "bill_payment"
    for start, word in _TYPES:
        if entry.category.startswith(start):
            return word
    if entry.occurred_at is not None or entry.channel in _SHOP_CHANNELS:
        return "card_payment"
    return "ach" if entry.category.startswith("RENT_AND_UTILITIES_") else "transaction"


def counterparty_of(party: Party | None) -> dict[str, str | None]:
    """Return the other side as Teller tells it, null where nothing is known."""
    if party is None:
        return {"name": None, "type": None}
    kind = "person" if party.kind == "person" else "organization"
    return {"name": party.name.upper(), "type": kind}
