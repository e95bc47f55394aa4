"""
The switches of the simulated GoCardless under `/_sim/gocardless`.

GET  /requisitions                    all that were not deleted, with the statuses they walked
POST /requisitions/{id}/expire        end the consent now; also by agreement id or reference
POST /requisitions/{id}/suspend       as after too many errors
POST /requisitions/{id}/revoke        the bank refuses although the requisition is LN
POST /requisitions/{id}/withdraw      delete only its agreement
POST /requisitions/{id}/status        {"status": "RJ"} any status of a requisition
POST /accounts/{id}/status            {"status": "ERROR"} any status of an account, null for none
POST /accounts/{id}/failures          {"count": 9} consecutive failed calls so far
GET  /settings, POST /settings        see `state.Settings`
POST /tokens/expire                   {"refresh": false} end all tokens
GET  /log, DELETE /log                every request, `?operation=` for some
GET  /logins                          who can be chosen on the page, with institution ids
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from starlette.routing import Route

from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS, ORDINARY
from bank_pipeline.sandbox.gocardless.quotas import HeaderStyle
from bank_pipeline.sandbox.gocardless.state import (
    STATUSES,
    GoCardlessState,
    LinkedAccount,
    Requisition,
    Settings,
)
from bank_pipeline.sandbox.wing_control import switch_route

_Asked = Mapping[str, Any]
_Switch = Callable[[GoCardlessState, _Asked], Any]


def switch_routes(state: GoCardlessState) -> list[Route]:
    """Return the routes; each answers JSON."""

    def bound(switch: _Switch) -> Callable[[_Asked], Any]:
        def perform(asked: _Asked) -> Any:  # noqa: ANN401 - any JSON value
            with state.lock:
                return switch(state, asked)

        return perform

    return [
        switch_route(method, path, bound(switch)) for (method, path), switch in _SWITCHES.items()
    ]


def _requisition(state: GoCardlessState, asked: _Asked) -> Requisition:
    wanted = str(asked["id"])
    for one in state.living():
        if wanted in (one.id, one.agreement_id, one.reference):
            return one
    raise KeyError(wanted)


def _account(state: GoCardlessState, asked: _Asked) -> LinkedAccount:
    account = state.account(str(asked["id"]))
    if account is None:
        raise KeyError(asked["id"])
    return account


def _told(state: GoCardlessState, requisition: Requisition) -> dict[str, Any]:
    now = state.clock.now()
    return {
        "id": requisition.id,
        "agreement": requisition.agreement_id,
        "reference": requisition.reference,
        "institution_id": requisition.institution_id,
        "login_id": requisition.login_id,
        "status": state.status_of(requisition, now),
        "walked": list(requisition.walked),
        "accounts": [
            {
                "id": one.id,
                "world_account_id": one.world_account_id,
                "status": state.account_status(one, now),
                "failures": one.failures,
            }
            for one in requisition.accounts
        ],
    }


def _list(state: GoCardlessState, _: _Asked) -> dict[str, Any]:
    return {"requisitions": [_told(state, one) for one in state.living()]}


def _expire(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    requisition = _requisition(state, asked)
    state.agreements[requisition.agreement_id].ended_at = state.clock.now()
    return _told(state, requisition)


def _suspend(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    requisition = _requisition(state, asked)
    requisition.suspended_at = state.clock.now()
    return _told(state, requisition)


def _revoke(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    requisition = _requisition(state, asked)
    requisition.revoked_at = state.clock.now()
    return _told(state, requisition)


def _withdraw(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    requisition = _requisition(state, asked)
    state.agreements[requisition.agreement_id].deleted_at = state.clock.now()
    return _told(state, requisition)


def _walk(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    status = str(asked["status"])
    if status not in STATUSES:
        raise ValueError(f"no status {status}")
    requisition = _requisition(state, asked)
    requisition.walk(status)
    return _told(state, requisition)


def _force(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    account = _account(state, asked)
    status = asked["status"]
    account.forced = None if status is None else str(status)
    return {"status": state.account_status(account, state.clock.now())}


def _fail(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    account = _account(state, asked)
    account.failures = int(asked["count"])
    return {"failures": account.failures}


def _read_settings(state: GoCardlessState, _: _Asked) -> dict[str, Any]:
    return {
        name: value
        for name, value in asdict(state.settings).items()
        if not name.startswith("secret_")
    }


def _change_settings(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    known = {one.name for one in fields(Settings)}
    if unknown := sorted(set(asked) - known):
        raise ValueError(f"unknown setting: {', '.join(unknown)}")
    for name, value in asked.items():
        setattr(state.settings, name, HeaderStyle(value) if name == "header_style" else value)
    return _read_settings(state, {})


def _expire_tokens(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    return {"expired": state.tokens.expire(refresh=bool(asked.get("refresh", False)))}


def _read_log(state: GoCardlessState, asked: _Asked) -> dict[str, Any]:
    return {"requests": state.log.to_json(asked.get("operation"))}


def _clear_log(state: GoCardlessState, _: _Asked) -> dict[str, Any]:
    state.log.clear()
    return {"requests": []}


def _list_logins(state: GoCardlessState, _: _Asked) -> dict[str, Any]:
    world = state.world
    return {
        "logins": [
            {
                "login_id": login.id,
                "person_name": login.person_name,
                "bank_id": login.bank_id,
                "institution_id": ORDINARY.get(login.bank_id),
                "institution_ids": [
                    one.id for one in INSTITUTIONS.values() if one.bank_id == login.bank_id
                ],
                "accounts": list(login.account_ids),
            }
            for login in world.logins.values()
        ]
    }


_SWITCHES: Final[Mapping[tuple[str, str], _Switch]] = {
    ("GET", "/requisitions"): _list,
    ("POST", "/requisitions/{id}/expire"): _expire,
    ("POST", "/requisitions/{id}/suspend"): _suspend,
    ("POST", "/requisitions/{id}/revoke"): _revoke,
    ("POST", "/requisitions/{id}/withdraw"): _withdraw,
    ("POST", "/requisitions/{id}/status"): _walk,
    ("POST", "/accounts/{id}/status"): _force,
    ("POST", "/accounts/{id}/failures"): _fail,
    ("GET", "/settings"): _read_settings,
    ("POST", "/settings"): _change_settings,
    ("POST", "/tokens/expire"): _expire_tokens,
    ("GET", "/log"): _read_log,
    ("DELETE", "/log"): _clear_log,
    ("GET", "/logins"): _list_logins,
}
