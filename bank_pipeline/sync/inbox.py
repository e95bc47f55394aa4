"""
The inbox as many senders fill it at once: events that come together are committed together.

Each commit waits for the disk, and those that wake the sensor wait for each other: one by one
they would be as slow as the disk is.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import StorageError
from bank_pipeline.providers.base import ProviderEvent
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.webhooks import store_event, store_plain_events, touches_connection


@dataclass
class _Coming:
    event: ProviderEvent
    now: datetime
    is_taken: bool = False
    is_stored: bool = False


class Inbox:
    """Takes webhooks. Safe to share between threads, which is what it is for."""

    def __init__(self, context: SyncContext) -> None:
        self._context = context
        self._coming: list[_Coming] = []
        self._list = threading.Lock()
        self._turn = threading.Lock()

    def accept(self, provider: Provider, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """
        Verify one webhook and store it; once this returns, it may be acknowledged.

        What touches a connection is stored alone: it may have to wait for a sync.

        Raises:
            WebhookRejectedError: it cannot be trusted; nothing was stored.
            ProviderError: the provider could not be asked for its key; let it deliver again.
            StorageError: the database did not take it; let it deliver again.
        """
        now = self._context.clock()
        event = self._context.provider(provider).verify_webhook(headers, body, now=now)
        if touches_connection(event):
            store_event(self._context, event, now=now)
        else:
            self._store_together(_Coming(event, now))
        return event

    def _store_together(self, mine: _Coming) -> None:
        """Wait for the turn; whoever had it before may have taken ours along with theirs."""
        with self._list:
            self._coming.append(mine)
        with self._turn:
            if not mine.is_taken:
                self._store_all()
        if not mine.is_stored:
            raise StorageError("the webhook was not stored, and none that came with it")

    def _store_all(self) -> None:
        with self._list:
            together, self._coming = self._coming, []
        for one in together:
            one.is_taken = True
        events = [one.event for one in together]
        store_plain_events(self._context, events, now=max(one.now for one in together))
        for one in together:
            one.is_stored = True
