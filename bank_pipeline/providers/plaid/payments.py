"""How the money moved, from whatever Plaid says of it. Pure."""

from collections.abc import Mapping
from typing import Final

from bank_pipeline.domain.transaction import PaymentMethod
from bank_pipeline.providers.plaid.schemas import PlaidTransaction

METHOD_OF_CODE: Final[Mapping[str, PaymentMethod]] = {
    "adjustment": PaymentMethod.ADJUSTMENT,
    "atm": PaymentMethod.CASH,
    "bank charge": PaymentMethod.FEE,
    "bill payment": PaymentMethod.BILL_PAYMENT,
    "cash": PaymentMethod.CASH,
    "cash advance": PaymentMethod.CASH,
    "cashback": PaymentMethod.CASH,
    "cheque": PaymentMethod.CHEQUE,
    "direct debit": PaymentMethod.DIRECT_DEBIT,
    "interest": PaymentMethod.INTEREST,
    "late fee": PaymentMethod.FEE,
    "membership fee": PaymentMethod.FEE,
    "payment": PaymentMethod.TRANSFER,
    "purchase": PaymentMethod.CARD,
    "refund": PaymentMethod.REFUND,
    "returned item fee": PaymentMethod.FEE,
    "standing order": PaymentMethod.STANDING_ORDER,
    "transfer": PaymentMethod.TRANSFER,
}
"""`transaction_code`: the bank's own word, mostly null in the United States and Canada."""

_METHOD_OF_WORD: Final[Mapping[str, PaymentMethod]] = {
    "ach": PaymentMethod.TRANSFER,
    "wire": PaymentMethod.TRANSFER,
    "transfer": PaymentMethod.TRANSFER,
    "check": PaymentMethod.CHEQUE,
    "cheque": PaymentMethod.CHEQUE,
    "cash": PaymentMethod.CASH,
    "card": PaymentMethod.CARD,
    "debit card": PaymentMethod.CARD,
    "credit card": PaymentMethod.CARD,
    "direct debit": PaymentMethod.DIRECT_DEBIT,
    "standing order": PaymentMethod.STANDING_ORDER,
}

_PAYMENT_APPS: Final = frozenset(
    {
        "zelle",
        "venmo",
        "paypal",
        "cash app",
        "square cash",
        "wise",
        "revolut",
        "interac",
        "popmoney",
    }
)

_METHOD_OF_DETAILED: Final[Mapping[str, PaymentMethod]] = {
    "BANK_FEES_INTEREST_CHARGE": PaymentMethod.INTEREST,
    "INCOME_INTEREST_EARNED": PaymentMethod.INTEREST,
    "TRANSFER_OUT_WITHDRAWAL": PaymentMethod.CASH,
    "TRANSFER_IN_TRANSFER_IN_FROM_APPS": PaymentMethod.PAYMENT_APP,
    "TRANSFER_OUT_TRANSFER_OUT_FROM_APPS": PaymentMethod.PAYMENT_APP,
    "TRANSFER_IN_ACCOUNT_TRANSFER": PaymentMethod.TRANSFER,
    "TRANSFER_OUT_ACCOUNT_TRANSFER": PaymentMethod.TRANSFER,
    "TRANSFER_IN_SAVINGS": PaymentMethod.TRANSFER,
    "TRANSFER_OUT_SAVINGS": PaymentMethod.TRANSFER,
    "TRANSFER_IN_WIRE": PaymentMethod.TRANSFER,
    "TRANSFER_OUT_WIRE": PaymentMethod.TRANSFER,
    "TRANSFER_IN_INVESTMENT_AND_RETIREMENT_FUNDS": PaymentMethod.TRANSFER,
    "TRANSFER_OUT_INVESTMENT_AND_RETIREMENT_FUNDS": PaymentMethod.TRANSFER,
}

_METHOD_OF_PRIMARY: Final[Mapping[str, PaymentMethod]] = {
    "BANK_FEES": PaymentMethod.FEE,
    "LOAN_PAYMENTS": PaymentMethod.BILL_PAYMENT,
}

# Who stands at the other end of a card payment. A payer of wages or a bank does not.
_SELLERS: Final = frozenset({"merchant", "marketplace", "payment_terminal"})


def to_payment_method(raw: PlaidTransaction) -> PaymentMethod | None:
    """
    Say how the money moved: the bank's word first, then what is most certain; None if nothing.

    Source: https://plaid.com/docs/api/products/transactions/#transactionssync
    """
    by_code = METHOD_OF_CODE.get((raw.transaction_code or "").lower())
    if by_code is not None:
        return by_code
    if raw.check_number:
        return PaymentMethod.CHEQUE
    return _by_payment_meta(raw) or _by_category(raw) or _by_sale(raw)


def _by_payment_meta(raw: PlaidTransaction) -> PaymentMethod | None:
    party_types = {str(party.get("type")) for party in raw.counterparties or ()}
    meta = raw.payment_meta or {}
    processor = str(meta.get("payment_processor") or "").lower()
    if "payment_app" in party_types or processor in _PAYMENT_APPS:
        return PaymentMethod.PAYMENT_APP
    return _METHOD_OF_WORD.get(str(meta.get("payment_method") or "").lower())


def _by_category(raw: PlaidTransaction) -> PaymentMethod | None:
    category = raw.personal_finance_category
    if category is None:
        return None
    by_detailed = _METHOD_OF_DETAILED.get(category.detailed or "")
    return by_detailed or _METHOD_OF_PRIMARY.get(category.primary)


def _by_sale(raw: PlaidTransaction) -> PaymentMethod | None:
    """A shop, in a place or on line: a card pays there, and money that comes back is a refund."""
    party_types = {str(party.get("type")) for party in raw.counterparties or ()}
    is_sale = bool(party_types & _SELLERS) or raw.payment_channel == "in store"
    if not is_sale or raw.payment_channel not in ("in store", "online"):
        return None
    return PaymentMethod.CARD if raw.amount > 0 else PaymentMethod.REFUND
