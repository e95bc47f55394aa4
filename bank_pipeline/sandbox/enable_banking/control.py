"""
The switches of the simulated Enable Banking, under `/_sim/enable_banking`.

They stand for what happens elsewhere: in the control panel, at a bank, in a customer's head.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.routing import Route

from bank_pipeline.sandbox.enable_banking.options import REAL_CLOCK, VIRTUAL_CLOCK
from bank_pipeline.sandbox.enable_banking.sessions import SessionStatus
from bank_pipeline.sandbox.enable_banking.simulator import Registered, State
from bank_pipeline.sandbox.wing_control import switch_route

Asked = Mapping[str, Any]


def control_routes(state: State) -> list[Route]:
    """Return the switches; each takes a query or a JSON body, and answers JSON."""
    switches = {
        ("GET", "/application"): _read_application,
        ("POST", "/applications/{application_id}"): _change_application,
        ("POST", "/redirect_urls"): _add_redirect_url,
        ("GET", "/aspsps"): _list_aspsps,
        ("POST", "/aspsps/rename"): _rename_aspsp,
        ("GET", "/sessions"): _list_sessions,
        ("POST", "/sessions/{session_id}/status"): _set_status,
        ("GET", "/requests"): _list_requests,
        ("DELETE", "/requests"): _forget_requests,
        ("POST", "/jwt"): _change_jwt,
        ("POST", "/quota"): _change_quota,
        ("POST", "/page_size"): _change_page_size,
    }

    def bound(switch: Any) -> Any:  # noqa: ANN401 - one of the functions below
        def perform(asked: Asked) -> Any:  # noqa: ANN401 - any JSON value
            with state.lock:
                return switch(state, asked)

        return perform

    return [switch_route(method, path, bound(one)) for (method, path), one in switches.items()]


def _read_application(state: State, asked: Asked) -> dict[str, Any]:
    """Tell what a client must be given: `application_id`, and the key it signs with."""
    one = _application(state, asked)
    return {
        "application_id": one.setting.application_id,
        "private_key_pem": state.private_key_pem,
        "environment": one.setting.environment,
        "redirect_urls": list(one.redirect_urls),
        "applications": [
            {
                "application_id": each.setting.application_id,
                "name": each.setting.name,
                "environment": each.setting.environment,
                "active": each.active,
                "restricted": each.setting.restricted,
            }
            for each in state.applications.values()
        ],
    }


def _change_application(state: State, asked: Asked) -> dict[str, Any]:
    """Make an application active or not, or link the world's accounts to a restricted one."""
    one = _application(state, asked)
    if "active" in asked:
        one.active = bool(asked["active"])
    if "linked_account_ids" in asked:
        one.linked_account_ids = set(asked["linked_account_ids"])
    return {"active": one.active, "linked_account_ids": sorted(one.linked_account_ids)}


def _add_redirect_url(state: State, asked: Asked) -> dict[str, Any]:
    """Allow another `url` to return to."""
    one = _application(state, asked)
    if asked["url"] not in one.redirect_urls:
        one.redirect_urls.append(str(asked["url"]))
    return {"redirect_urls": list(one.redirect_urls)}


def _list_aspsps(state: State, _: Asked) -> dict[str, Any]:
    plain = type(state.aspsps[0].profile)()
    return {
        "aspsps": [
            {
                "name": one.name,
                "country": one.country,
                "bank_id": one.bank_id,
                "profile": {
                    name: value
                    for name, value in vars(one.profile).items()
                    if value != getattr(plain, name)
                },
            }
            for one in state.aspsps
        ]
    }


def _rename_aspsp(state: State, asked: Asked) -> dict[str, Any]:
    """Give a bank (`name`, `country`) a `new_name`; its sessions go on."""
    key = (asked["name"], asked["country"])
    place = next((n for n, one in enumerate(state.aspsps) if one.key == key), None)
    if place is None:
        raise LookupError(key)
    state.aspsps[place] = replace(state.aspsps[place], name=str(asked["new_name"]))
    return {"name": state.aspsps[place].name}


def _list_sessions(state: State, _: Asked) -> dict[str, Any]:
    now = state.clock.now()
    return {
        "sessions": [
            {
                "session_id": one.session_id,
                "authorization_id": one.authorization_id,
                "application_id": one.application_id,
                "aspsp": {"name": one.aspsp.name, "country": one.aspsp.country},
                "login_id": one.login_id or None,
                "status": one.status_at(now).value,
                "accounts": [
                    {"uid": grant.uid, "world_account_id": grant.world_account_id}
                    for grant in one.grants
                ],
            }
            for one in state.sessions
        ]
    }


def _set_status(state: State, asked: Asked) -> dict[str, Any]:
    """Let a consent be REVOKED, EXPIRED and so on, or AUTHORIZED again."""
    session = state.sessions.find(str(asked["session_id"]))
    session.end(SessionStatus(asked["status"]), state.clock.now())
    return {"status": session.status_at(state.clock.now()).value}


def _list_requests(state: State, _: Asked) -> dict[str, Any]:
    return {"requests": list(state.requests)}


def _forget_requests(state: State, _: Asked) -> dict[str, Any]:
    state.requests.clear()
    return {"requests": []}


def _change_jwt(state: State, asked: Asked) -> dict[str, Any]:
    """Time tokens by the `clock` real or virtual; be `lenient` about their alphabet."""
    clock = asked.get("clock", state.gate.clock)
    if clock not in (REAL_CLOCK, VIRTUAL_CLOCK):
        raise ValueError(f"no such clock: {clock}")
    state.gate.clock = clock
    state.gate.lenient = bool(asked.get("lenient", state.gate.lenient))
    return {"clock": state.gate.clock, "lenient": state.gate.lenient}


def _change_quota(state: State, asked: Asked) -> dict[str, Any]:
    """Allow `per_day` unattended accesses, null for any number; forget what was used."""
    per_day = asked["per_day"]
    state.quota.per_day = None if per_day is None else int(per_day)
    state.quota.reset()
    return {"per_day": state.quota.per_day}


def _change_page_size(state: State, asked: Asked) -> dict[str, Any]:
    """Put so many rows on a page at every bank; null for each bank's own number."""
    size = asked["page_size"]
    state.page_size = None if size is None else int(size)
    return {"page_size": state.page_size}


def _application(state: State, asked: Asked) -> Registered:
    usual = state.options.applications[0].application_id
    return state.application(str(asked.get("application_id", usual)))
