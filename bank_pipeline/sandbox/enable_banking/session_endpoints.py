"""Sessions: a code becomes one, it is looked at, and it is deleted."""

from collections.abc import Sequence
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.account_json import (
    account_id,
    account_json,
    identification_hashes,
)
from bank_pipeline.sandbox.enable_banking.errors import api_error, wrong_parameters
from bank_pipeline.sandbox.enable_banking.quota import is_attended
from bank_pipeline.sandbox.enable_banking.sessions import Grant, Session, SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint, State
from bank_pipeline.sandbox.ledger import BankAccount
from bank_pipeline.sandbox.wire import moment_text

Json = dict[str, Any]


def authorize(call: Call) -> Json:
    """Exchange a code, once. The only answer that tells the accounts in full."""
    code = call.body.get("code") if isinstance(call.body, dict) else None
    if not isinstance(code, str):
        raise wrong_parameters("code: field required")
    session = call.wing.sessions.by_code(call.application_id, code)
    if session.authorized_at is not None:
        raise api_error("ALREADY_AUTHORIZED")
    if session.status is not SessionStatus.RETURNED_FROM_BANK:
        raise api_error("WRONG_SESSION_STATUS")
    assert session.code_at is not None, "a code has a time"
    if call.now > session.code_at + call.wing.options.code_ttl:
        raise api_error("EXPIRED_AUTHORIZATION_CODE")
    accounts = _shown_accounts(call, session)
    session.status = SessionStatus.AUTHORIZED
    session.authorized_at = call.now
    last_without_uid = session.aspsp.profile.last_without_uid
    session.grant([one.id for one in accounts], last_without_uid=last_without_uid)
    call.wing.sessions.index(session)
    return {
        "session_id": session.session_id,
        "accounts": [describe(call.wing, session, grant) for grant in session.grants],
        "aspsp": _aspsp(session),
        "psu_type": session.psu_type,
        "access": _access(session),
    }


def read_session(call: Call) -> Json:
    """Tell how a session stands: uids and hashes, no names and no numbers."""
    session = call.wing.sessions.session(call.application_id, call.path["session_id"])
    grants = [(one, one.uid) for one in session.grants if one.uid is not None]
    ended = session.ended_at
    return {
        "status": session.status_at(call.now).value,
        "accounts": [uid for _, uid in grants],
        "accounts_data": [_session_account(call.wing, session, one, uid) for one, uid in grants],
        "aspsp": _aspsp(session),
        "psu_type": session.psu_type,
        "psu_id_hash": session.psu_id_hash,
        "access": _access(session),
        "created": moment_text(session.created_at),
        "authorized": None if session.authorized_at is None else moment_text(session.authorized_at),
        "closed": moment_text(ended)
        if ended is not None and session.status is SessionStatus.CLOSED
        else None,
    }


def delete_session(call: Call) -> Json:
    """Close a session, and the consent at the bank with it."""
    session = call.wing.sessions.session(call.application_id, call.path["session_id"])
    is_attended(session.aspsp.profile, call.headers)
    if session.status is SessionStatus.CLOSED:
        raise api_error("CLOSED_SESSION")
    session.end(SessionStatus.CLOSED, call.now)
    return {"message": "OK"}


def describe(state: State, session: Session, grant: Grant) -> Json:
    """Return an account of a session in full."""
    account = state.world.accounts[grant.world_account_id]
    holder = state.world.logins[account.login_id].person_name
    return account_json(account, session.aspsp, seed=state.seed, holder=holder, uid=grant.uid)


def _shown_accounts(call: Call, session: Session) -> Sequence[BankAccount]:
    """Return what the bank shows, narrowed by customer, request and restricted application."""
    world, seed = call.wing.world, call.wing.seed
    wanted = session.access["accounts"]
    numbers = [
        one.get("iban") or (one["other"] or {}).get("identification") for one in wanted or []
    ]

    def is_wanted(one: BankAccount) -> bool:
        told = account_id(one, seed)
        number = told["iban"] or told["other"]["identification"]
        return (session.chosen is None or one.id in session.chosen) and (
            wanted is None or number in numbers
        )

    shown = [one for one in world.login_accounts(session.login_id) if is_wanted(one)]
    if call.application.setting.restricted:
        shown = [one for one in shown if one.id in call.application.linked_account_ids]
        if not shown:
            raise api_error("NO_ACCOUNTS_ADDED")
    return shown


def _session_account(state: State, session: Session, grant: Grant, uid: str) -> Json:
    account = state.world.accounts[grant.world_account_id]
    hashes = identification_hashes(account, session.aspsp.profile, state.seed)
    return {"uid": uid, "identification_hash": hashes[0], "identification_hashes": hashes}


def _aspsp(session: Session) -> Json:
    return {"name": session.aspsp.name, "country": session.aspsp.country}


def _access(session: Session) -> Json:
    return {"valid_until": moment_text(session.valid_until), **session.access}


ENDPOINTS: Final = (
    Endpoint("sessions", "POST", "/sessions", authorize),
    Endpoint("session", "GET", "/sessions/{session_id}", read_session),
    Endpoint("session_delete", "DELETE", "/sessions/{session_id}", delete_session),
)
