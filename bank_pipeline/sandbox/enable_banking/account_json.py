"""A world's account in Enable Banking's words. Pure."""

from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.ids import (
    IBAN_PATH,
    OTHER_PATH,
    derive_hash,
    derive_number,
)
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp, Profile
from bank_pipeline.sandbox.enable_banking.words import amount_text
from bank_pipeline.sandbox.ledger import AccountKind, BankAccount

Json = dict[str, Any]
NO_CURRENCY: Final = "XXX"
_TYPES: Final = {
    AccountKind.CHECKING: "CACC",
    AccountKind.SAVINGS: "SVGS",
    AccountKind.CREDIT_CARD: "CARD",
    AccountKind.LOAN: "LOAN",
    AccountKind.MORTGAGE: "LOAN",
    AccountKind.INVESTMENT: "OTHR",
}


def account_json(
    account: BankAccount, aspsp: Aspsp, *, seed: int, holder: str, uid: str | None
) -> Json:
    """Return the account with everything known of it, as the exchange of a code tells it once."""
    profile = aspsp.profile
    hashes = identification_hashes(account, profile, seed)
    limit = account.credit_limit
    told: Json = {
        "account_id": account_id(account, seed),
        "all_account_ids": _numbers(account, profile, seed),
        "account_servicer": {
            "bic_fi": aspsp.bic,
            "clearing_system_member_id": None,
            "name": aspsp.name,
        },
        "name": holder,
        "details": account.name,
        "usage": "ORGA" if account.business else "PRIV",
        "product": account.official_name,
        "psu_status": "Account Holder",
        "credit_limit": None
        if limit is None
        else {"currency": currency_of(account), "amount": amount_text(limit, account.currency)},
        "legal_age": True,
        "postal_address": None,
    }
    if profile.account_id_is_list:
        told["account_id"] = [told["account_id"]]
    if profile.all_null:
        keep = ("account_id", "details")
        told = {name: value if name in keep else None for name, value in told.items()}
    return {
        **({} if uid is None else {"uid": uid}),
        **told,
        "cash_account_type": _TYPES[account.kind],
        "currency": NO_CURRENCY if profile.account_currency_unknown else currency_of(account),
        "identification_hash": hashes[0],
        "identification_hashes": hashes,
    }


def currency_of(account: BankAccount) -> str:
    """Return the account's currency, or XXX where it has no official one."""
    return account.currency or NO_CURRENCY


def account_id(account: BankAccount, seed: int) -> Json:
    """Return the account's number: an IBAN, else a card's or the bank's own."""
    if account.iban is not None:
        return {"iban": account.iban, "other": None}
    scheme = "CPAN" if account.kind is AccountKind.CREDIT_CARD else "BBAN"
    return {"iban": None, "other": _identification(_own_number(account, seed), scheme)}


def identification_hashes(account: BankAccount, profile: Profile, seed: int) -> list[str]:
    """Return what an account is recognised by in all sessions: one hash per number."""
    if account.iban is None:
        return [derive_hash(OTHER_PATH, _own_number(account, seed))]
    hashes = [derive_hash(IBAN_PATH, account.iban)]
    if profile.both_numbers:
        hashes.append(derive_hash(OTHER_PATH, account.iban[4:]))
    return hashes


def _numbers(account: BankAccount, profile: Profile, seed: int) -> list[Json]:
    if account.iban is None:
        return [account_id(account, seed)["other"]]
    numbers = [_identification(account.iban, "IBAN")]
    if profile.both_numbers:
        numbers.append(_identification(account.iban[4:], "BBAN"))
    return numbers


def _own_number(account: BankAccount, seed: int) -> str:
    if account.kind is AccountKind.CREDIT_CARD:
        shown = derive_number("enable_banking", seed, account.id, "pan", length=10)
        return f"{shown[:6]}******{shown[6:]}"
    return derive_number("enable_banking", seed, account.id, "bban")


def _identification(number: str, scheme: str) -> Json:
    return {"identification": number, "scheme_name": scheme, "issuer": None}
