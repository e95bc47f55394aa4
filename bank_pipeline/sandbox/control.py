"""
The sandbox's own switches under `/_sim/`: time, faults, truth and what was called.

No part of any provider's API, and without credentials: it listens on loopback only.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bank_pipeline.sandbox.plaid.errors import ERROR_CODES, PlaidError
from bank_pipeline.sandbox.plaid.items import Item
from bank_pipeline.sandbox.plaid.simulator import FLUSH_S, Plaid
from bank_pipeline.sandbox.plaid.truth import truth_of, truths
from bank_pipeline.sandbox.wing import Wing
from bank_pipeline.sandbox.wire import dumps, loads, moment_text

_Switch = Callable[[Plaid, Mapping[str, Any]], Any]
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404


def control_routes(plaid: Plaid, wings: Sequence[Wing]) -> list[Route]:
    """Return the routes of the control API; each takes a query or a JSON body, and answers JSON."""

    def advance(_: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Let time pass; return when all webhooks that became due were tried once."""
        _settle_all(plaid, wings)  # what is due already is tried before time passes
        plaid.clock.advance(timedelta(seconds=float(asked["seconds"])))
        return {**_read_clock(plaid, {}), "settled": _settle_all(plaid, wings)}

    switches = {**_SWITCHES, ("POST", "/_sim/clock/advance"): advance}
    return [
        Route(path, _endpoint(plaid, switch), methods=[method])
        for (method, path), switch in switches.items()
    ]


def _settle_all(plaid: Plaid, wings: Sequence[Wing]) -> bool:
    return all([plaid.settle(), *(wing.settle() for wing in wings)])


def _endpoint(plaid: Plaid, switch: _Switch) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        raw = await request.body()
        asked = {**request.query_params, **request.path_params}
        return await run_in_threadpool(_perform, plaid, switch, asked, raw)

    return answer


def _perform(plaid: Plaid, switch: _Switch, asked: Mapping[str, Any], raw: bytes) -> Response:
    try:
        answer = switch(plaid, {**asked, **(loads(raw) if raw else {})})
    except PlaidError:
        return _json({"error": "no such thing"}, _NOT_FOUND)
    except (ValueError, KeyError, TypeError) as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, _BAD_REQUEST)
    return _json(answer, 200)


def _json(body: object, status: int) -> Response:
    return Response(dumps(body), status, media_type="application/json")


def _read_clock(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"now": moment_text(plaid.clock.now()), "running": plaid.clock.running}


def _list_faults(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    injected = [
        {"operation": one.operation, "subject": one.subject, "fault": one.fault.to_json()}
        for one in plaid.faults.injected()
    ]
    return {"pending": plaid.faults.to_json(), "injected": injected}


def _add_fault(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    return plaid.faults.add_json(asked).to_json()


def _clear_faults(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    plaid.faults.clear()
    return {"pending": []}


def _read_truth(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    with plaid.lock:
        if "item_id" in asked:
            return truth_of(plaid, plaid.item(str(asked["item_id"])))
        return {"items": truths(plaid)}


def _list_items(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    with plaid.lock:
        return {"items": plaid.items.to_json()}


def _list_webhooks(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"webhooks": [one.to_json() for one in plaid.webhooks.log()]}


def _flush(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"settled": plaid.settle()}


def _list_calls(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    with plaid.lock:
        counted = sorted(plaid.calls.items())
    return {
        "calls": [
            {"operation": operation, "item_id": item_id or None, "count": count}
            for (operation, item_id), count in counted
        ]
    }


def _list_logins(plaid: Plaid, _: Mapping[str, Any]) -> dict[str, Any]:
    accounts = plaid.world.accounts
    return {
        "logins": [
            {
                "login_id": login.id,
                "person_name": login.person_name,
                "username": login.username,
                "bank": plaid.world.banks[login.bank_id].name,
                "country": plaid.world.banks[login.bank_id].country,
                "institution_id": plaid.institution_id_of(login.bank_id),
                "accounts": [
                    {"id": one, "name": accounts[one].name, "kind": accounts[one].kind.value}
                    for one in login.account_ids
                ],
            }
            for login in plaid.world.logins.values()
        ]
    }


def _break(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Put an Item into an error: `code`, `reason`, and `webhook` false for a silent one."""
    code = str(asked.get("code", "ITEM_LOGIN_REQUIRED"))
    if code not in ERROR_CODES:
        raise ValueError(f"undocumented code {code}")
    with plaid.lock:
        item, now = _item(plaid, asked), plaid.clock.now()
        tell = bool(asked.get("webhook", True))
        plaid.announcer.break_item(item, code, now, reason=asked.get("reason"), tell=tell)
    return _flush(plaid, {})


def _repair(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Heal an Item elsewhere; `webhook` false does so in silence."""
    with plaid.lock:
        tell = bool(asked.get("webhook", True))
        plaid.announcer.repair(_item(plaid, asked), plaid.clock.now(), tell=tell)
    return _flush(plaid, {})


def _churn(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Replace an account of an Item by itself under a new id."""
    with plaid.lock:
        item = _item(plaid, asked)
        grant = plaid.items.churn(item, str(asked["account_id"]), plaid.clock.now())
    return {**_flush(plaid, {}), "account_id": grant.account_id}


def _rotate_key(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Sign webhooks with a new key; `expire_old` false lets the old ones live on."""
    expire_old = bool(asked.get("expire_old", True))
    plaid.keys.rotate(plaid.mint.uuid(), plaid.clock.now(), expire_old=expire_old)
    return {}


def _scale_limits(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Multiply all rate limits by `scale`; null switches them off."""
    scale = asked["scale"]
    plaid.limits.scale = None if scale is None else float(scale)
    return {"scale": scale}


def _post_webhook(plaid: Plaid, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Send any text anywhere as a webhook, `copies` times.

    `headers` replaces the signature: a forged one, or none at all.
    """
    for _ in range(int(asked.get("copies", 1))):
        plaid.webhooks.post(
            str(asked["url"]),
            code=str(asked.get("code", "CUSTOM")),
            item_id=None,
            body=str(asked["body"]),
            headers=asked.get("headers"),
        )
    return {"settled": plaid.webhooks.flush(FLUSH_S)}


def _item(plaid: Plaid, asked: Mapping[str, Any]) -> Item:
    return plaid.item(str(asked["item_id"]))


_SWITCHES: Final[Mapping[tuple[str, str], _Switch]] = {
    ("GET", "/_sim/clock"): _read_clock,
    ("GET", "/_sim/faults"): _list_faults,
    ("POST", "/_sim/faults"): _add_fault,
    ("DELETE", "/_sim/faults"): _clear_faults,
    ("GET", "/_sim/truth"): _read_truth,
    ("GET", "/_sim/items"): _list_items,
    ("POST", "/_sim/items/{item_id}/break"): _break,
    ("POST", "/_sim/items/{item_id}/repair"): _repair,
    ("POST", "/_sim/items/{item_id}/churn"): _churn,
    ("GET", "/_sim/webhooks"): _list_webhooks,
    ("POST", "/_sim/webhooks"): _post_webhook,
    ("POST", "/_sim/webhooks/flush"): _flush,
    ("POST", "/_sim/keys/rotate"): _rotate_key,
    ("POST", "/_sim/limits"): _scale_limits,
    ("GET", "/_sim/calls"): _list_calls,
    ("GET", "/_sim/logins"): _list_logins,
}
