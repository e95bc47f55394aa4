"""The company's way in: tokens for its secret, and new ones for old."""

from typing import Final

from bank_pipeline.sandbox.gocardless.call import Call, Endpoint
from bank_pipeline.sandbox.gocardless.errors import field_errors, gc_error
from bank_pipeline.sandbox.gocardless.state import Reply

_REQUIRED: Final = "This field is required."


def _require(call: Call, *names: str) -> None:
    missing = [name for name in names if not call.body.get(name)]
    if missing:
        raise field_errors(400, {name: [_REQUIRED] for name in missing})


def _new(call: Call) -> Reply:
    _require(call, "secret_id", "secret_key")
    settings, options = call.state.settings, call.state.options
    given = (call.body["secret_id"], call.body["secret_key"])
    if given != (settings.secret_id, settings.secret_key):
        raise gc_error("authentication_failed")
    mint, tokens = call.state.mint, call.state.tokens
    owner = settings.secret_id
    return Reply(
        {
            "access": tokens.issue(
                "access", options.access, call.now, jti=mint.uuid(), owner=owner
            ),
            "access_expires": int(options.access.total_seconds()),
            "refresh": tokens.issue(
                "refresh", options.refresh, call.now, jti=mint.uuid(), owner=owner
            ),
            "refresh_expires": int(options.refresh.total_seconds()),
        }
    )


def _refresh(call: Call) -> Reply:
    _require(call, "refresh")
    state, life = call.state, call.state.options.access
    if not state.tokens.is_valid(str(call.body["refresh"]), "refresh", call.now):
        raise gc_error("invalid_token")
    owner = state.settings.secret_id
    access = state.tokens.issue("access", life, call.now, jti=state.mint.uuid(), owner=owner)
    return Reply({"access": access, "access_expires": int(life.total_seconds())})


ENDPOINTS: Final = {
    ("POST", "token/new"): Endpoint(
        "token_new",
        "token_new",
        _new,
        fields=frozenset({"secret_id", "secret_key"}),
        is_open=True,
    ),
    ("POST", "token/refresh"): Endpoint(
        "token_refresh", "token_refresh", _refresh, fields=frozenset({"refresh"}), is_open=True
    ),
}
