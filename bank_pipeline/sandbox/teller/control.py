"""
The switches under `/_sim/teller`: connecting, breaking and repairing, and what was asked.

`POST connect` takes `login`, `account` (a list of the world's ids, or null for all), `nonce`
and, for a repair, `enrollment_id`; it answers what `onSuccess` gets. `disconnect` takes the
`suffix` of the error and `webhook` false for a silent one. `POST webhooks` sends a `type` with
its `payload`, or any `body` with the `headers` given instead of the signature, `copies` times.
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
        *_webhook_switches(teller),
    ]


def _webhook_switches(teller: TellerState) -> list[Route]:
    def aim(asked: _Asked) -> dict[str, Any]:
        url = asked.get("url")
        teller.aim(None if url is None else str(url))
        return {"url": url}

    def exchange_secrets(asked: _Asked) -> dict[str, Any]:
        secrets = asked["secrets"]
        if not isinstance(secrets, list) or not all(isinstance(one, str) for one in secrets):
            raise TypeError("`secrets` is a list of texts")
        teller.secrets = tuple(secrets)
        return {"count": len(secrets)}

    def list_webhooks(_: _Asked) -> dict[str, Any]:
        return {"webhooks": [one.to_json() for one in teller.webhooks.log()]}

    def post(asked: _Asked) -> dict[str, Any]:
        for _ in range(int(asked.get("copies", 1))):
            teller.post_webhook(asked)
        return {"settled": teller.settle()}

    def read_application(_: _Asked) -> dict[str, Any]:
        return {
            "application_id": teller.options.application_id,
            "environment": teller.options.environment,
            "token_signing_key": teller.signer.public_key,
            "signing_secrets": list(teller.secrets),
            "webhook_url": teller.announcer.url,
        }

    return [
        switch_route("POST", "/webhook_url", aim),
        switch_route("POST", "/secrets", exchange_secrets),
        switch_route("GET", "/webhooks", list_webhooks),
        switch_route("POST", "/webhooks", post),
        switch_route("GET", "/application", read_application),
    ]
