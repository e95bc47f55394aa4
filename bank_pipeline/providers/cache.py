"""A cache for what providers say slowly and rarely change. It never decides; it only spares."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from dogpile.cache import make_region
from dogpile.cache.region import CacheRegion

from bank_pipeline.config import Settings
from bank_pipeline.errors import BankPipelineError

INSTITUTION_TTL_S: Final = 24 * 3600

_log: Final = logging.getLogger(__name__)


class Cache:
    """
    Get-or-create with a lock, so that many who miss at once make one call.

    Values are JSON. Shared by processes (a file, or Redis by URL). Fails open: a broken
    cache costs a call, never an answer. Connection status, transactions and anything
    secret do not belong here.
    """

    def __init__(self, region: CacheRegion) -> None:
        self._region = region

    def get_or_create(
        self, key: str, create: Callable[[], dict[str, Any]], *, ttl_s: int
    ) -> dict[str, Any]:
        """Return the value under `key`, made by `create` when absent or older than `ttl_s`."""
        failed: list[BankPipelineError] = []

        def create_text() -> str:
            try:
                return json.dumps(create())
            except BankPipelineError as error:
                failed.append(error)
                raise

        try:
            text = self._region.get_or_create(key, create_text, expiration_time=ttl_s)
            value: dict[str, Any] = json.loads(text)
        except Exception as error:
            if failed:
                raise
            _log.warning("cache unusable (%s): going on without it", type(error).__name__)
            return create()
        return value


def build_cache(settings: Settings) -> Cache:
    """Build the cache that the settings name. Touches no file or network until first use."""
    if settings.redis_url is not None:
        return Cache(
            make_region().configure(
                "dogpile.cache.redis",
                arguments={
                    "url": settings.redis_url.get_secret_value(),
                    "distributed_lock": True,
                    "thread_local_lock": False,
                },
            )
        )
    return build_file_cache(settings.state_dir / "cache")


def build_file_cache(folder: Path) -> Cache:
    """Build a cache in one file of `folder`, shared by the processes of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    return Cache(
        make_region().configure(
            "dogpile.cache.dbm", arguments={"filename": str(folder / "cache.dbm")}
        )
    )
