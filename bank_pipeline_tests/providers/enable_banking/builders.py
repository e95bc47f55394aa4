"""Enable Banking's JSON with defaults for all; a test names only what it is about."""

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import PresentUser, RawAnswer, WindowRequest
from bank_pipeline.providers.base import LinkRequest
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.enable_banking.signer import Signer
from bank_pipeline.providers.retry import Retry
from bank_pipeline_tests.providers.stub import Reply

APPLICATION: Final = "5a1d0000-0000-4000-8000-0000000000aa"
SESSION: Final = SecretStr("4604aa90-f8a8-4180-92d8-0c3270846f0a")
UID: Final = "07cc67f4-45d6-494b-adac-09b5cbc7e2b5"
NOW: Final = datetime(2026, 3, 5, 9, 30, tzinfo=UTC)
TODAY: Final = date(2026, 3, 5)
QUICK: Final = Retry(attempts_max=3, total_max_s=30.0, sleep=lambda _: None)
USER: Final = PresentUser(ip_address="192.0.2.7", user_agent="Browser/1")


@cache
def key() -> RSAPrivateKey:
    """Return one key for all tests: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def build_provider(
    url: str,
    folder: Path,
    *,
    redirect_url: str | None = "https://books.example/return",
    gateway_url: str | None = None,
    clock: Callable[[], float] | None = None,
) -> EnableBankingProvider:
    signer = Signer(APPLICATION, key(), clock=clock) if clock else Signer(APPLICATION, key())
    return EnableBankingProvider(
        base_url=url,
        application_id=APPLICATION,
        signer=signer,
        timeout_s=5.0,
        redirect_url=redirect_url,
        gateway_url=gateway_url,
        cache=build_file_cache(folder),
        retry=QUICK,
    )


class Archived(list[RawAnswer]):
    """What was archived, in order."""

    def __call__(self, answer: RawAnswer) -> None:
        self.append(answer)


def account(**named: Any) -> Account:
    values: dict[str, Any] = {
        "external_id": UID,
        "stable_external_ids": ("hash-1",),
        "name": "Käyttötili",
        "type": AccountType.CHECKING,
        "provider_type": "CACC",
        "currency": "EUR",
        "identifiers": AccountIdentifiers(iban="FI0455231152453547", bic="NDEAFIHH"),
        "holder_name": "Matti Meikäläinen",
    }
    return Account.model_validate(values | named)


def window(days: int = 14, *, is_first: bool = False) -> WindowRequest:
    first = date.fromordinal(TODAY.toordinal() - days)
    return WindowRequest(DateWindow(first=first, last=TODAY), is_first=is_first)


def link_request(institution: str | None = "FI:Nordea", **named: Any) -> LinkRequest:
    values: dict[str, Any] = {
        "customer_reference": "team-42",
        "state": SecretStr("state-1"),
        "now": NOW,
        "institution_external_id": institution,
    }
    return LinkRequest(**(values | named))


def amount(text: str, currency: str = "EUR") -> dict[str, str]:
    return {"currency": currency, "amount": text}


def transaction(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A booked card purchase of 12.34, as most banks tell it: what is unknown is null."""
    return {
        "entry_reference": f"entry-{number}",
        "merchant_category_code": None,
        "transaction_amount": amount("12.34"),
        "creditor": {"name": "K-Market", "postal_address": None},
        "creditor_account": None,
        "creditor_agent": None,
        "debtor": None,
        "debtor_account": None,
        "debtor_agent": None,
        "bank_transaction_code": None,
        "credit_debit_indicator": "DBIT",
        "status": "BOOK",
        "booking_date": "2026-03-04",
        "value_date": None,
        "transaction_date": None,
        "balance_after_transaction": None,
        "reference_number": None,
        "remittance_information": ["K-MARKET HELSINKI"],
        "exchange_rate": None,
        "note": None,
        "transaction_id": f"volatile-{number}",
    } | copy.deepcopy(fields)


def page(*rows: Any, key: str | None = None) -> Reply:
    return Reply({"transactions": list(rows), "continuation_key": key})


def balance(text: str = "1234.56", kind: str = "ITBD", **fields: Any) -> dict[str, Any]:
    return {"name": "A balance", "balance_amount": amount(text), "balance_type": kind} | fields


def account_json(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "uid": UID if number == 1 else f"uid-{number}",
        "account_id": {"iban": f"FI045523115245354{number}", "other": None},
        "all_account_ids": None,
        "account_servicer": {"bic_fi": "NDEAFIHH", "name": "Nordea"},
        "name": "Matti Meikäläinen",
        "details": "Käyttötili",
        "usage": "PRIV",
        "cash_account_type": "CACC",
        "product": "Basic account",
        "currency": "EUR",
        "credit_limit": None,
        "identification_hash": f"hash-{number}",
        "identification_hashes": [f"hash-{number}"],
    } | copy.deepcopy(fields)


def session(status: str = "AUTHORIZED", *uids: str, **fields: Any) -> Reply:
    """How a session is; without uids it shares the one account."""
    named = uids or (UID,)
    body = {
        "status": status,
        "accounts": list(named),
        "accounts_data": [
            {"uid": uid, "identification_hash": f"hash-of-{uid}", "identification_hashes": None}
            for uid in named
        ],
        "aspsp": {"name": "Nordea", "country": "FI"},
        "psu_type": "personal",
        "psu_id_hash": "hD8=",
        "access": {"valid_until": "2026-08-30T10:00:00Z"},
        "created": "2026-03-01T10:00:00Z",
    }
    return Reply(body | fields)


def new_session(*accounts: dict[str, Any], **fields: Any) -> Reply:
    body = {
        "session_id": SESSION.get_secret_value(),
        "accounts": list(accounts),
        "aspsp": {"name": "Nordea", "country": "FI"},
        "psu_type": "personal",
        "access": {"valid_until": "2026-08-30T10:00:00Z"},
    }
    return Reply(body | fields)


def aspsp(name: str = "Nordea", country: str = "FI", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "country": country,
        "logo": "https://enablebanking.com/brands/FI/Nordea/",
        "psu_types": ["business", "personal"],
        "auth_methods": [{"name": "MTA", "psu_type": "business", "approach": "REDIRECT"}],
        "maximum_consent_validity": 15_552_000,
        "beta": False,
        "bic": "NDEAFIHH",
        "required_psu_headers": None,
    } | fields


def aspsps(*banks: dict[str, Any]) -> Reply:
    return Reply({"aspsps": list(banks or (aspsp(),))})


def failure(error: str, status: int = 400, **fields: Any) -> Reply:
    body = {"message": "text that names Jane Doe", "code": status, "error": error}
    return Reply(body | fields, status)
