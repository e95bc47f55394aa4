"""
The errors of the simulated Teller, as data. Pure.

Documented are the HTTP statuses, the codes of closed accounts, broken enrollments and account
numbers. The other codes are invented: clients know them by their status.
Source: https://teller.io/docs/api/errors
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

DISCONNECTED: Final = "enrollment.disconnected"
CLOSED: Final = "account.closed"
DISCONNECT_SUFFIXES: Final = (
    "",
    "account_locked",
    "credentials_invalid",
    "enrollment_inactive",
    "user_action.captcha_required",
    "user_action.contact_information_required",
    "user_action.insufficient_permissions",
    "user_action.mfa_required",
    "user_action.web_login_required",
)

_ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "bad_request": (400, "Bad request."),
    "unauthorized": (401, "Missing access token."),
    "forbidden": (403, "The access token is not valid."),
    "not_found": (404, "The requested resource does not exist."),
    "account_number_verification_pending": (404, "The account number is still being verified."),
    "account_number_verification_expired": (404, "The account number was not verified in time."),
    "unprocessable_entity": (422, "The request has a value that is not valid."),
    "too_many_requests": (429, "Too many requests."),
    "internal_server_error": (500, "Something went wrong."),
    "bad_gateway": (502, "The institution is not available."),
    CLOSED: (410, "The requested account is closed"),
    DISCONNECTED: (404, "Enrollment is disconnected."),
    f"{DISCONNECTED}.account_locked": (404, "The account is locked."),
    f"{DISCONNECTED}.credentials_invalid": (404, "The credentials are not valid."),
    f"{DISCONNECTED}.enrollment_inactive": (404, "Enrollment is inactive."),
    f"{DISCONNECTED}.user_action.captcha_required": (404, "User captcha is required."),
    f"{DISCONNECTED}.user_action.contact_information_required": (
        404,
        "User contact information is required.",
    ),
    f"{DISCONNECTED}.user_action.insufficient_permissions": (
        404,
        "User has insufficient permissions.",
    ),
    f"{DISCONNECTED}.user_action.mfa_required": (404, "User MFA is required."),
    f"{DISCONNECTED}.user_action.web_login_required": (404, "User web login is required."),
}
_FAMILIES: Final = (DISCONNECTED, CLOSED)  # whose members may grow
MISSING_CERTIFICATE: Final = (
    "Missing certificate: Retry request using your Teller client certificate."
)
ERROR_CODES: Final = frozenset(_ERRORS)


@dataclass
class TellerError(Exception):
    """An answer that is an error. `code` is documented, or invented by a fault."""

    code: str
    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.status} {self.code}"

    def to_json(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"error": {"code": self.code, "message": self.message}}


def teller_error(
    code: str, message: str | None = None, *, status: int | None = None
) -> TellerError:
    """Make an error; `message` and `status` replace the usual ones. Unknown codes are allowed."""
    family = next((one for one in _FAMILIES if code.startswith(f"{one}.")), "bad_request")
    usual_status, usual_message = _ERRORS.get(code, _ERRORS[family])
    return TellerError(
        code=code,
        status=usual_status if status is None else status,
        message=usual_message if message is None else message,
    )


def disconnect_error(suffix: str) -> TellerError:
    """Make the error of a broken enrollment; the suffix says why and may be empty."""
    return teller_error(f"{DISCONNECTED}.{suffix}" if suffix else DISCONNECTED)
