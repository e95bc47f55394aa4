"""
One refusal of our own keys pauses a provider for everybody; one probe at a time ends the pause.

While it lasts no sync calls: each is put off until after the next probe, and nobody's connection
is touched.
"""

import logging
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.circuit import (
    MASS_REFUSAL,
    SUSPICION_WINDOW,
    ProviderHealth,
    after_probe,
    after_refusal,
    after_suspicion,
    is_suspicious,
    while_probing,
)
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.transitions import Transition, after_deferral
from bank_pipeline.errors import (
    BankPipelineError,
    ConfigurationError,
    CredentialsRefusedError,
    ProviderPausedError,
    SetupError,
    UserActionError,
)
from bank_pipeline.storage.connections import apply_transition, lock_connection
from bank_pipeline.storage.provider_health import (
    STOPPED,
    claim_probe,
    count_stops,
    load_provider_health,
    load_stopped_since,
    save_provider_health,
)
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.failures import classify, to_transition

PAUSED: Final = "PROVIDER_PAUSED"
AFTER_PROBE: Final = timedelta(seconds=30)
"""Who is put off comes back so long after the probe is due: it is over by then."""

_log: Final = logging.getLogger(__name__)


def pass_circuit(context: SyncContext, db: sa.Connection, provider: Provider) -> None:
    """
    Return when calls of this provider may be made; probe it if that is due.

    `db` is a session that commits each statement.

    Raises:
        ProviderPausedError: our keys were refused; `retry_after_s` says when to ask again.
    """
    now = context.clock()
    health = load_provider_health(db, provider, now=now)
    if not health.is_paused:
        return
    if health.is_probe_due(now) and claim_probe(db, health, now=now):
        health = _probe(context, health)
    else:
        health = load_provider_health(db, provider, now=now)
    if health.is_paused:
        wait = max((health.next_probe_at or now) - now, timedelta(0)) + AFTER_PROBE
        raise ProviderPausedError(provider, "sync", code=PAUSED, retry_after_s=wait.total_seconds())


def judge_failure(context: SyncContext, connection: Connection, error: Exception) -> Transition:
    """
    Say where a connection goes after this failure, and learn from it about ourselves.

    Our keys refused pause the provider. So do many customers told to act within a short time:
    that is more likely our fault than theirs, and this one is not marked.
    """
    now = context.clock()
    if isinstance(error, CredentialsRefusedError):
        open_circuit(context, error)
    elif (
        isinstance(error, UserActionError)
        and connection.status.is_syncable
        and _suspects(context, connection)
    ):
        return after_deferral(connection, due=now + AFTER_PROBE, now=now)
    return to_transition(connection, error, now=now)


def open_circuit(context: SyncContext, error: CredentialsRefusedError) -> None:
    """Pause the provider that refused our keys: not always the one that is synced by today."""
    now, provider, code = context.clock(), error.provider, error.code
    with context.engine.begin() as db:
        before = load_provider_health(db, provider, now=now, for_update=True)
        health = after_refusal(before, code, now=now)
        save_provider_health(db, health)
    if not before.is_paused:
        _log.error(
            "%s refuses our credentials (%s): all its syncs wait, next probe at %s",
            provider,
            code,
            health.next_probe_at,
        )
        _restore(context, health)


def _suspects(context: SyncContext, connection: Connection) -> bool:
    now, provider = context.clock(), connection.provider
    with context.engine.begin() as db:
        health = load_provider_health(db, provider, now=now, for_update=True)
        count = count_stops(db, provider, besides=connection.id, now=now)
        told_to_act, tried = count.told_to_act + 1, count.tried + 1
        if not is_suspicious(health, told_to_act=told_to_act, tried=tried, now=now):
            return False
        save_provider_health(db, after_suspicion(health, now=now))
    _log.error(
        "%s: %d of %d connections were told to log in or link again within %s: "
        "that looks like our fault, so all its syncs wait for a probe",
        provider,
        told_to_act,
        tried,
        SUSPICION_WINDOW,
    )
    return True


def _probe(context: SyncContext, health: ProviderHealth) -> ProviderHealth:
    """
    Make the cheapest call that proves our keys; write what it came to.

    Who found that it was us may have died before everybody was put back: that is done first.
    """
    if health.code != MASS_REFUSAL:
        _restore(context, health)
    provider, health = health.provider, while_probing(health, now=context.clock())
    refused_with: str | None = None
    is_ours = False
    try:
        context.provider(provider).check_health()
    except (ConfigurationError, UserActionError, SetupError) as error:  # no customer is in it
        refused_with, is_ours = classify(error)[1], True
        if isinstance(error, SetupError):
            _log.error("%s", error)  # it says what to do
    except BankPipelineError:  # an outage proves nothing: it is tried again
        refused_with = health.code or PAUSED
    now = context.clock()
    probed = after_probe(health, refused_with=refused_with, now=now)
    with context.engine.begin() as db:
        save_provider_health(db, probed)
    if probed.is_paused:
        _log.error(
            "%s still refuses us (%s): next probe at %s",
            provider,
            refused_with,
            probed.next_probe_at,
        )
        if is_ours and health.code == MASS_REFUSAL:
            _restore(context, health)
    else:
        _log.warning("%s accepts our credentials: its syncs go on", provider)
    return probed


def _restore(context: SyncContext, health: ProviderHealth) -> None:
    """
    Put connections back where they stood that syncs had stopped just before: it was us.

    Each in a transaction of its own, so that nobody waits for another. It may be repeated.
    """
    since = health.since - SUSPICION_WINDOW
    with context.engine.connect() as db:
        stopped = load_stopped_since(db, health.provider, since=since)
    for one in stopped:
        now = context.clock()
        with context.engine.begin() as db:
            connection = lock_connection(db, one.id)
            if connection.status not in STOPPED:  # ended meanwhile, by whoever wanted that
                continue
            back = Transition(one.before, "our credentials were refused", now, 0)
            apply_transition(db, connection, back, sync_run_id=None, now=now)
