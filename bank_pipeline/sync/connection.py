"""
Bring one connection up to date: the order of the steps, and what each failure means.

Everything that starts a sync (schedule, webhook, first sync, a person) ends here.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from bank_pipeline.domain.connection import Connection
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.transitions import FailureKind, after_failure
from bank_pipeline.errors import (
    AccessRevokedError,
    BankPipelineError,
    ConfigurationError,
    PayloadError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    SecretError,
    TransientError,
)
from bank_pipeline.providers.base import RawAnswer
from bank_pipeline.storage.accounts import load_open_account_external_ids
from bank_pipeline.storage.connections import apply_transition, load_connection
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.raw_payloads import save_raw_payload
from bank_pipeline.storage.sync_runs import finish_sync_run, start_sync_run
from bank_pipeline.storage.webhook_events import load_newest_event_id
from bank_pipeline.sync.apply import apply_fetched
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.fetch import fetch_all
from bank_pipeline.sync.institutions import remember_institution
from bank_pipeline.sync.reports import SyncReport, SyncRequest
from bank_pipeline.sync.started import StartedSync

_log: Final = logging.getLogger(__name__)

_KINDS: Final[tuple[tuple[type[BankPipelineError], FailureKind], ...]] = (
    (ReauthRequiredError, FailureKind.REAUTH_REQUIRED),
    (AccessRevokedError, FailureKind.ACCESS_REVOKED),
    (RateLimitedError, FailureKind.RATE_LIMITED),
    (TransientError, FailureKind.TRANSIENT),
    (ConfigurationError, FailureKind.CONFIGURATION),
    (SecretError, FailureKind.CONFIGURATION),
    (PayloadError, FailureKind.PAYLOAD),
)


def sync_connection(context: SyncContext, request: SyncRequest) -> SyncReport:
    """
    Bring one connection up to date with its provider.

    Holds the connection's lock throughout. Each answer is archived as it comes; then one
    database transaction applies everything together with the cursor, so a crash at any
    point repeats work on the next run and never loses or doubles a row.

    Raises:
        ConcurrentSyncError: another sync holds the connection; nothing was done.
        ProviderError: the failure is recorded with its class, its reason and the next try.
        NotFoundError: there is no such connection.
    """
    with connection_lock(context.engine, request.connection_id):
        with context.engine.begin() as db:
            connection = load_connection(db, request.connection_id)
            sync_run_id = start_sync_run(
                db,
                request.connection_id,
                reason=request.reason,
                dagster_run_id=request.dagster_run_id,
                now=context.clock(),
            )
        with _recorded_failure(context, connection, sync_run_id):
            return _sync(context, _start(context, request, connection, sync_run_id))


def _start(
    context: SyncContext, request: SyncRequest, connection: Connection, sync_run_id: SyncRunId
) -> StartedSync:
    with context.engine.connect() as db:
        return StartedSync(
            id=sync_run_id,
            request=request,
            connection=connection,
            credential=load_credential(db, connection.id, context.vault),
            known_account_ids=load_open_account_external_ids(db, connection.id),
            newest_event_id=load_newest_event_id(db, connection),
        )


def _sync(context: SyncContext, started: StartedSync) -> SyncReport:
    def archive(answer: RawAnswer) -> None:
        with context.engine.begin() as db:
            save_raw_payload(db, started.connection.id, started.id, answer, now=context.clock())

    started_at = context.clock()
    provider = context.provider(started.connection.provider)
    fetched = fetch_all(
        provider,
        started.connection,
        started.credential,
        steps=started.request.steps,
        known_account_ids=started.known_account_ids,
        archive=archive,
        now=started_at,
    )
    status = fetched.accounts.status
    if status is not None and status.error_code is not None:
        raise provider.to_error(status.error_code)
    report = apply_fetched(
        context.engine, started, fetched, started_at=started_at, now=context.clock()
    )
    if status is not None and status.institution_external_id is not None:
        remember_institution(context, report.provider, status.institution_external_id)
    return report


@contextmanager
def _recorded_failure(
    context: SyncContext, connection: Connection, sync_run_id: SyncRunId
) -> Iterator[None]:
    """Write class, reason and next try of whatever fails inside, then let it go on."""
    try:
        yield
    except Exception as error:
        kind, code = classify(error)
        retry_after_s = error.retry_after_s if isinstance(error, ProviderError) else None
        now = context.clock()
        transition = after_failure(
            connection,
            kind,
            code=code,
            retry_after=None if retry_after_s is None else timedelta(seconds=retry_after_s),
            now=now,
        )
        with context.engine.begin() as db:
            apply_transition(db, connection, transition, sync_run_id=sync_run_id, now=now)
            finish_sync_run(
                db,
                sync_run_id,
                outcome="failed",
                error_class=kind,
                error_code=code,
                request_id=error.request_id if isinstance(error, ProviderError) else None,
                next_attempt_at=transition.next_attempt_at,
                now=now,
            )
        _log.warning("sync of connection %s failed: %s (%s)", connection.id, kind, code)
        raise


def classify(error: Exception) -> tuple[FailureKind, str]:
    """Return the class of a failure and a code that is safe to show."""
    kind = next((kind for type_, kind in _KINDS if isinstance(error, type_)), None)
    code = error.code if isinstance(error, ProviderError) else type(error).__name__
    if kind is None and isinstance(error, ProviderError):
        kind = FailureKind.PAYLOAD
    return kind or FailureKind.UNEXPECTED, code
