"""
The switches under `/_sim/teller`: connecting, breaking and repairing, and what was asked.

`connect` takes `login`, `account` (a list of the world's ids, or null for all), `nonce` and,
for a repair, `enrollment_id`; it answers what `onSuccess` gets.
"""

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from bank_pipeline.sandbox.teller.connect import Choice, connect
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.wing_control import switch_route

_Asked = Mapping[str, Any]


def teller_switches(teller: TellerState) -> list[Route]:
    """Return the routes of the switches."""

    def link(asked: _Asked) -> dict[str, Any]:
        choice = Choice(
            login_id=asked.get("login"),
            accounts=asked.get("account"),
            enrollment_id=asked.get("enrollment_id"),
            nonce=asked.get("nonce"),
        )
        return connect(teller, choice)

    def list_requests(_: _Asked) -> dict[str, Any]:
        with teller.lock:
            return {"requests": list(teller.requests)}

    def list_enrollments(_: _Asked) -> dict[str, Any]:
        with teller.lock:
            return {"enrollments": [one.to_json() for one in teller.enrollments]}

    def disconnect(asked: _Asked) -> dict[str, Any]:
        with teller.lock:
            enrollment = teller.enrollments.get(asked["enrollment_id"])
            tell = bool(asked.get("webhook", True))
            teller.disconnect(enrollment, str(asked.get("suffix", "")), tell=tell)
        return {"settled": teller.settle()}

    def repair(asked: _Asked) -> dict[str, Any]:
        return link({"enrollment_id": asked["enrollment_id"]})

    def verify(asked: _Asked) -> dict[str, Any]:
        with teller.lock:
            teller.verify(str(asked["account_id"]), asked["status"])
        return {"settled": teller.settle()}

    return [
        switch_route("POST", "/connect", link),
        switch_route("GET", "/requests", list_requests),
        switch_route("GET", "/enrollments", list_enrollments),
        switch_route("POST", "/enrollments/{enrollment_id}/disconnect", disconnect),
        switch_route("POST", "/enrollments/{enrollment_id}/repair", repair),
        switch_route("POST", "/accounts/{account_id}/verification", verify),
    ]
