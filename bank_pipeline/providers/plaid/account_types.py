"""
Plaid's account types and subtypes in our words. Data.

Source: https://plaid.com/docs/api/accounts/#account-type-schema
"""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.account import AccountType

_SUBTYPES: Final[Mapping[AccountType, str]] = {
    AccountType.CHECKING: "checking|limited purpose checking",
    AccountType.SAVINGS: "savings|cd|hsa|money market|cash isa",
    AccountType.CASH_MANAGEMENT: "cash management|paypal",
    AccountType.PREPAID: "prepaid|ebt|payroll",
    AccountType.CREDIT_CARD: "credit card",
    AccountType.LINE_OF_CREDIT: ("line of credit|commercial line of credit|home equity|overdraft"),
    AccountType.LOAN: (
        "auto|business|commercial|construction|consumer|home equity loan|loan|student"
    ),
    AccountType.MORTGAGE: "mortgage",
    AccountType.INVESTMENT: (
        "529|brokerage|education savings account|fhsa|gic|isa|mutual fund|"
        "non-taxable brokerage account|prediction market|rdsp|resp|stock plan|tfsa|trust|"
        "ugma|utma"
    ),
    AccountType.PENSION: (
        "401a|401k|403b|457b|ira|keogh|lif|lira|lrif|lrsp|pension|prif|profit sharing plan|"
        "qshr|retirement|rlif|roth|roth 401k|roth 403b|roth 457b|roth pension|"
        "roth profit sharing plan|roth thrift savings plan|rrif|rrsp|sarsep|sep ira|"
        "simple ira|sipp|thrift savings plan"
    ),
    AccountType.INSURANCE: (
        "fixed annuity|variable annuity|other annuity|life insurance|other insurance"
    ),
    AccountType.CRYPTO: "crypto exchange|non-custodial wallet",
    AccountType.OTHER: "health reimbursement arrangement",
}

TYPE_OF_SUBTYPE: Final[Mapping[str, AccountType]] = {
    subtype: kind for kind, subtypes in _SUBTYPES.items() for subtype in subtypes.split("|")
}
"""Subtypes in lower case (Plaid writes 403B); "other" is left to the type."""

_TYPE_ALONE: Final[Mapping[str, AccountType]] = {
    "depository": AccountType.CHECKING,
    "credit": AccountType.CREDIT_CARD,
    "loan": AccountType.LOAN,
    "investment": AccountType.INVESTMENT,
    "brokerage": AccountType.INVESTMENT,
}


def to_account_type(plaid_type: str | None, subtype: str | None) -> AccountType:
    """
    Name an account's type: by subtype, else by type, else OTHER.

    Plaid's type says whether the holder owes the balance. A subtype that says otherwise
    (PayPal is one for both credit and depository) must not turn a balance's sign.
    """
    by_type = _TYPE_ALONE.get((plaid_type or "").lower())
    by_subtype = TYPE_OF_SUBTYPE.get((subtype or "").lower())
    if by_subtype is None:
        return by_type or AccountType.OTHER
    if by_type is not None and by_type.is_liability != by_subtype.is_liability:
        return by_type
    return by_subtype
