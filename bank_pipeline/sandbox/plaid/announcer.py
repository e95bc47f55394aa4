"""
Tells by webhook what became of Items and Link sessions.

Source: https://plaid.com/docs/api/webhooks/, https://plaid.com/docs/api/products/transactions/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.delivery import Outbox
from bank_pipeline.sandbox.plaid.errors import item_error_json, plaid_error
from bank_pipeline.sandbox.plaid.items import Item, ItemBook
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.plaid.readiness import Stage
from bank_pipeline.sandbox.plaid.sync_feed import Change
from bank_pipeline.sandbox.wire import dumps, moment_text

_WARNING: Final = timedelta(days=7)
_DISCONNECT_REASON: Final = "INSTITUTION_TOKEN_EXPIRATION"
_TRANSACTIONS: Final = "TRANSACTIONS"


class Announcer:
    """Watch the Items and say what changed. Callers hold the simulator's lock."""

    def __init__(
        self, items: ItemBook, outbox: Outbox, options: PlaidOptions, americans: frozenset[str]
    ) -> None:
        """Warn of ending consents the American way at the institutions in `americans`."""
        self._items = items
        self._outbox = outbox
        self._options = options
        self._americans = americans

    def look(self, now: datetime) -> None:
        """Announce what time has brought to any Item."""
        for item in self._items:
            if not item.removed:
                self._look_at_consent(item, now)
                self._look_at_login(item, now)
                self.look_at(item, now)

    def look_at(self, item: Item, now: datetime) -> None:
        """Announce what is new in one Item's transactions, unless it is broken."""
        if item.error is not None or item.transactions is None:
            return
        self._items.catch_up(item, now)
        told = item.announced
        self._announce_legacy(item, item.feed.changes(told.legacy), now)
        news = item.feed.head > told.sync or item.feed.stage > told.stage
        if told.armed and news:
            self.announce_sync(item, now)
        told.legacy, told.stage = item.feed.head, item.feed.stage
        if told.armed:
            told.sync = item.feed.head

    def announce_sync(self, item: Item, now: datetime) -> None:
        """Say that `/transactions/sync` has news."""
        stage = item.feed.stage
        self.send(
            item,
            _TRANSACTIONS,
            "SYNC_UPDATES_AVAILABLE",
            {
                "initial_update_complete": stage >= Stage.INITIAL,
                "historical_update_complete": stage >= Stage.HISTORICAL,
            },
            now,
        )

    def break_item(
        self, item: Item, code: str, now: datetime, *, reason: str | None = None, tell: bool = True
    ) -> None:
        """Put an Item into an error; `tell` sends ITEM/ERROR as Plaid usually does."""
        item.error, item.error_at = plaid_error(code, reason=reason), now
        if tell:
            self.send(item, "ITEM", "ERROR", {"error": item_error_json(item.error)}, now)

    def repair(self, item: Item, now: datetime, *, tell: bool = False) -> None:
        """Heal an Item; `tell` sends LOGIN_REPAIRED, as for repairs made in other apps."""
        item.error = item.error_at = None
        item.logged_in_at = now
        if tell:
            self.send(item, "ITEM", "LOGIN_REPAIRED", {}, now)

    def send(
        self, item: Item, kind: str, code: str, extra: Mapping[str, Any], now: datetime
    ) -> bool:
        """Send a webhook of an Item; say whether it has an address for it."""
        if item.webhook is None:
            return False
        body = {
            "webhook_type": kind,
            "webhook_code": code,
            "item_id": item.item_id,
            **extra,
            "environment": "sandbox",
        }
        self._outbox.post(item.webhook, code=code, item_id=item.item_id, body=dumps(body, indent=2))
        item.announced.code_sent, item.announced.sent_at = code, now
        return True

    def send_link(self, url: str | None, code: str, extra: Mapping[str, Any]) -> None:
        """Send a webhook of a Link session, which knows no Item."""
        if url is not None:
            body = {"webhook_type": "LINK", "webhook_code": code, **extra, "environment": "sandbox"}
            self._outbox.post(url, code=code, item_id=None, body=dumps(body, indent=2))

    def warn_of_consent(self, item: Item, ends_at: datetime, now: datetime) -> None:
        """Say that an Item's consent ends soon, in Europe and America with different words."""
        if item.institution_id in self._americans:
            extra = {"reason": _DISCONNECT_REASON, "disconnect_time": moment_text(ends_at)}
            self.send(item, "ITEM", "PENDING_DISCONNECT", extra, now)
        else:
            extra = {"consent_expiration_time": moment_text(ends_at)}
            self.send(item, "ITEM", "PENDING_EXPIRATION", extra, now)

    def _look_at_consent(self, item: Item, now: datetime) -> None:
        ends_at = item.consent_ends_at
        if ends_at is None:
            return
        if item.announced.consent_for != ends_at and now >= ends_at - _WARNING:
            item.announced.consent_for = ends_at
            self.warn_of_consent(item, ends_at, now)
        if now >= ends_at and item.error is None:
            self.break_item(item, "ITEM_LOGIN_REQUIRED", now, reason="OAUTH_CONSENT_EXPIRED")

    def _look_at_login(self, item: Item, now: datetime) -> None:
        lasts = self._options.login_expires_after
        if lasts is not None and item.error is None and now >= item.logged_in_at + lasts:
            self.break_item(item, "ITEM_LOGIN_REQUIRED", now)

    def _announce_legacy(self, item: Item, changes: Sequence[Change], now: datetime) -> None:
        told, stage = item.announced.stage, item.feed.stage
        for reached, code in (
            (Stage.INITIAL, "INITIAL_UPDATE"),
            (Stage.HISTORICAL, "HISTORICAL_UPDATE"),
        ):
            if told < reached <= stage:
                self._announce_new(item, code, sum(one.stage is reached for one in changes), now)
        added = sum(_is_new(one) for one in changes)
        removed = [one.transaction_id for one in changes if one.row is None]
        if added:
            self._announce_new(item, "DEFAULT_UPDATE", added, now)
        if removed:
            extra = {"removed_transactions": removed, "error": None}
            self.send(item, _TRANSACTIONS, "TRANSACTIONS_REMOVED", extra, now)

    def _announce_new(self, item: Item, code: str, count: int, now: datetime) -> None:
        extra = {"error": None, "new_transactions": count}
        self.send(item, _TRANSACTIONS, code, extra, now)


def _is_new(change: Change) -> bool:
    return change.stage is None and change.row is not None and not change.existed
