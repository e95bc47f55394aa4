"""
Accounts, their numbers, balances and owners as Teller tells them. Pure.

A link that is absent means that the bank has no such thing. A card's `ledger` is what is owed.
Source: https://teller.io/docs/api/accounts
"""

from collections.abc import Mapping
from typing import Any, Final

from bank_pipeline.sandbox.chance import dice
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, Bank, BankAccount, Login
from bank_pipeline.sandbox.teller.enrollments import Enrollment, Grant
from bank_pipeline.sandbox.teller.money_text import optional_money_text

_TYPES: Final = {
    AccountKind.CHECKING: ("depository", "checking"),
    AccountKind.SAVINGS: ("depository", "savings"),
    AccountKind.CREDIT_CARD: ("credit", "credit_card"),
}
_PRODUCTS: Final = ("verify", "balance", "transactions", "identity")


def has_details(account: BankAccount) -> bool:
    """Whether there are numbers to pay into the account."""
    return account.kind is not AccountKind.CREDIT_CARD


def account_to_json(
    enrollment: Enrollment, grant: Grant, account: BankAccount, bank: Bank, base: str
) -> dict[str, Any]:
    """Describe an account; `base` is what its links begin with."""
    kind, subtype = _TYPES[account.kind]
    here = f"{base}/accounts/{grant.account_id}"
    links = {"self": here}
    if has_details(account):
        links["details"] = f"{here}/details"
    if grant.has_balances:
        links["balances"] = f"{here}/balances"
    links["transactions"] = f"{here}/transactions"
    return {
        "id": grant.account_id,
        "enrollment_id": enrollment.enrollment_id,
        "institution": {"id": institution_id(bank), "name": bank.name},
        "name": account.name,
        "type": kind,
        "subtype": subtype,
        "currency": account.currency,
        "last_four": _number(account)[-4:],
        "status": "open" if account.closed_at is None else "closed",
        "links": links,
    }


def balances_to_json(grant: Grant, truth: AccountTruth, base: str) -> dict[str, Any]:
    """Describe what the account holds, or for a card what is owed and what can be spent."""
    is_card = truth.account.kind is AccountKind.CREDIT_CARD
    owed = None if truth.booked is None else truth.booked.copy_negate()
    here = f"{base}/accounts/{grant.account_id}"
    return {
        "account_id": grant.account_id,
        "ledger": optional_money_text(owed if is_card else truth.booked),
        "available": optional_money_text(truth.available),
        "links": {"self": f"{here}/balances", "account": here},
    }


def details_to_json(grant: Grant, account: BankAccount, bank: Bank, base: str) -> dict[str, Any]:
    """Describe where money for the account is sent to."""
    here = f"{base}/accounts/{grant.account_id}"
    routing = f"{dice('teller routing', bank.id).randrange(10**9):09d}"
    return {
        "account_id": grant.account_id,
        "account_number": _number(account),
        "routing_numbers": {"ach": routing, "wire": None, "bacs": None},
        "links": {"self": f"{here}/details", "account": here},
    }


def owner_to_json(login: Login) -> dict[str, Any]:
    """Describe whose account it is."""
    rolled = dice("teller owner", login.id)
    street = f"{rolled.randrange(1, 999)} Main St"
    phone = f"555{rolled.randrange(10**7):07d}"
    place = {"city": "Hopkins", "region": "MN", "postal_code": "55305", "country": "US"}
    return {
        "type": "person",
        "names": [{"type": "name", "data": login.person_name}],
        "addresses": [{"primary": True, "data": {"street": street, **place}}],
        "phone_numbers": [{"type": "mobile", "data": phone}],
        "emails": [{"data": f"{login.username}@example.com"}],
    }


def institutions_to_json(banks: Mapping[str, Bank]) -> list[dict[str, Any]]:
    """List the banks that can be connected."""
    return [
        {"id": institution_id(bank), "name": bank.name, "products": list(_PRODUCTS)}
        for bank in banks.values()
        if bank.country == "US"
    ]


def institution_id(bank: Bank) -> str:
    """Return Teller's id of one of the world's banks."""
    return bank.id.replace("-", "_")


def _number(account: BankAccount) -> str:
    """Return the account number, which ends with the digits that the bank shows."""
    digits = f"{dice('teller number', account.id).randrange(10**12):012d}"
    return digits if account.mask is None else digits[:-4] + account.mask
