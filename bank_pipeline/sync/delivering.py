"""Deliver notices: claim one, send it to each target of its team, write down how that ended."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bank_pipeline.channels.message import Message, Renewal, render
from bank_pipeline.channels.sending import send
from bank_pipeline.domain.connection import Connection, ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.notices import (
    DELIVERIES_MAX,
    DELIVERY_WAITS,
    NoticeKind,
    NoticeState,
)
from bank_pipeline.domain.waits import growing_wait
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.notice_targets import Target, load_targets
from bank_pipeline.storage.notices import (
    ClaimedNotice,
    claim_notice,
    finish_notice,
    is_over,
    load_oldest_due_notice,
    set_delivered_to,
)
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.page_links import make_connect_link, make_renewal_link

PER_RUN_MAX: Final = 500
LEASE: Final = timedelta(minutes=10)
"""Longer than a notice takes; whoever dies while sending is followed after it."""

_OF_GOING_ON: Final = frozenset({NoticeKind.EXPIRING, NoticeKind.SYNC_FAILED})
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryReport:
    """How many notices were sent, will be tried again, were given up, or told nobody anything."""

    sent: int = 0
    pending: int = 0
    failed: int = 0
    suppressed: int = 0


def deliver_notices(
    context: SyncContext, *, renewal_url: str | None, gateway_url: str | None = None
) -> DeliveryReport:
    """
    Send what is due, one notice after the other, each to every target of its team.

    No database transaction is open while something is sent. What a target has is written down
    before the next one is tried: a crash in between repeats that one target of that one notice,
    ten minutes later, and nothing else. Several may deliver at once.

    `renewal_url` is the operator's own page where consents are renewed; without one it is the
    gateway's, where there is a gateway.
    """
    counts = dict.fromkeys(NoticeState, 0)
    for _ in range(PER_RUN_MAX):
        now = context.clock()
        with context.engine.begin() as db:
            notice = claim_notice(db, now=now, until=now + LEASE)
        if notice is None:
            break
        counts[_deliver(context, notice, renewal_url, gateway_url)] += 1
    return DeliveryReport(
        counts[NoticeState.SENT],
        counts[NoticeState.PENDING],
        counts[NoticeState.FAILED],
        counts[NoticeState.SUPPRESSED],
    )


def load_delivery_due(context: SyncContext) -> tuple[str, datetime, int] | None:
    """Load what `deliver_notices` would send first: its id, since when, how often it was tried."""
    with context.engine.connect() as db:
        return load_oldest_due_notice(db, now=context.clock())


def to_renewal(
    connection_id: str | None,
    provider: str | None,
    renewal_url: str | None,
    *,
    is_revoked: bool = False,
) -> Renewal | None:
    """
    Say how a connection's consent is renewed; None for what is about no connection. Pure.

    One that was revoked is gone for good: its bank is linked again.
    """
    if connection_id is None or provider is None:
        return None
    name = Provider(provider).value.replace("_", "-")
    return Renewal(
        url=renewal_url.replace("{connection_id}", connection_id) if renewal_url else None,
        command=f"bank-pipeline link {name}" + ("" if is_revoked else f" --renew {connection_id}"),
    )


def send_to(target: Target, message: Message, *, notice_id: str) -> str | None:
    """Send a message to a target; return the class of the error, None if it was taken."""
    if target.url is None:
        return SecretError.__name__
    return send(target.url, message, notice_id=notice_id)


def _deliver(
    context: SyncContext, notice: ClaimedNotice, renewal_url: str | None, gateway_url: str | None
) -> NoticeState:
    with context.engine.connect() as db:
        targets = load_targets(db, notice.team_id, context.vault)
        is_late = is_over(db, notice)
        is_true = _is_still_true(notice, _connection_of(context, notice))
    if not targets or is_late or not (is_true or notice.delivered_to):
        reason = "NoTarget" if not targets else "NoLongerTrue"
        return _suppress(context, notice, reason)
    renewal = to_renewal(
        notice.connection_id,
        notice.payload.get("provider"),
        renewal_url or _gateway_page(context, notice, gateway_url),
        is_revoked=notice.payload.get("status") == ConnectionStatus.REVOKED,
    )
    message = render(
        notice.kind,
        notice.payload,
        told_at=notice.created_at,
        renewal=renewal,
        connection_id=notice.connection_id,
    )
    waiting = [target for target in targets if target.id not in notice.delivered_to]
    errors = [_send(context, notice, target, message) for target in waiting]
    return _finish(context, notice, [one for one in errors if one is not None])


def _gateway_page(
    context: SyncContext, notice: ClaimedNotice, gateway_url: str | None
) -> str | None:
    """Return the gateway's page on which whoever is told can act: it opens that one thing."""
    if gateway_url is None or notice.connection_id is None:
        return None
    if notice.payload.get("status") == ConnectionStatus.REVOKED:
        return make_connect_link(context, notice.team_id, base_url=gateway_url).get_secret_value()
    link = make_renewal_link(
        context, notice.team_id, ConnectionId(notice.connection_id), base_url=gateway_url
    )
    return link.get_secret_value()


def _send(
    context: SyncContext, notice: ClaimedNotice, target: Target, message: Message
) -> str | None:
    error = send_to(target, message, notice_id=notice.id)
    if error is not None:
        _log.warning("notice %s was not delivered to target %s: %s", notice.id, target.id, error)
        return error
    with context.engine.begin() as db:
        set_delivered_to(db, notice, target.id)
    return None


def _finish(context: SyncContext, notice: ClaimedNotice, errors: list[str]) -> NoticeState:
    now = context.clock()
    state, due = NoticeState.SENT, None
    if errors:
        state, due = NoticeState.PENDING, now + growing_wait(DELIVERY_WAITS, notice.attempts)
        if notice.attempts >= DELIVERIES_MAX:
            state, due = NoticeState.FAILED, None
            _log.error("notice %s is given up: %s", notice.id, errors[0])
    error = ", ".join(sorted({*errors})) or None
    with context.engine.begin() as db:
        finish_notice(db, notice, state, now=now, error=error, next_attempt_at=due)
    return state


def _suppress(context: SyncContext, notice: ClaimedNotice, reason: str) -> NoticeState:
    state = NoticeState.SUPPRESSED
    with context.engine.begin() as db:
        finish_notice(db, notice, state, now=context.clock(), error=reason)
    return state


def _connection_of(context: SyncContext, notice: ClaimedNotice) -> Connection | None:
    if notice.connection_id is None:
        return None
    try:
        with context.engine.connect() as db:
            return load_connection(db, notice.connection_id)
    except NotFoundError:
        return None


def _is_still_true(notice: ClaimedNotice, connection: Connection | None) -> bool:
    """Say whether what a person is to do or to wait for still is: nobody logs in twice."""
    if connection is None:
        return True
    if notice.kind is NoticeKind.DISCONNECTED:
        return connection.status == ConnectionStatus(notice.payload["status"])
    if notice.kind in _OF_GOING_ON and not connection.status.is_syncable:
        return False  # it has stopped, and that was told
    if notice.kind is NoticeKind.EXPIRING:
        ends_at = connection.consent_expires_at
        if notice.payload["ends_at"] is None:
            return connection.status is ConnectionStatus.EXPIRING
        return ends_at == datetime.fromisoformat(notice.payload["ends_at"])
    return True
