"""GoCardless's JSON with defaults for all; a test names only what it is about."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bank_pipeline.domain.account import Account, AccountIdentifiers, AccountType
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.gocardless.windows import to_operation, to_window
from bank_pipeline.providers.retry import Retry
from bank_pipeline_tests.providers.stub import Reply

REQUISITION = SecretStr("8126e9fb-93c9-4228-937c-68f0383c2df7")
SECRET = "hush-this-is-the-secret-key"
TODAY = date(2026, 11, 20)
QUICK = Retry(attempts_max=3, total_max_s=30.0, sleep=lambda _: None)
TOKEN_REPLY = Reply({"access": "token-1", "access_expires": 86_400})


def build_provider(
    url: str, cache: Cache | Path, *, redirect_url: str | None = None
) -> GoCardlessProvider:
    return GoCardlessProvider(
        secret_id="secret-id-1",
        secret_key=SecretStr(SECRET),
        base_url=url,
        timeout_s=5.0,
        redirect_url=redirect_url,
        cache=build_file_cache(cache) if isinstance(cache, Path) else cache,
        retry=QUICK,
    )


def account(**named: Any) -> Account:
    values: dict[str, Any] = {
        "external_id": "account-1",
        "name": "Current",
        "type": AccountType.CHECKING,
        "provider_type": "CACC",
        "currency": "EUR",
        "holder_name": "Jane Doe",
        "identifiers": AccountIdentifiers(iban="DE02500105170137075030"),
    }
    return Account.model_validate(values | named)


def row(amount: str = "-10.00", currency: str | None = "EUR", **fields: Any) -> dict[str, Any]:
    return {
        "transactionAmount": {"amount": amount, "currency": currency},
        "bookingDate": "2026-11-19",
        "remittanceInformationUnstructured": "Card purchase",
    } | fields


def window(first: date = date(2026, 11, 1), *, is_first: bool = False) -> WindowRequest:
    return WindowRequest(DateWindow(first=first, last=TODAY), is_first=is_first)


def answered(
    booked: Sequence[Any] = (),
    pending: Sequence[Any] | None = None,
    *,
    bank: str | None = None,
    owner: Account | None = None,
    today: date = TODAY,
) -> WindowAnswer:
    """Read one answer as `to_window` does."""
    lists: dict[str, Any] = {"booked": list(booked)}
    if pending is not None:
        lists["pending"] = list(pending)
    owner = owner or account()
    operation = to_operation(owner, institution_id=bank)
    body = json.dumps({"transactions": lists}).encode()
    request = WindowRequest(DateWindow(first=date(2026, 11, 1), last=today), is_first=False)
    return to_window([RawAnswer(operation, body, b"", None)], owner, request)


def booked(bank: str | None = None, **fields: Any) -> Transaction:
    """Read one booked row."""
    answer = answered([row(**fields)], bank=bank)
    assert answer.quarantined == ()
    return answer.transactions[0]


def pending(bank: str | None = None, **fields: Any) -> Transaction:
    """Read one pending row."""
    answer = answered([], [row(**fields)], bank=bank)
    assert answer.quarantined == ()
    return answer.transactions[0]


def refusal(summary: str, status: int, **fields: Any) -> Reply:
    body = {"summary": summary, "detail": "Jane Doe said no", "status_code": status} | fields
    return Reply(body, status)


def requisition(status: str = "LN", **fields: Any) -> dict[str, Any]:
    return {
        "id": REQUISITION.get_secret_value(),
        "status": status,
        "institution_id": "REVOLUT_REVOLT21",
        "agreement": "agreement-1",
        "reference": "state-1",
        "accounts": ["account-1"],
        "link": "https://ob.gocardless.com/ob-psd2/start/3fa85f64/REVOLUT_REVOLT21",
    } | fields


def agreement(**fields: Any) -> dict[str, Any]:
    return {
        "id": "agreement-1",
        "accepted": "2026-11-01T09:00:00.000Z",
        "access_valid_for_days": 180,
        "max_historical_days": 730,
    } | fields


def metadata(**fields: Any) -> dict[str, Any]:
    return {
        "id": "account-1",
        "iban": "GB33BUKB20201555555555",
        "bban": "",
        "status": "READY",
        "institution_id": "REVOLUT_REVOLT21",
        "owner_name": "JANE DOE",
        "last_accessed": None,
    } | fields


def details(**fields: Any) -> dict[str, Any]:
    return {
        "account": {
            "resourceId": "resource-1",
            "currency": "GBP",
            "name": "Private account",
            "product": "Current",
            "cashAccountType": "CACC",
            "usage": "PRIV",
        }
        | fields
    }


def institution(**fields: Any) -> dict[str, Any]:
    return {
        "id": "REVOLUT_REVOLT21",
        "name": "Revolut",
        "bic": "REVOLT21",
        "transaction_total_days": "730",
        "max_access_valid_for_days": "180",
        "countries": ["GB"],
        "logo": "https://cdn.example.com/revolut.png",
        "supported_features": ["private_accounts", "business_accounts", "corporate_accounts"],
    } | fields


class Archived(list[RawAnswer]):
    """What was archived, in order."""

    def __call__(self, answer: RawAnswer) -> None:
        self.append(answer)
