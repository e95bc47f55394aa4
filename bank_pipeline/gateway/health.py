"""
`/live` and `/ready`: for whoever decides whether this process is restarted, and gets requests.

Anybody may ask, so the answers hold states alone: no host, no version, no error's words.
"""

import asyncio
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bank_pipeline.bootstrap import Services
from bank_pipeline.domain.connection import Provider
from bank_pipeline.gateway.refreshed import Refreshed
from bank_pipeline.storage.engine import build_watcher
from bank_pipeline.storage.health import Readiness, load_readiness

READY_S_MAX: Final = 1.5  # who asks gives up after a second or two; so do we
UNKNOWN: Final = "unknown"
_FRESH_S: Final = 1.0  # however often anybody asks, the database is asked once a second
_NO_STORE: Final = {"Cache-Control": "no-store"}


def health_routes(services: Services) -> list[Route]:
    """
    Return the two routes.

    Not ready is only who cannot do its work: without the database no webhook can be stored and
    no row read. The rest is named, and answered 200: to take a gateway out of service because
    a provider is paused would turn the other providers' webhooks away.
    """
    load = partial(load_readiness, build_watcher(services.sync.engine), services.sync.vault)
    database = Refreshed("database", load, fresh_s=_FRESH_S)
    has_redis = services.settings.redis_url is not None  # else it is a file of this machine
    load_cache = services.sync.cache.is_reachable if has_redis else lambda: None
    cache = Refreshed("cache", load_cache, fresh_s=_FRESH_S)

    async def ready(_: Request) -> Response:
        found, has_cache = await asyncio.gather(
            database.get(wait_s=READY_S_MAX), cache.get(wait_s=READY_S_MAX)
        )
        said = {
            "status": "ready" if found else "not ready",
            "database": "reachable" if found else "unreachable",
            **({"schema": found.schema or UNKNOWN, "encryption_key": _key(found)} if found else {}),
            "providers": _providers(services, found),
        }
        if has_redis:
            said["cache"] = "reachable" if has_cache else "unreachable"
        return JSONResponse(said, status_code=200 if found else 503, headers=_NO_STORE)

    return [Route("/live", _live, methods=["GET"]), Route("/ready", ready, methods=["GET"])]


async def _live(_: Request) -> Response:
    """Answer, without looking at anything: a restart mends no database."""
    return JSONResponse({"status": "alive"}, headers=_NO_STORE)


def _key(found: Readiness) -> str:
    if found.opens_credentials is None:
        return UNKNOWN
    return "opens credentials" if found.opens_credentials else "does not open credentials"


def _providers(services: Services, found: Readiness | None) -> dict[str, str]:
    """Say which providers are on; paused: they refuse our keys, and their syncs are put off."""
    paused = (found.paused if found else None) or frozenset()
    return {
        one.value: "off" if one not in services.sync.providers
        else "paused" if one in paused
        else "on"
        for one in Provider
    }  # fmt: skip
