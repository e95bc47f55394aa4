"""What a link comes to, and what is kept of it: shared by first links and renewals."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, LinkSessionId, SyncRunId
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.accounts import load_account_ids, save_accounts
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.link_sessions import finish_link_session
from bank_pipeline.storage.quarantine import save_quarantined
from bank_pipeline.storage.raw_payloads import save_raw_payload
from bank_pipeline.sync.context import SyncContext

LINKED: Final = "linked"
RENEWED: Final = "renewed"
OTHER_ACCOUNTS: Final = "other_accounts"
"""The customer consented to accounts that are not those of the connection to be renewed."""


@dataclass(frozen=True)
class LinkState:
    """
    Where a link stands. Finished with an `exit_reason` means that the customer left.

    `connection_ids` are what the link yielded or renewed, by this call or an earlier one.
    """

    is_finished: bool
    connection_ids: tuple[ConnectionId, ...] = ()
    exit_reason: str | None = None


def finish_without(context: SyncContext, session_id: LinkSessionId, reason: str) -> LinkState:
    """End a link that yielded nothing."""
    with context.engine.begin() as db:
        finish_link_session(db, session_id, outcome=reason, now=context.clock())
    return LinkState(is_finished=True, exit_reason=reason)


def keep_accounts(
    db: sa.Connection, connection_id: ConnectionId, linked: LinkedConnection, *, now: datetime
) -> None:
    """Keep what came with the link itself: some providers tell it this once only."""
    origin = SyncRunId(new_id())  # no sync brought it
    if linked.raw is not None:
        save_raw_payload(db, connection_id, origin, linked.raw, now=now)
    answer = linked.accounts
    if answer is None:
        return
    connection = load_connection(db, connection_id)
    save_accounts(db, connection, answer.accounts, now=now)
    save_quarantined(db, connection_id, answer.quarantined, sync_run_id=origin, now=now)
    account_ids = load_account_ids(db, connection_id)
    save_balances(
        db,
        connection,
        answer.balances,
        account_ids=account_ids,
        sync_run_id=origin,
        now=now,
    )
    save_choices(db, account_ids.values(), now=now)
