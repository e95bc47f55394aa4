"""Verified webhooks: stored, and acted on where that needs no sync. Never syncs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.errors import StorageError
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.connections import (
    apply_transition,
    insert_notice,
    load_connection,
    load_connection_by_external_id,
    request_accounts,
    request_sync,
)
from bank_pipeline.storage.consents import has_next_consent
from bank_pipeline.storage.notices import insert_stop_notice
from bank_pipeline.storage.webhook_events import (
    insert_event,
    insert_events,
    load_standing_code,
    take_up,
)
from bank_pipeline.sync.context import SyncContext

NEEDS_SYNC: Final = frozenset(
    {
        EventKind.NEEDS_REAUTH,
        EventKind.SYNC,
        EventKind.HISTORICAL_SYNC,
        EventKind.REPAIRED,
        EventKind.ACCOUNT_REVOKED,
        EventKind.NEW_ACCOUNTS,
    }
)
"""
Events that are handled when a sync has covered them; the others when they are stored.

That a login broke is one of them: providers repeat for a day what they think was not heard,
and by then it may be mended. The sync asks how it stands now.
"""

CONSENT_TO_COME: Final = "renewed by a new consent"
"""Why a connection is due whose new consent is to be tried: the one in use is as it was."""

UNSHARED: Final = (
    "the bank has accounts that are not shared yet: to have them read, renew the consent and "
    "choose them"
)

ABOUT_ACCOUNTS: Final = frozenset({EventKind.ACCOUNT_REVOKED, EventKind.NEW_ACCOUNTS})

_STATUS_OF_KIND: Final = {
    EventKind.REVOKED: ConnectionStatus.REVOKED,
    EventKind.EXPIRING: ConnectionStatus.EXPIRING,
}

_ABOUT_THE_CONSENT: Final = frozenset(_STATUS_OF_KIND)
_TOUCHES_CONNECTION: Final = _ABOUT_THE_CONSENT | ABOUT_ACCOUNTS | {EventKind.REPAIRED}

_REPAIRABLE: Final = frozenset({ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.EXPIRING})


def store_event(context: SyncContext, event: ProviderEvent, *, now: datetime) -> None:
    """
    Store a verified event, and act on what it says of its connection.

    A repeated delivery is stored once. Events that say what a person must do, or that it
    was done, change the connection's status here, because a sync could not learn it or
    would not be tried. Where the connection is not known yet, they wait for it; where a new
    consent takes the place of the one they are about, nothing changes.

    Raises:
        StorageError: the database did not take it.
    """
    with _translated(), context.engine.begin() as db:
        _store(db, event, now)


def store_plain_events(
    context: SyncContext, events: Sequence[ProviderEvent], *, now: datetime
) -> None:
    """
    Store events that say nothing of their connection, all or none.

    Raises:
        StorageError: the database did not take them.
    """
    assert not any(touches_connection(event) for event in events), "those are stored one by one"
    waiting = [event for event in events if event.kind in NEEDS_SYNC]
    handled = [event for event in events if event.kind not in NEEDS_SYNC]
    with _translated(), context.engine.begin() as db:
        insert_events(db, waiting=waiting, handled=handled, now=now)


def touches_connection(event: ProviderEvent) -> bool:
    """Say whether an event changes what is stored of its connection."""
    return event.kind in _TOUCHES_CONNECTION and event.external_id is not None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise StorageError(f"the webhook was not stored: {type(error).__name__}") from None


def take_up_events(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> None:
    """
    Act on what was said of a connection before it was stored.

    What asks for a sync goes on waiting for one.
    """
    connection = load_connection(db, connection_id)
    for kind, code in take_up(db, connection, _ABOUT_THE_CONSENT, now=now):
        event = ProviderEvent(
            connection.provider, EventKind(kind), code, connection.external_id, event_key=""
        )
        _apply(db, event, load_connection(db, connection_id), now)


def take_up_warning(db: sa.Connection, connection: Connection, *, now: datetime) -> None:
    """
    Warn of the end of the consent in use, if that was told and it was not mended since.

    It said nothing to anybody while a new consent was to replace that one, which was given up.
    """
    code = load_standing_code(db, connection, EventKind.EXPIRING, despite=CONSENT_TO_COME)
    if code is not None and connection.status.is_syncable:
        transition = _warned(connection, ConnectionStatus.EXPIRING, code)
        apply_transition(db, connection, transition, sync_run_id=None, now=now)


def _store(db: sa.Connection, event: ProviderEvent, now: datetime) -> None:
    connection = None
    is_asked = touches_connection(event)
    if is_asked and event.external_id is not None:
        connection = load_connection_by_external_id(
            db, event.provider, event.external_id, for_update=True
        )
    is_early = is_asked and connection is None and event.kind in _ABOUT_THE_CONSENT
    is_new = insert_event(db, event, needs_sync=event.kind in NEEDS_SYNC or is_early, now=now)
    if is_new and connection is not None:
        _apply(db, event, connection, now)


def _apply(db: sa.Connection, event: ProviderEvent, connection: Connection, now: datetime) -> None:
    if event.kind in ABOUT_ACCOUNTS:
        request_accounts(db, connection.id)
    if event.kind is EventKind.NEW_ACCOUNTS and connection.status.is_syncable:
        insert_notice(db, connection, UNSHARED, now=now)
    if event.kind is EventKind.REPAIRED and connection.status in _REPAIRABLE:
        request_sync(db, connection.id, reason="repaired at the bank", now=now)
    elif (
        event.kind in _STATUS_OF_KIND
        and (connection.status.is_syncable or _is_final_word(event, connection))
        and not has_next_consent(db, connection.id)  # it is of the old one, on its way out
    ):
        transition = _warned(connection, _STATUS_OF_KIND[event.kind], event.code)
        apply_transition(db, connection, transition, sync_run_id=None, now=now)
        insert_stop_notice(db, connection.id, now=now)


def _is_final_word(event: ProviderEvent, connection: Connection) -> bool:
    """Whoever would log in again must learn that only a new link helps."""
    needs_reauth = connection.status is ConnectionStatus.NEEDS_REAUTH
    return event.kind is EventKind.REVOKED and needs_reauth


def _warned(connection: Connection, status: ConnectionStatus, code: str) -> Transition:
    return Transition(
        status=status,
        reason=code,
        next_attempt_at=connection.next_attempt_at if status.is_syncable else None,
        error_retries=connection.error_retries,
    )
