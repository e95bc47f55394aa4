"""Plaid's JSON with defaults for all; a test names only what it is about."""

import copy
from typing import Any

from pydantic import SecretStr

from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.retry import Retry

TOKEN = SecretStr("access-sandbox-00000000-0000-0000-0000-00000000abcd")
SECRET = "hush-this-is-the-client-secret"
QUICK = Retry(attempts_max=3, total_max_s=30.0, sleep=lambda _: None)


def build_provider(url: str, *, timeout_s: float = 5.0, retry: Retry = QUICK) -> PlaidProvider:
    return PlaidProvider(
        client_id="client-1",
        secret=SecretStr(SECRET),
        base_url=url,
        timeout_s=timeout_s,
        country_codes=("US", "CA"),
        language="en",
        client_name="Books",
        redirect_uri="https://example.com/oauth",
        webhook_url="https://example.com/webhooks/plaid",
        days_requested=730,
        retry=retry,
    )


def transaction(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "account_id": "account-1",
        "transaction_id": f"transaction-{number}",
        "pending_transaction_id": None,
        "pending": False,
        "amount": 12.34,
        "iso_currency_code": "USD",
        "unofficial_currency_code": None,
        "date": "2026-03-05",
        "authorized_date": None,
        "datetime": None,
        "authorized_datetime": None,
        "name": "COFFEE 0042",
        "payment_channel": "other",
        "transaction_code": None,
    } | copy.deepcopy(fields)


def account(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "account_id": f"account-{number}",
        "balances": {
            "available": 90.5,
            "current": 100.25,
            "limit": None,
            "iso_currency_code": "USD",
            "unofficial_currency_code": None,
        },
        "mask": "0000",
        "name": "Checking",
        "official_name": None,
        "type": "depository",
        "subtype": "checking",
    } | fields


def removed(number: int = 1) -> dict[str, Any]:
    return {"account_id": "account-1", "transaction_id": f"transaction-{number}"}


def page(**fields: Any) -> dict[str, Any]:
    return {
        "accounts": [],
        "added": [],
        "modified": [],
        "removed": [],
        "next_cursor": "cursor-1",
        "has_more": False,
        "transactions_update_status": "HISTORICAL_UPDATE_COMPLETE",
        "request_id": "request1",
    } | fields


def error_body(code: str, **fields: Any) -> dict[str, Any]:
    return {
        "error_type": "API_ERROR",
        "error_code": code,
        "error_message": "text that names Jane Doe",
        "display_message": None,
        "request_id": "failed1",
    } | fields


class Archived(list[RawAnswer]):
    """What was archived, in order."""

    def __call__(self, answer: RawAnswer) -> None:
        self.append(answer)
