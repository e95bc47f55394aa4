"""Teller's JSON with defaults for all; a test names only what it is about."""

from datetime import date
from typing import Any

from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.retry import Retry
from bank_pipeline.providers.teller.provider import TellerProvider, build_teller

TOKEN = SecretStr("test_token_hush")
QUICK = Retry(attempts_max=3, total_max_s=30.0, sleep=lambda _: None)
ONCE = Retry(attempts_max=1)
TODAY = date(2026, 11, 20)

CHECKING = Account(
    external_id="acc_1",
    name="Checking",
    type=AccountType.CHECKING,
    provider_type="depository",
    provider_subtype="checking",
    currency="USD",
    identifiers=AccountIdentifiers(masked_number="0001"),
)
CARD = CHECKING.model_copy(
    update={
        "type": AccountType.CREDIT_CARD,
        "provider_type": "credit",
        "provider_subtype": "credit_card",
    }
)


def settings(**fields: Any) -> Settings:
    return Settings(_env_file=None, **({"teller_application_id": "app_1"} | fields))


def build_provider(url: str, *, retry: Retry = QUICK, **fields: Any) -> TellerProvider:
    chosen: dict[str, Any] = {"teller_base_url": url, "provider_timeout_s": 5.0}
    return build_teller(settings(**(chosen | fields)), retry=retry)


def asked(*, first: date = date(2026, 11, 1), is_first: bool = False) -> WindowRequest:
    return WindowRequest(DateWindow(first=first, last=TODAY), is_first=is_first)


def account(number: int = 1, **fields: Any) -> dict[str, Any]:
    url = f"https://api.teller.io/accounts/acc_{number}"
    return {
        "id": f"acc_{number}",
        "enrollment_id": "enr_1",
        "institution": {"id": "chase", "name": "Chase"},
        "name": "Checking",
        "type": "depository",
        "subtype": "checking",
        "currency": "USD",
        "last_four": f"{number:04}",
        "status": "open",
        "links": {
            "self": url,
            "balances": f"{url}/balances",
            "transactions": f"{url}/transactions",
        },
    } | fields


def links(*products: str) -> dict[str, str]:
    return {name: f"https://api.teller.io/{name}" for name in ("self", *products)}


def transaction(number: int = 1, **fields: Any) -> dict[str, Any]:
    url = "https://api.teller.io/accounts/acc_1"
    return {
        "id": f"txn_{number}",
        "account_id": "acc_1",
        "date": "2026-11-17",
        "description": "WHOLEFDS MKT 10234",
        "amount": "-84.12",
        "status": "posted",
        "type": "card_payment",
        "running_balance": None,
        "details": {
            "processing_status": "complete",
            "category": "groceries",
            "counterparty": {"name": "GREEN STREET GROCERS", "type": "organization"},
        },
        "links": {"self": f"{url}/transactions/txn_{number}", "account": url},
    } | fields


def error_body(code: str | None) -> dict[str, Any]:
    return {"error": {"code": code, "message": "text that names Jane Doe"}}


class Archived(list[RawAnswer]):
    """What was archived, in order."""

    def __call__(self, answer: RawAnswer) -> None:
        self.append(answer)
