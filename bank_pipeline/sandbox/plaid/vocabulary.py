"""
Plaid's words: products, countries, account types, categories. Plain values.

Source: https://github.com/plaid/plaid-openapi, https://plaid.com/documents/pfc-taxonomy-all.csv
"""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.sandbox.ledger import AccountKind


def words(text: str) -> frozenset[str]:
    """Return the words of a text: for long lists of names without spaces."""
    return frozenset(text.split())


PRODUCTS: Final = words(
    """
    assets auth balance balance_plus beacon identity identity_match investments investments_auth
    liabilities payment_initiation identity_verification transactions credit_details income
    income_verification standing_orders transfer employment recurring_transactions
    transactions_refresh signal statements processor_payments processor_identity profile
    cra_base_report cra_income_insights cra_partner_insights cra_network_insights
    cra_cashflow_insights cra_monitoring cra_lend_score cra_plaid_credit_score layer pay_by_bank
    protect_linked_bank protect_transactions
    """
)

COUNTRY_CODES: Final = words("US GB ES NL FR IE CA DE IT PL DK NO SE EE LT LV PT BE AT FI")

LANGUAGES: Final = words("da nl en et fr de hi it lv lt no pl pt ro es sv vi")

# What the simulated institutions offer.
SUPPORTED_PRODUCTS: Final = frozenset({"transactions", "balance", "auth", "identity"})

# Products that are no reason to link: asking for them is an INVALID_PRODUCT.
UNLINKABLE_PRODUCTS: Final = frozenset({"balance", "recurring_transactions", "balance_plus"})

# Plaid's type and subtype of each kind of account.
ACCOUNT_TYPES: Final[Mapping[AccountKind, tuple[str, str]]] = {
    AccountKind.CHECKING: ("depository", "checking"),
    AccountKind.SAVINGS: ("depository", "savings"),
    AccountKind.CREDIT_CARD: ("credit", "credit card"),
    AccountKind.LOAN: ("loan", "student"),
    AccountKind.MORTGAGE: ("loan", "mortgage"),
    AccountKind.INVESTMENT: ("investment", "brokerage"),
}

# `/transactions/sync` leaves out investments, and of the loans shows student loans only.
KINDS_WITH_TRANSACTIONS: Final = frozenset(
    {AccountKind.CHECKING, AccountKind.SAVINGS, AccountKind.CREDIT_CARD, AccountKind.LOAN}
)

# Debt stands as a positive number on these.
OWED_KINDS: Final = frozenset({AccountKind.CREDIT_CARD, AccountKind.LOAN, AccountKind.MORTGAGE})

_PRIMARIES: Final = (
    "INCOME",
    "LOAN_DISBURSEMENTS",
    "LOAN_PAYMENTS",
    "TRANSFER_IN",
    "TRANSFER_OUT",
    "BANK_FEES",
    "ENTERTAINMENT",
    "FOOD_AND_DRINK",
    "GENERAL_MERCHANDISE",
    "GENERAL_SERVICES",
    "GOVERNMENT_AND_NON_PROFIT",
    "HOME_IMPROVEMENT",
    "MEDICAL",
    "PERSONAL_CARE",
    "RENT_AND_UTILITIES",
    "TRANSPORTATION",
    "TRAVEL",
    "OTHER",
)

# The first version of the taxonomy lacks these codes; each had one of its own instead.
_FIRST_VERSION: Final[Mapping[str, str]] = {
    "INCOME_SALARY": "INCOME_WAGES",
    "LOAN_DISBURSEMENTS_OTHER_DISBURSEMENT": "TRANSFER_IN_CASH_ADVANCES_AND_LOANS",
    "TRANSFER_IN_WIRE": "TRANSFER_IN_OTHER_TRANSFER_IN",
    "TRANSFER_OUT_WIRE": "TRANSFER_OUT_OTHER_TRANSFER_OUT",
    "BANK_FEES_LATE_FEES": "BANK_FEES_OTHER_BANK_FEES",
    "BANK_FEES_CASH_ADVANCE": "BANK_FEES_OTHER_BANK_FEES",
    "LOAN_PAYMENTS_CASH_ADVANCES": "LOAN_PAYMENTS_OTHER_PAYMENT",
    "LOAN_PAYMENTS_EWA": "LOAN_PAYMENTS_OTHER_PAYMENT",
    "OTHER_OTHER": "TRANSFER_OUT_OTHER_TRANSFER_OUT",
}
_FIRST_VERSION_OF_PRIMARY: Final[Mapping[str, str]] = {
    "LOAN_DISBURSEMENTS": "TRANSFER_IN_CASH_ADVANCES_AND_LOANS",
}
_ONLY_IN_SECOND: Final = words(
    """
    INCOME_CHILD_SUPPORT INCOME_GIG_ECONOMY INCOME_LONG_TERM_DISABILITY INCOME_MILITARY
    INCOME_RENTAL INCOME_OTHER INCOME_CONTRACTOR
    """
)


def category_of(code: str, version: str) -> tuple[str, str]:
    """Return primary and detailed category for a code of version `v2`, in `v1` or `v2`."""
    detailed = _in_first_version(code) if version == "v1" else code
    return _primary_of(detailed), detailed


def _in_first_version(code: str) -> str:
    if code in _ONLY_IN_SECOND:
        return "INCOME_OTHER_INCOME"
    return _FIRST_VERSION.get(code) or _FIRST_VERSION_OF_PRIMARY.get(_primary_of(code), code)


def _primary_of(code: str) -> str:
    return next((one for one in _PRIMARIES if code.startswith(one + "_")), "OTHER")
