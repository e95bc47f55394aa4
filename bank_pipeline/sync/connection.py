"""
Bring one connection up to date: the order of the steps, and what each failure means.

Everything that starts a sync (schedule, webhook, first sync, a person) ends here.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr
from structlog.contextvars import bind_contextvars, bound_contextvars

from bank_pipeline.domain.connection import Connection, ConnectionStatus
from bank_pipeline.domain.depth import Reach, planned_reach
from bank_pipeline.domain.transitions import LEASE, Transition, after_failed_part, after_refusals
from bank_pipeline.domain.waits import is_since
from bank_pipeline.errors import (
    CoveredError,
    CredentialsRefusedError,
    ProviderError,
    ProviderPausedError,
    RateLimitedError,
    UserActionError,
)
from bank_pipeline.providers.answers import Archive
from bank_pipeline.providers.base import FeedProvider, WindowProvider
from bank_pipeline.providers.metering import metered_by
from bank_pipeline.providers.throttle import THROTTLED
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.beginnings import Beginning, load_beginning
from bank_pipeline.storage.connections import apply_transition, lease_connection, lock_connection
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.sync_runs import finish_sync_run, is_synced_by, start_sync_run
from bank_pipeline.sync.answer_book import AnswerBook
from bank_pipeline.sync.apply import apply_fetched
from bank_pipeline.sync.audit import actor_of, note_synced
from bank_pipeline.sync.circuit import judge_failure, open_circuit, pass_circuit
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.deepening import keep_backfill
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.failures import classify, outcome_of, request_id_of
from bank_pipeline.sync.fetch import Fetched, fetch_all
from bank_pipeline.sync.history import horizon_of
from bank_pipeline.sync.institutions import remember_institution
from bank_pipeline.sync.next_consent import (
    load_known,
    load_secret,
    try_next_consent,
    under_consent,
)
from bank_pipeline.sync.notices import note_failed
from bank_pipeline.sync.quota import SPENT, CallBook
from bank_pipeline.sync.reports import ALL_STEPS, SyncReason, SyncReport, SyncRequest
from bank_pipeline.sync.started import StartedSync, check_not_ended
from bank_pipeline.sync.windows import Held, fetch_windows, load_held

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Outcome:
    """What was written. `trouble`: the provider gave data, and said that something is wrong."""

    report: SyncReport
    trouble: ProviderError | None
    institution_external_id: str | None
    has_new_consent: bool


def sync_connection(context: SyncContext, request: SyncRequest) -> SyncReport:
    """
    Bring one connection up to date with its provider.

    Holds the connection's lock throughout. The answers are archived; then one database
    transaction applies everything together with the cursor, so a crash at any point repeats
    work on the next run and never loses or doubles a row. A sync that starts plans its own
    repetition, so that one that is killed has a next try, too.

    Raises:
        BusyError: another sync holds the connection, or has done what was asked for; nothing
            was done.
        ProviderError: the failure is recorded with its class, its reason and the next try.
        EndedError: it was ended.
        NotFoundError: there is no such connection.
    """
    # Every line that is written on the way tells what it is of; the rest is bound once known.
    with bound_contextvars(
        connection_id=request.connection_id,
        dagster_run_id=request.dagster_run_id,
        sync_run_id=None,
        provider=None,
    ):
        return _sync_connection(context, request)


def _sync_connection(context: SyncContext, request: SyncRequest) -> SyncReport:
    keep_backfill(context, request)
    with connection_lock(context.engine, request.connection_id) as session:
        started = _start(context, request)
        bind_contextvars(sync_run_id=started.id, provider=started.connection.provider.value)
        calls = _open_book(context, session, started)
        answers = AnswerBook(
            session, request.connection_id, started.id, vault=context.vault, clock=context.clock
        )
        with _recorded_failure(context, started, calls, answers):
            outcome = _sync(context, session, started, calls, answers)
    _log.info("synced", extra=_to_line(outcome.report))
    bank = outcome.institution_external_id
    if bank is not None:
        is_known = started.is_bank_known and bank == started.connection.institution_external_id
        remember_institution(context, outcome.report.provider, bank, is_known=is_known)
    if outcome.has_new_consent:
        end_consents(context, connection_id=request.connection_id)
    if outcome.trouble is not None:
        raise outcome.trouble
    return outcome.report


def _to_line(report: SyncReport) -> dict[str, object]:
    """Return what a line tells of a success: counts and times, no rows."""
    rows = report.transactions
    return {
        "reason": report.reason.value,
        "seconds": (report.ended_at - report.started_at).total_seconds(),
        "inserted": rows.inserted,
        "updated": rows.updated,
        "removed": rows.removed,
        "unchanged": rows.unchanged,
        "quarantined": report.quarantined_count,
        "calls": report.calls_count,
    }


def _start(context: SyncContext, request: SyncRequest) -> StartedSync:
    now = context.clock()
    with context.engine.begin() as db:
        connection = lock_connection(db, request.connection_id)  # who asks for one comes after
        check_not_ended(connection)
        beginning = load_beginning(db, connection)
        _check_needed(db, connection, beginning, request, now)
        return StartedSync(
            id=start_sync_run(
                db,
                connection.id,
                reason=request.reason,
                dagster_run_id=request.dagster_run_id,
                now=now,
            ),
            request=request,
            connection=lease_connection(
                db, connection, until=now + LEASE, is_whole=request.steps == ALL_STEPS
            ),
            planned_attempt_at=connection.next_attempt_at,
            known_account_ids=beginning.open_accounts,
            closed_account_ids=beginning.closed_accounts,
            moved_account_ids=beginning.moved_accounts,
            awaited_account_ids=beginning.awaited_accounts - beginning.asked_accounts,
            newest_event_id=beginning.newest_event_id,
            started_at=now,
            has_orphans=bool(beginning.awaited_accounts),
            has_questions=bool(beginning.asked_accounts),
            has_next_consent=beginning.has_next_consent,
            wishes=beginning.wishes,
            is_failure_told=beginning.is_failure_told,
            actor=actor_of(context, request.dagster_run_id),
            is_provider_paused=beginning.is_provider_paused,
            is_bank_known=beginning.is_bank_known,
            limited_count=beginning.limited_count,
        )


def _check_needed(
    db: sa.Connection,
    connection: Connection,
    beginning: Beginning,
    request: SyncRequest,
    now: datetime,
) -> None:
    since, planned_at = request.due_since, connection.next_attempt_at
    if request.is_waited_for:
        is_clicked = connection.sync_requested_at is not None
        is_covered = not (is_clicked or beginning.newest_event_id or request.repeats)
    else:
        is_covered = is_since(connection.last_success_at, since, now=now)
    if is_covered or (request.repeats and is_synced_by(db, connection.id, request.repeats)):
        raise CoveredError(f"connection {connection.id} was synced since it was asked for")
    is_put_off = planned_at is not None and planned_at > now and not request.repeats
    if is_put_off and is_since(connection.last_attempt_at, since, now=now):
        raise CoveredError(f"connection {connection.id} failed since it was asked for: it waits")


def _open_book(context: SyncContext, session: sa.Connection, started: StartedSync) -> CallBook:
    provider = context.providers.get(started.connection.provider)
    return CallBook(
        session,
        started.connection,
        provider.capabilities if provider else None,
        sync_run_id=started.id,
        reason=started.request.reason,
        is_user_present=started.request.present_user is not None,
        clock=context.clock,
    )


def _sync(
    context: SyncContext,
    session: sa.Connection,
    started: StartedSync,
    calls: CallBook,
    answers: AnswerBook,
) -> _Outcome:
    with metered_by(calls):
        fetched = _fetch(context, session, started, calls, answers.keep)
    answers.write()
    trouble = fetched.trouble
    report = apply_fetched(
        context.engine,
        started,
        fetched,
        vault=context.vault,
        now=context.clock(),
        calls=calls,
        after_trouble=_judge(context, started, trouble) if trouble else None,
    )
    status = fetched.accounts.status
    institution_external_id = status.institution_external_id if status else None
    return _Outcome(report, trouble, institution_external_id, fetched.consent is not None)


def _fetch(
    context: SyncContext,
    session: sa.Connection,
    started: StartedSync,
    calls: CallBook,
    archive: Archive,
) -> Fetched:
    def read(under_it: StartedSync) -> Fetched:
        connection = under_it.connection
        capabilities = context.provider(connection.provider).capabilities
        pass_circuit(context, session, connection.provider)
        with calls.under(connection, capabilities):
            return _read(context, session, under_it, calls, archive)

    tried = try_next_consent(context, session, started, read)
    if tried.fetched is not None:
        return tried.fetched
    if isinstance(tried.failure, CredentialsRefusedError):
        open_circuit(context, tried.failure)  # the old consent, of another provider, may read on
    if started.is_provider_paused:  # only now: another one may take its place
        pass_circuit(context, session, started.connection.provider)
    try:
        fetched = _read(context, session, started, calls, archive)
    except UserActionError as error:
        if tried.failure is None:
            raise
        raise tried.failure from error  # the new consent will be tried again: nobody has to act
    if tried.failure is not None and isinstance(fetched.trouble, UserActionError):
        return replace(fetched, trouble=tried.failure)
    return fetched


def _read(
    context: SyncContext,
    session: sa.Connection,
    started: StartedSync,
    calls: CallBook,
    archive: Archive,
) -> Fetched:
    connection = started.connection
    provider = context.provider(connection.provider)
    credential = load_secret(session, started, vault=context.vault)
    if connection.status is ConnectionStatus.NEEDS_REAUTH and started.consent is None:
        # Perhaps mended elsewhere: asking costs nothing, and no other call is made until it is.
        status = provider.fetch_status(credential, archive=archive)
        if status.error_code is not None:
            raise provider.to_error(status.error_code)
    is_recovery = started.request.reason is SyncReason.RECOVERY
    # What nobody planned makes up for a turn that was missed; one that was killed left its lease.
    is_missed_turn = is_recovery and started.planned_attempt_at is None
    reach = planned_reach(
        connection,
        started.request.depth,
        is_scheduled=started.request.reason is SyncReason.SCHEDULE or is_missed_turn,
        is_recovery=is_recovery,
        limited_count=started.limited_count,
        has_feed=isinstance(provider, FeedProvider),
        now=started.started_at,
    )
    if isinstance(provider, WindowProvider):
        stored = load_stored_accounts(session, connection.id, vault=context.vault)
        return _fetch_windows(
            under_consent(load_held(session, connection, stored), started),
            started,
            provider,
            credential,
            calls=calls,
            reach=reach,
            archive=archive,
        )
    assert isinstance(provider, FeedProvider), "a provider tells changes, or dates"
    return fetch_all(
        provider,
        started,
        credential,
        load_known=lambda: load_known(session, started, vault=context.vault),
        archive=archive,
        reach=reach,
    )


def _fetch_windows(
    held: Held,
    started: StartedSync,
    provider: WindowProvider,
    credential: SecretStr,
    *,
    calls: CallBook,
    reach: Reach,
    archive: Archive,
) -> Fetched:
    horizon = horizon_of(
        started.connection,
        reach,
        provider.capabilities,
        bank_days=held.history_days,
        is_new=not held.covered,
        now=started.started_at,
    )
    return fetch_windows(
        provider,
        credential,
        steps=started.request.steps,
        held=held,
        horizon=horizon,
        calls=calls,
        archive=archive,
        present_user=started.request.present_user,
    )


def _judge(context: SyncContext, started: StartedSync, error: Exception) -> Transition:
    """Say where a failure leads; whoever is refused again and again waits ever longer."""
    transition = judge_failure(context, started.connection, error)
    if started.request.is_part:
        return after_failed_part(
            started.connection,
            transition,
            is_put_off=isinstance(error, (RateLimitedError, ProviderPausedError)),
            planned_attempt_at=started.planned_attempt_at,
        )
    if not isinstance(error, RateLimitedError) or error.code in (SPENT, THROTTLED):
        return transition
    return after_refusals(transition, refusals=started.limited_count, now=context.clock())


@contextmanager
def _recorded_failure(
    context: SyncContext, started: StartedSync, calls: CallBook, answers: AnswerBook
) -> Iterator[None]:
    """Write class, reason and next try of whatever fails inside, then let it go on."""
    try:
        yield
    except Exception as error:
        connection = started.connection
        kind, code = classify(error)
        outcome = outcome_of(error)
        transition = _judge(context, started, error)
        now = context.clock()
        _log.warning("sync of connection %s %s: %s (%s)", connection.id, outcome, kind, code)
        with context.engine.begin() as db:
            apply_transition(
                db,
                connection,
                transition,
                sync_run_id=started.id,
                now=now,
                is_part=started.request.is_part,
            )
            finish_sync_run(
                db,
                started.id,
                outcome=outcome,
                error_class=kind,
                error_code=code,
                request_id=request_id_of(error),
                next_attempt_at=transition.next_attempt_at,
                now=now,
            )
            note_failed(db, started, error, transition, now=now)
            note_synced(db, started, outcome=outcome, now=now)
            calls.write(db, is_applied=False)
            stored = lock_connection(db, connection.id)
        answers.write_after_failure(context.engine)
        check_not_ended(stored)  # whatever failed: it is nobody's to mend
        raise
