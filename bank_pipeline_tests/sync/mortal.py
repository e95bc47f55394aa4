"""
A process that works until it is killed: `python -m bank_pipeline_tests.sync.mortal`.

Reads orders from standard input, a JSON object per line. For each it forks a child with
everything imported, lets it work and kill itself at the given point, and says how it went.
"""

import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bank_pipeline.config import Settings
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.providers.base import ProviderClient
from bank_pipeline.providers.cache import Cache, build_file_cache
from bank_pipeline.providers.enable_banking.provider import build_enable_banking
from bank_pipeline.providers.gocardless.provider import build_gocardless
from bank_pipeline.providers.plaid import sdk
from bank_pipeline.providers.retry import Retry
from bank_pipeline.simulation.points import die_at
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.seals import VaultSeal
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.delivering import deliver_notices
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.erasing import erase_team
from bank_pipeline.sync.link import accept_return, complete_link
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.sync.ground import build_provider

NAME: Final = "mortal"
"""What the child's sessions are called on the server."""

PRELOADED: Final = sdk.PlaidSdk  # importing it costs 0.2 s, which no child should pay
KEY: Final = bytes(range(32))


def main() -> None:
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os._exit(_live(json.loads(line), writing))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            told = pipe.read().splitlines()
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = {"was_killed": was_killed, "status": status, "points": told}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _live(order: dict[str, Any], told: int) -> int:
    try:
        die_at(order["point"], tell=lambda name: _write(told, name))
        context = _build_context(order)
        if "session_id" in order:
            complete_link(context, LinkSessionId(order["session_id"]))
        elif "returned" in order:
            accept_return(context, Provider(order["provider"]), order["returned"])
        elif order["act"] == "disconnect":
            disconnect(context, ConnectionId(order["connection_id"]))
        elif order["act"] == "erase":
            erase_team(context, order["team"], forget=lambda _: True)
        elif order["act"] == "deliver":
            deliver_notices(context, renewal_url=None)
        else:
            connection_id = ConnectionId(order["connection_id"])
            reason = SyncReason(order.get("reason", SyncReason.MANUAL))
            sync_connection(context, SyncRequest(connection_id, reason))
    except BaseException as error:  # noqa: BLE001 - the parent has to know of all
        _write(told, f"{type(error).__name__}: {error}")
        return 1
    return 0


def _write(told: int, line: str) -> None:
    os.write(told, f"{line}\n".encode())


def _build_context(order: dict[str, Any]) -> SyncContext:
    now = datetime.fromisoformat(order["now"])
    vault = Vault([KEY])
    cache = build_file_cache(Path(order["cache_dir"]), seal=VaultSeal(vault))
    provider = Provider(order.get("provider", Provider.PLAID))
    return SyncContext(
        engine=build_engine(order["database_url"], application_name=NAME),
        providers={provider: _build_provider(provider, order, cache)},
        vault=vault,
        clock=lambda: now,
        cache=cache,
    )


def _build_provider(provider: Provider, order: dict[str, Any], cache: Cache) -> ProviderClient:
    if provider is Provider.PLAID:
        return build_provider(order["sandbox_url"], Retry(1))
    settings = Settings.model_validate(order["settings"])
    if provider is Provider.GOCARDLESS:
        return build_gocardless(settings, cache, retry=Retry(1))
    return build_enable_banking(settings, cache, retry=Retry(1))


if __name__ == "__main__":
    main()
