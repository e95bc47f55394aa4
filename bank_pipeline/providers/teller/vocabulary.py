"""
Teller's words in ours. Data.

Teller's category and type are kept beside ours; both sets are open, and an unknown word means
unknown.

Source: https://teller.io/docs/api/account/transactions
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.category import Category
from bank_pipeline.domain.transaction import CounterpartyType, PaymentMethod

CREDIT: Final = "credit"
YOURSELF: Final = "yourself"
"""What Teller calls the holder, where both sides of a movement are theirs."""

TYPE_OF_SUBTYPE: Final[Mapping[str, AccountType]] = {
    "checking": AccountType.CHECKING,
    "savings": AccountType.SAVINGS,
    "money_market": AccountType.SAVINGS,
    "certificate_of_deposit": AccountType.SAVINGS,
    "treasury": AccountType.CASH_MANAGEMENT,
    "sweep": AccountType.CASH_MANAGEMENT,
    "credit_card": AccountType.CREDIT_CARD,
}
_TYPE_ALONE: Final[Mapping[str, AccountType]] = {
    "depository": AccountType.CHECKING,
    CREDIT: AccountType.CREDIT_CARD,
}

METHOD_OF_TYPE: Final[Mapping[str, PaymentMethod]] = {
    "ach": PaymentMethod.TRANSFER,
    "adjustment": PaymentMethod.ADJUSTMENT,
    "atm": PaymentMethod.CASH,
    "bill_payment": PaymentMethod.BILL_PAYMENT,
    "card_payment": PaymentMethod.CARD,
    "check": PaymentMethod.CHEQUE,
    "digital_payment": PaymentMethod.PAYMENT_APP,
    "fee": PaymentMethod.FEE,
    "interest": PaymentMethod.INTEREST,
    "other": PaymentMethod.OTHER,
    "payment": PaymentMethod.TRANSFER,
    "refund": PaymentMethod.REFUND,
    "transfer": PaymentMethod.TRANSFER,
    "wire": PaymentMethod.TRANSFER,
}
"""`deposit`, `withdrawal` and `transaction` are missing on purpose: they say no method."""

CATEGORY_OF_WORD: Final[Mapping[str, Category | None]] = {
    "accommodation": Category.TRAVEL,
    "advertising": Category.ADVERTISING,
    "bar": Category.MEALS,
    "charity": Category.DONATIONS,
    "clothing": Category.SHOPPING,
    "dining": Category.MEALS,
    "education": Category.EDUCATION,
    "electronics": Category.SHOPPING,
    "entertainment": Category.ENTERTAINMENT,
    "fuel": Category.VEHICLE,
    "general": None,  # Teller's word for no category
    "groceries": Category.GROCERIES,
    "health": Category.HEALTH,
    "home": Category.HOME,
    "income": Category.OTHER_INCOME,
    "insurance": Category.INSURANCE,
    "investment": Category.INVESTMENT,
    "loan": Category.LOAN_PAYMENT,  # unless money comes in
    "office": Category.OFFICE,
    "phone": Category.TELECOM,
    "service": Category.SERVICES,
    "services": Category.SERVICES,  # so spelt in an example
    "shopping": Category.SHOPPING,
    "software": Category.SOFTWARE,
    "sport": Category.ENTERTAINMENT,
    "tax": Category.TAXES,
    "transport": Category.TRANSPORT,
    "transportation": Category.TRANSPORT,
    "utilities": Category.UTILITIES,
}
"""All 28 documented words, and a spelling of one of them."""

PARTY_TYPE_OF_WORD: Final[Mapping[str, CounterpartyType]] = {
    "organization": CounterpartyType.ORGANISATION,
    "organisation": CounterpartyType.ORGANISATION,
    "person": CounterpartyType.PERSON,
}


def to_account_type(teller_type: str, subtype: str | None) -> AccountType:
    """
    Name an account's type. A subtype never turns a deposit into a debt, or a debt into one.

    Source: https://teller.io/docs/api/accounts
    """
    by_type = _TYPE_ALONE.get(teller_type.lower(), AccountType.OTHER)
    by_subtype = TYPE_OF_SUBTYPE.get((subtype or "").lower())
    if by_subtype is None or by_subtype.is_liability != by_type.is_liability:
        return by_type
    return by_subtype


def to_payment_method(word: str | None) -> PaymentMethod | None:
    """Say how the money moved; None when the type does not say."""
    return METHOD_OF_TYPE.get((word or "").lower())


def to_category(
    word: str | None, type_: str | None, amount: Decimal, *, is_debt: bool
) -> Category | None:
    """
    Say what the money was for: by what its type makes certain, else by Teller's category.

    `amount` is signed our way. `is_debt`: the account holds what its holder owes; a payment
    coming in there settles the card and is no income.
    """
    kind = (type_ or "").lower()
    is_in = amount > 0
    if kind == "fee":
        return Category.BANK_FEES
    if kind == "interest":
        return Category.INTEREST_INCOME if is_in else Category.INTEREST_PAID
    if kind == "atm":
        return Category.CASH_DEPOSIT if is_in else Category.CASH_WITHDRAWAL
    if kind == "payment" and is_debt and is_in:
        return Category.CREDIT_CARD_PAYMENT
    said = (word or "").lower()
    if said == "loan" and is_in:
        return Category.LOAN_RECEIVED
    by_word = CATEGORY_OF_WORD.get(said)
    return by_word or (Category.TRANSFER if kind == "transfer" else None)
