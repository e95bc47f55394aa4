"""
What each provider's errors mean to us: a small table that is always there, and the catalogues.

The catalogues lie beside the project, or are absent. A code is what the simulators' faults take.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    CredentialsRefusedError,
    FeedMovedError,
    ProductUnsupportedError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
    WindowTooWideError,
)

CONTRACTS: Final = Path(__file__).parents[4] / "shared" / "contracts"


@dataclass(frozen=True)
class Meaning:
    """An error of a provider by its code, and our class; `operation` None: of transactions."""

    provider: Provider
    code: str
    kind: type[ProviderError]
    operation: str | None = None

    def __str__(self) -> str:
        return f"{self.provider}-{self.code}"


_SMALL: Final[Mapping[Provider, Mapping[type[ProviderError], str]]] = {
    Provider.PLAID: {
        ReauthRequiredError: "ITEM_LOGIN_REQUIRED ITEM_LOCKED",
        AccessRevokedError: "ITEM_NOT_FOUND USER_PERMISSION_REVOKED",
        RateLimitedError: "TRANSACTIONS_SYNC_LIMIT",
        TransientError: "INSTITUTION_DOWN INTERNAL_SERVER_ERROR NEVER_HEARD_OF",
        CredentialsRefusedError: "INVALID_API_KEYS UNAUTHORIZED_ENVIRONMENT",
        ConfigurationError: "INVALID_ACCESS_TOKEN",
    },
    Provider.GOCARDLESS: {
        ReauthRequiredError: "eua_expired access_expired no_valid_eua account_suspended",
        AccessRevokedError: "gocardless:requisition/not_found",
        RateLimitedError: "daily_quota_gc bank_quota company_quota_gc",
        TransientError: "unknown_request service_error connection_error never_heard_of",
        CredentialsRefusedError: "invalid_token authentication_failed payment_required ip_denied",
    },
    Provider.ENABLE_BANKING: {
        ReauthRequiredError: "enable_banking:*/EXPIRED_SESSION ASPSP_PSU_ACTION_REQUIRED",
        AccessRevokedError: (
            "enable_banking:*/REVOKED_SESSION enable_banking:*/CLOSED_SESSION "
            "enable_banking:*/SESSION_DOES_NOT_EXIST"
        ),
        RateLimitedError: "ASPSP_RATE_LIMIT_EXCEEDED",
        TransientError: "ASPSP_ERROR ASPSP_TIMEOUT INTERNAL_SERVER_ERROR NEVER_HEARD_OF",
        CredentialsRefusedError: (
            "UNAUTHORIZED_ACCESS APPLICATION_DOES_NOT_EXIST UNAUTHORIZED_IP "
            "AUTHORIZATION_NOT_PROVIDED"
        ),
        ConfigurationError: "ACCESS_DENIED",
    },
    Provider.TELLER: {
        ReauthRequiredError: (
            "enrollment.disconnected enrollment.disconnected.user_action.mfa_required "
            "enrollment.disconnected.never_heard_of"
        ),
        AccessRevokedError: "teller:*/forbidden",
        RateLimitedError: "too_many_requests",
        TransientError: "bad_gateway internal_server_error",
        ConfigurationError: "bad_request unauthorized",
    },
}
MEANINGS: Final = tuple(
    Meaning(provider, text.rpartition("/")[2], kind, text.rpartition("/")[0] or None)
    for provider, kinds in _SMALL.items()
    for kind, texts in kinds.items()
    for text in texts.split()
)
"""The errors that a sync meets, each with its class."""

FIRST_OF_EACH: Final = tuple(
    next(one for one in MEANINGS if one.provider is provider and one.kind is kind)
    for provider, kinds in _SMALL.items()
    for kind in kinds
)
"""One error for each class that a sync may end with, of each provider."""

ONE_ACCOUNT: Final[Mapping[Provider, Mapping[str, type[ProviderError]]]] = {
    Provider.PLAID: {},  # its feed is of all accounts at once
    Provider.GOCARDLESS: {
        "access_forbidden": AccountBlockedError,
        "service_error": TransientError,
        "daily_quota_gc": RateLimitedError,
    },
    Provider.ENABLE_BANKING: {
        "ASPSP_ACCOUNT_NOT_ACCESSIBLE": AccountBlockedError,
        "ASPSP_ERROR": TransientError,
        "ASPSP_RATE_LIMIT_EXCEEDED": RateLimitedError,
    },
    Provider.TELLER: {"bad_gateway": TransientError, "too_many_requests": RateLimitedError},
}
"""What may befall one account while its siblings can be read."""

NO_SUCH_DATA: Final[Mapping[Provider, str]] = {
    Provider.GOCARDLESS: "resource_unavailable",
    Provider.ENABLE_BANKING: "BALANCES_UNAVAILABLE",
}
"""What is answered for balances by those who say that an account has none to tell."""

_PLAID: Final = {
    "RESTART_SYNC": FeedMovedError,
    "REAUTH": ReauthRequiredError,
    "USER_AT_BANK": ReauthRequiredError,
    "RELINK": AccessRevokedError,
    "NOT_READY": TransientError,
    "SKIP_PRODUCT": ProductUnsupportedError,
    "CONFIG": ConfigurationError,
    "DROP_ACCOUNT": AccountGoneError,
    "RETRY": TransientError,
    "RATE_LIMIT": RateLimitedError,
}
_GOCARDLESS: Final = {
    "fail_permanent_bug": ConfigurationError,
    "fail_permanent_config": ConfigurationError,
    "retry_with_parsed_bound_then_90": ConfigurationError,
    "find_existing_by_reference": ConfigurationError,
    "renew_token_retry_once": ConfigurationError,
    "operator_alert": ConfigurationError,
    "ignore": ConfigurationError,
    "reconnect_expired": ReauthRequiredError,
    "reconnect_revoked": ReauthRequiredError,
    "reconnect_suspended": ReauthRequiredError,
    "disable_account": AccountGoneError,
    "treat_as_gone": AccountGoneError,
    "skip_scope": ProductUnsupportedError,
    "retry_later_minutes": TransientError,
    "defer_parsed_seconds": RateLimitedError,
    "backoff_parsed_seconds": RateLimitedError,
    "defer_header_or_24h": RateLimitedError,
    "retry_next_run_count": TransientError,
    "backoff_hours": TransientError,
}
_ENABLE_BANKING: Final = {
    "operator_alert": ConfigurationError,
    "renew_jwt_retry_once_then_alert": ConfigurationError,
    "reconnect_expired": ReauthRequiredError,
    "reconnect_disconnected": AccessRevokedError,
    "reconnect_revoked": AccessRevokedError,
    "get_session_then_act": TransientError,  # the session itself says that all is well
    "use_existing_session": ConfigurationError,
    "restart_link": ConfigurationError,
    "refresh_institutions": ConfigurationError,
    "refresh_account_uids": AccountGoneError,
    "fail_permanent_bug": ConfigurationError,
    "disable_account": AccountBlockedError,
    "reconnect_action": ReauthRequiredError,
    "retry_next_run": TransientError,
    "retry_once_then_next_run": TransientError,
    "defer_6h_or_next_utc_day": RateLimitedError,
    "shorten_period": WindowTooWideError,
    "restart_window": FeedMovedError,
    "keep_partial_stop_paging": TransientError,
    "skip_pending": TransientError,
    "ignore": ConfigurationError,
    "skip_scope": ProductUnsupportedError,
    "backoff": TransientError,
}
_ENABLE_BANKING_NAMES: Final = {
    # Answers without a code of their own, by what the simulator calls them.
    (403, None): "APPLICATION_DOES_NOT_EXIST",
    (400, None): "PERIOD_INVALID",
    (500, None): "INTERNAL_SERVER_ERROR",
}
_TELLER_STATUS: Final = {
    "401": "unauthorized",
    "403": "forbidden",
    "404": "not_found",
    "422": "unprocessable_entity",
    "429": "too_many_requests",
    "502": "bad_gateway",
}


def catalogue_of(provider: Provider) -> list[Meaning]:
    """Return every error of the small table, and every catalogued one where catalogues are."""
    small = {one.code: one for one in MEANINGS if one.provider is provider}
    return [*({one.code: one for one in _READERS[provider]()} | small).values()]


def reauth_code(provider: Provider) -> str:
    """Return what a provider answers for transactions when the customer must log in again."""
    return next(
        one.code
        for one in MEANINGS
        if (one.provider, one.kind, one.operation) == (provider, ReauthRequiredError, None)
    )


def _read_csv(provider: Provider) -> list[dict[str, str]]:
    file = CONTRACTS / "error_catalogue_plaid_teller_stripe.csv"
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["provider"] == provider]


def _read_json(path: str) -> list[dict[str, Any]]:
    file = CONTRACTS / path
    found: list[dict[str, Any]] = json.loads(file.read_bytes())["errors"] if file.is_file() else []
    return found


def _plaid() -> Iterator[Meaning]:
    for row in _read_csv(Provider.PLAID):
        if row["error_code"] == "PRODUCT_NOT_READY":
            continue  # no failure but an answer: there is no history yet
        is_login = row["connection_effect"] == "needs_reauth"
        link_only = ReauthRequiredError if is_login else TransientError
        kind = _PLAID.get(row["reaction"], link_only)
        yield Meaning(Provider.PLAID, row["error_code"], kind)


def _gocardless() -> Iterator[Meaning]:
    for row in _read_json("gocardless/data/gc_error_catalog.json"):
        if row["id"] in ("gateway_html", "account_state_object"):
            continue  # a proxy's page, and a body that says how the account really stands
        kind = _GOCARDLESS[row["reaction"]]
        if row["id"] == "access_forbidden":
            kind = AccountBlockedError  # its siblings may be read, and it later
        yield Meaning(Provider.GOCARDLESS, row["id"], kind)


def _enable_banking() -> Iterator[Meaning]:
    for row in _read_json("enable_banking/data/eb_error_catalog.json"):
        code = row["error"] or _ENABLE_BANKING_NAMES[row["http"], None]
        if code == "WRONG_REQUEST_PARAMETERS":
            code += "/pending" if row["reaction"] == "skip_pending" else "/paging"
        is_of_session = row["applies_to"] == "connection" and code.endswith(("_SESSION", "_EXIST"))
        operation = "enable_banking:*" if is_of_session else None
        kind = _ENABLE_BANKING[row["reaction"]]
        yield Meaning(Provider.ENABLE_BANKING, code, kind, operation)


def _teller() -> Iterator[Meaning]:
    for row in _read_csv(Provider.TELLER):
        code = row["error_code"]
        code = code if "(" not in code else _TELLER_STATUS[row["http_status"]]
        # A 404 is believed once the list of accounts says the same; here it does not.
        kind = TransientError if code == "not_found" else _PLAID[row["reaction"]]
        yield Meaning(Provider.TELLER, code, kind)


_READERS: Final = {
    Provider.PLAID: _plaid,
    Provider.GOCARDLESS: _gocardless,
    Provider.ENABLE_BANKING: _enable_banking,
    Provider.TELLER: _teller,
}
