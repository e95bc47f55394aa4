"""Starting a consent: what `POST /auth` asks for, and what it refuses."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.aspsps import (
    PSU_TYPES,
    auth_methods_of,
    offered,
    psu_types_of,
)
from bank_pipeline.sandbox.enable_banking.errors import (
    EnableBankingError,
    api_error,
    wrong_parameters,
)
from bank_pipeline.sandbox.enable_banking.ids import derive_psu_id_hash
from bank_pipeline.sandbox.enable_banking.profiles import Aspsp
from bank_pipeline.sandbox.enable_banking.sessions import Session
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint

_REQUIRED: Final = ("access", "aspsp", "state", "redirect_url")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
_TOO_LONG: Final = "ASPSP does not support consent validity more than {} seconds in the future"
_TEXTS: Final = ("state", "redirect_url", "auth_method", "language", "psu_id", "psu_type")


def start_authorization(call: Call) -> dict[str, Any]:
    """Begin a consent and say where its customer must go."""
    body = _checked(call.body)
    aspsp = _aspsp(call, body["aspsp"])
    if body["redirect_url"] not in call.application.redirect_urls:
        raise api_error("REDIRECT_URI_NOT_ALLOWED")
    psu_type = body.get("psu_type") or "personal"
    if psu_type not in psu_types_of(aspsp):
        raise wrong_parameters(f"psu_type {psu_type} is not supported by ASPSP")
    _check_credentials(aspsp, body, psu_type)
    access, valid_until = _access(call, aspsp, body["access"])
    session = Session(
        authorization_id=call.wing.mint.uuid(),
        session_id=call.wing.mint.uuid(),
        application_id=call.application_id,
        aspsp=aspsp,
        state=body["state"],
        redirect_url=body["redirect_url"],
        access=access,
        valid_until=valid_until,
        psu_type=psu_type,
        psu_id_hash=derive_psu_id_hash(
            call.application_id, body.get("psu_id") or call.wing.mint.uuid()
        ),
        created_at=call.now,
    )
    call.wing.sessions.add(session)
    base = call.wing.options.public_url or call.base_url
    return {
        "url": f"{base.rstrip('/')}/welcome?sessionid={session.authorization_id}",
        "authorization_id": session.authorization_id,
        "psu_id_hash": session.psu_id_hash,
    }


def _checked(body: object) -> Mapping[str, Any]:
    """Return the body with its required fields, each of its type."""
    if not isinstance(body, dict):
        raise wrong_parameters("body: input should be a valid dictionary")
    for name in _REQUIRED:
        if body.get(name) is None:
            raise wrong_parameters(f"{name}: field required")
    for name in ("access", "aspsp"):
        if not isinstance(body[name], dict):
            raise wrong_parameters(f"{name}: input should be a valid dictionary")
    for name in _TEXTS:
        if not isinstance(body.get(name) or "", str):
            raise wrong_parameters(f"{name}: input should be a valid string")
    language, psu_type = body.get("language"), body.get("psu_type")
    if language is not None and not _LANGUAGE.fullmatch(language):
        raise wrong_parameters("language: string should match pattern '^[a-z]{2}$'")
    if psu_type is not None and psu_type not in PSU_TYPES:
        raise wrong_parameters("psu_type: input should be 'business' or 'personal'")
    return body


def _aspsp(call: Call, asked: Mapping[str, Any]) -> Aspsp:
    key = (asked.get("name"), asked.get("country"))
    found = [one for one in offered(call) if one.key == key]
    if not found:
        raise api_error("WRONG_ASPSP_PROVIDED")
    return found[0]


def _check_credentials(aspsp: Aspsp, body: Mapping[str, Any], psu_type: str) -> None:
    named, given = body.get("auth_method"), body.get("credentials")
    if named is None and given is not None:
        raise wrong_parameters("auth_method must be provided if credentials provided")
    if named is None:
        return
    methods = [
        one
        for one in auth_methods_of(aspsp)
        if one["name"] == named and one["psu_type"] == psu_type
    ]
    if not methods:
        raise wrong_parameters(f"auth_method {named} is not supported by ASPSP")
    if given is None:
        return
    for wanted in methods[0]["credentials"] or []:
        value = given.get(wanted["name"]) if isinstance(given, dict) else None
        if value is None or not re.fullmatch(wanted["template"], str(value)):
            raise api_error("WRONG_CREDENTIALS_PROVIDED")


def _access(
    call: Call, aspsp: Aspsp, asked: Mapping[str, Any]
) -> tuple[Mapping[str, Any], datetime]:
    """Return the access as it is granted, and when it ends."""
    valid_until = _moment(asked.get("valid_until"))
    longest = timedelta(seconds=aspsp.profile.consent_s)
    if valid_until <= call.now:
        raise wrong_parameters("access.valid_until should be in the future")
    if valid_until > call.now + longest:
        raise api_error(
            "WRONG_REQUEST_PARAMETERS", message=_TOO_LONG.format(aspsp.profile.consent_s)
        )
    accounts = asked.get("accounts")
    if accounts is not None and not isinstance(accounts, list):
        raise wrong_parameters("access.accounts: input should be a valid list")
    for one in accounts or []:
        if not isinstance(one, dict) or not (one.get("iban") or one.get("other")):
            raise api_error("INVALID_ACCOUNT_ID")
    granted = {
        "balances": asked.get("balances", True) is not False,
        "transactions": asked.get("transactions", True) is not False,
        "accounts": accounts,
    }
    return granted, valid_until


def _moment(value: object) -> datetime:
    """Read a moment with an offset; a blank between date and time passes, as one client sends."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _bad_moment() from error
    if value is None or moment.tzinfo is None:
        raise _bad_moment()
    return moment


def _bad_moment() -> EnableBankingError:
    return wrong_parameters("access.valid_until: input should have timezone info")


ENDPOINTS: Final = (Endpoint("auth", "POST", "/auth", start_authorization),)
