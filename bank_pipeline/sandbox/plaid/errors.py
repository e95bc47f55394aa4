"""
Every error the simulated Plaid documents: its type, its HTTP status, its words. Pure.

Source: https://plaid.com/docs/errors/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_RATE: Final = "rate limit exceeded for attempts to access this item. please try again later"
_DOWN: Final = "this institution is not currently responding to this request. please try again soon"
_BAD_SEND: Final = "the requested method is not available for this user"

_MESSAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "TRANSACTIONS_ERROR": {
        "TRANSACTIONS_SYNC_MUTATION_DURING_PAGINATION": (
            "Underlying transaction data changed since last page was fetched."
            " Please restart pagination from last update."
        ),
    },
    "ITEM_ERROR": {
        "ITEM_LOGIN_REQUIRED": (
            "the login details of this item have changed (credentials, MFA, or required user"
            " action) and a user login is required to update this information. use Link's update"
            " mode to restore the item to a good state"
        ),
        "ITEM_LOCKED": (
            "the account is locked. prompt the user to visit the institution's site and unlock"
            " their account"
        ),
        "USER_SETUP_REQUIRED": (
            "the account has not been fully set up. prompt the user to visit the issuing"
            " institution's site and finish the setup process"
        ),
        "PASSWORD_RESET_REQUIRED": "user must reset their password",
        "INSUFFICIENT_CREDENTIALS": (
            "insufficient authorization was provided to complete the request"
        ),
        "INVALID_CREDENTIALS": "the provided credentials were not correct",
        "INVALID_MFA": "the provided MFA response(s) were not correct",
        "MFA_NOT_SUPPORTED": (
            "this account requires a MFA type that we do not currently support for the institution"
        ),
        "ACCESS_NOT_GRANTED": "access to this product was not granted for the account",
        "NO_ACCOUNTS": "no valid accounts were found for this item",
        "ITEM_NOT_FOUND": (
            "The Item you requested cannot be found. This Item does not exist, has been previously"
            " removed via /item/remove, or has had access removed by the user."
        ),
        "ITEM_CONCURRENTLY_DELETED": "This item was deleted while the operation was in progress",
        "ITEM_NOT_SUPPORTED": "this account is currently not supported",
        "PRODUCT_NOT_READY": (
            "the requested product is not yet ready. please provide a webhook or try the request"
            " again later"
        ),
        "PRODUCTS_NOT_SUPPORTED": "",
        "PRODUCT_NOT_ENABLED": (
            "A requested product was not enabled for the current access token. Please ensure it is"
            " included when when initializing Link and create the Item again."
        ),
        "NO_AUTH_ACCOUNTS": (
            "There are no valid checking or savings account(s) associated with this Item."
        ),
        "NO_INVESTMENT_ACCOUNTS": (
            "There are no valid investment account(s) associated with this Item."
        ),
        "NO_INVESTMENT_AUTH_ACCOUNTS": (
            "There are no valid investment account(s) associated with this Item."
        ),
        "NO_LIABILITY_ACCOUNTS": (
            "There are no valid liability account(s) associated with this Item."
        ),
        "MANUAL_VERIFICATION_REQUIRED": "manual verification is required",
        "INSTANT_MATCH_FAILED": "instant match failed",
        "INVALID_OTP": "the provided one-time passcode was not correct",
        "INVALID_PHONE_NUMBER": "the provided phone number was not valid",
        "INVALID_SEND_METHOD": _BAD_SEND,
        "INVALID_UPDATED_USERNAME": "the username does not match the one of the Item",
        "USER_INPUT_TIMEOUT": "the user did not complete a step in time",
    },
    "INVALID_INPUT": {
        "USER_PERMISSION_REVOKED": (
            "the holder of this account has revoked their permission for your application to"
            " access it"
        ),
        "ADDITIONAL_CONSENT_REQUIRED": (
            "client does not have user consent to access the PRODUCT_TRANSACTIONS product"
        ),
        "INVALID_ACCESS_TOKEN": "could not find matching access token",
        "INVALID_ACCOUNT_ID": "failed to find requested account ID for requested item",
        "INVALID_API_KEYS": "invalid client_id or secret provided",
        "UNAUTHORIZED_ENVIRONMENT": (
            "you are not authorized to create items in this api environment. Go to the Dashboard"
            " (https://dashboard.plaid.com) to see which environments you are authorized for."
        ),
        "UNAUTHORIZED_ROUTE_ACCESS": (
            "you are not authorized to access this route in this api environment."
        ),
        "INVALID_PUBLIC_TOKEN": "could not find matching public token",
        "INVALID_LINK_TOKEN": "invalid link_token provided",
        "INVALID_PRODUCT": "client is not authorized to access the following products",
        "INVALID_INSTITUTION": "invalid institution_id provided",
        "INVALID_WEBHOOK_VERIFICATION_KEY_ID": (
            "invalid key_id provided. note that key_ids are specific to Plaid environments, and"
            " verification requests must be made to the same environment that the webhook was"
            " sent from"
        ),
    },
    "INVALID_REQUEST": {
        "MISSING_FIELDS": "the following required fields are missing",
        "UNKNOWN_FIELDS": "the following fields are not recognized by this endpoint",
        "INVALID_FIELD": "a field of the request is not valid",
        "INVALID_CONFIGURATION": "please ensure that the request body is formatted correctly",
        "INCOMPATIBLE_API_VERSION": "the API version is not compatible with this endpoint",
        "INVALID_BODY": "body could not be parsed as JSON",
        "INVALID_HEADERS": "a header of the request is not valid",
        "NOT_FOUND": "not found",
        "NO_LONGER_AVAILABLE": "This endpoint has been discontinued as of version 2020-09-14.",
        "SANDBOX_ONLY": (
            "access to this route is only available in the sandbox environment at"
            " https://sandbox.plaid.com/"
        ),
    },
    "INSTITUTION_ERROR": {
        "INSTITUTION_DOWN": _DOWN,
        "INSTITUTION_NOT_RESPONDING": _DOWN,
        "INSTITUTION_NOT_AVAILABLE": _DOWN,
        "INSTITUTION_NO_LONGER_SUPPORTED": "this institution is no longer supported",
        "UNSUPPORTED_RESPONSE": "the data returned from the financial institution is not valid",
        "INSTITUTION_NOT_ENABLED_IN_ENVIRONMENT": (
            "this institution is not enabled in this environment"
        ),
        "INSTITUTION_REGISTRATION_REQUIRED": "this institution requires a registration",
        "UNAUTHORIZED_INSTITUTION": "you are not authorized to access this institution",
    },
    "API_ERROR": {
        "INTERNAL_SERVER_ERROR": "an unexpected error occurred",
        "PLANNED_MAINTENANCE": (
            "the Plaid API is temporarily unavailable due to planned maintenance. visit"
            " https://status.plaid.com/ for more information"
        ),
    },
    "RATE_LIMIT_EXCEEDED": {
        "ACCOUNTS_LIMIT": _RATE,
        "ACCOUNTS_BALANCE_GET_LIMIT": _RATE,
        "AUTH_LIMIT": _RATE,
        "BALANCE_LIMIT": _RATE,
        "IDENTITY_LIMIT": _RATE,
        "INVESTMENT_HOLDINGS_GET_LIMIT": _RATE,
        "INVESTMENT_TRANSACTIONS_LIMIT": _RATE,
        "ITEM_GET_LIMIT": _RATE,
        "RATE_LIMIT": _RATE,
        "TRANSACTIONS_LIMIT": _RATE,
        "TRANSACTIONS_REFRESH_LIMIT": _RATE,
        "TRANSACTIONS_SYNC_LIMIT": _RATE,
        "INSTITUTIONS_GET_LIMIT": (
            'rate limit exceeded for attempts to access "institutions get". please try again later'
        ),
        "INSTITUTIONS_GET_BY_ID_LIMIT": (
            'rate limit exceeded for attempts to access "institutions get by id".'
            " please try again later"
        ),
        "INSTITUTION_RATE_LIMIT": (
            "The institution is currently receiving too many requests. Please try again later."
        ),
        "CREDITS_EXHAUSTED": (
            "Free usage exhausted, please request full Production access to continue using this"
            " product"
        ),
    },
    "SANDBOX_ERROR": {
        "SANDBOX_PRODUCT_NOT_ENABLED": "the product is not enabled for this Item",
        "SANDBOX_WEBHOOK_INVALID": "the Item has no webhook URL that could be called",
    },
}

# Nearly everything is a 400, bank outages included. The client switches on the code.
_STATUS_OF_CODE: Final = {
    "NOT_FOUND": 404,
    "NO_LONGER_AVAILABLE": 404,
    "INTERNAL_SERVER_ERROR": 500,
    "PLANNED_MAINTENANCE": 503,
}

_TYPE_OF_CODE: Final = {code: kind for kind, codes in _MESSAGES.items() for code in codes}

ERROR_CODES: Final = frozenset(_TYPE_OF_CODE)

_RETRY_MESSAGE: Final = "The user's connection to this institution has been invalidated."


@dataclass
class PlaidError(Exception):
    """An answer that is an error. `code` is documented, or invented by a fault."""

    code: str
    error_type: str
    status: int
    message: str
    display_message: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.error_type} {self.code}"

    def to_json(self, request_id: str) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "display_message": self.display_message,
            "documentation_url": f"https://plaid.com/docs/?ref=error#{_anchor(self.error_type)}",
            "error_code": self.code,
            "error_code_reason": self.reason,
            "error_message": self.message,
            "error_type": self.error_type,
            "request_id": request_id,
            "suggested_action": None,
        }


def plaid_error(code: str, message: str | None = None, *, reason: str | None = None) -> PlaidError:
    """Make the documented error `code`; `message` replaces its usual words."""
    error_type = _TYPE_OF_CODE[code]
    return PlaidError(
        code=code,
        error_type=error_type,
        status=status_of(code, error_type),
        message=_MESSAGES[error_type][code] if message is None else message,
        display_message=_RETRY_MESSAGE if code == "ITEM_LOGIN_REQUIRED" else None,
        reason=reason,
    )


def injected_error(
    code: str | None, error_type: str | None, status: int | None, message: str | None
) -> PlaidError:
    """Make what a fault asks for, documented or not; what it leaves open is as documented."""
    code = code or "INTERNAL_SERVER_ERROR"
    known_type = _TYPE_OF_CODE.get(code)
    kind = error_type or known_type or "API_ERROR"
    usual = _MESSAGES[known_type][code] if known_type else "an unexpected error occurred"
    return PlaidError(
        code=code,
        error_type=kind,
        status=status if status is not None else status_of(code, kind),
        message=usual if message is None else message,
    )


def status_of(code: str, error_type: str) -> int:
    """Return the HTTP status that comes with a code."""
    return _STATUS_OF_CODE.get(code, 429 if error_type == "RATE_LIMIT_EXCEEDED" else 400)


def item_error_json(error: PlaidError) -> dict[str, Any]:
    """
    Return the error as it stands in `item.error` and in webhooks.

    There it carries its HTTP status, and a revoked permission is an ITEM_ERROR.
    """
    body = error.to_json("")
    if error.code == "USER_PERMISSION_REVOKED":
        body["error_type"] = "ITEM_ERROR"
    return {**body, "status": error.status}


def _anchor(error_type: str) -> str:
    return error_type.lower().replace("_", "-") + "s"
