"""
Read by a new consent of a connection, before it takes the place of the one in use.

The one in use stays so until the new one has read an account: a renewal that brings nothing
costs nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.domain.transitions import RETRY_WAITS
from bank_pipeline.domain.waits import growing_wait
from bank_pipeline.errors import (
    AccessRevokedError,
    ConfigurationError,
    CredentialsRefusedError,
    NotFoundError,
    ProviderError,
    ProviderPausedError,
    RateLimitedError,
    SetupError,
    TransientError,
    UserActionError,
)
from bank_pipeline.storage.accounts import load_stored_accounts
from bank_pipeline.storage.connections import insert_notice, lock_connection
from bank_pipeline.storage.consents import (
    NextConsent,
    drop_next_consent,
    load_next_consent,
    set_next_consent_failed,
)
from bank_pipeline.storage.credentials import Vault, load_credential
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.fetch import Fetched
from bank_pipeline.sync.linked import OTHER_ACCOUNTS_TOLD
from bank_pipeline.sync.recognise import KnownAccounts
from bank_pipeline.sync.started import StartedSync
from bank_pipeline.sync.webhooks import take_up_warning
from bank_pipeline.sync.windows import Held

TRIES_MAX: Final = 10
TRIED_FOR: Final = timedelta(days=7)
"""What has not read after so many tries and so long never will; clicks alone are no week."""

NOT_ITS_OWN_WAIT: Final = timedelta(hours=1)
OTHER_ACCOUNTS: Final = "OTHER_ACCOUNTS"
WAITS: Final = "NEW_CONSENT_WAITS"
LOST: Final = "CREDENTIAL_LOST"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tried:
    """What reading by a new consent came to: all of it, or why it is not in use yet."""

    fetched: Fetched | None = None
    failure: ProviderError | None = None


def try_next_consent(
    context: SyncContext,
    session: sa.Connection,
    started: StartedSync,
    read: Callable[[StartedSync], Fetched],
) -> Tried:
    """
    Read by the connection's new consent, if it has one and a whole sync was asked for.

    What it read is applied together with the exchange of the consents. A failure is written
    down with its next try; a consent that never will read is given up, and ended.
    """
    if not started.has_next_consent:
        return Tried()
    if started.request.is_part:  # the old one's end is nobody's to mend
        return Tried(failure=TransientError(started.connection.provider, "accounts", code=WAITS))
    consent = load_next_consent(session, started.connection.id, context.vault)
    if consent is None:
        return Tried()
    under_it = replace(
        started,
        connection=consent.applied_to(started.connection),
        consent=consent,
        is_switch=consent.provider is not started.connection.provider,
    )
    try:
        fetched = read(under_it)
        failure = _unread(under_it, fetched)
    except SetupError:
        fetched = None
        failure = ConfigurationError(consent.provider, "accounts", code="NOT_CONFIGURED")
    except ProviderError as error:
        fetched, failure = None, error
    if fetched is not None and failure is None:
        told = replace(fetched.accounts, balances=(*consent.balances, *fetched.accounts.balances))
        return Tried(fetched=replace(fetched, accounts=told, consent=consent))
    assert failure is not None, "what was not read has a reason"
    is_given_up = _note_failure(context, started, consent, failure)
    return Tried(failure=None if is_given_up else failure)


def load_secret(db: sa.Connection, started: StartedSync, *, vault: Vault) -> SecretStr:
    """
    Load what opens the consent that a sync reads by.

    Raises:
        AccessRevokedError: it was lost with its key, so that only a new link helps.
    """
    if started.consent is not None:
        return started.consent.credential
    connection = started.connection
    try:
        return load_credential(db, connection.id, vault)
    except NotFoundError:
        raise AccessRevokedError(connection.provider, "credential", code=LOST) from None


def load_known(db: sa.Connection, started: StartedSync, *, vault: Vault) -> KnownAccounts:
    """Load the accounts that those of a consent are compared with."""
    stored = load_stored_accounts(db, started.connection.id, vault=vault)
    return KnownAccounts(
        accounts=stored.accounts,
        closed=stored.closed,
        unwanted=stored.excluded,
        is_other_provider=started.is_switch,
    )


def under_consent(held: Held, started: StartedSync) -> Held:
    """Return what a sync by windows begins with, as it is under a consent not in use yet."""
    if started.consent is None:
        return held
    return replace(
        held,
        told=started.consent.accounts,
        is_other_provider=started.is_switch,
        covered={} if started.is_switch else held.covered,
    )


def _unread(started: StartedSync, fetched: Fetched) -> ProviderError | None:
    """Return why what was read is not enough to put the consent in use; None when it is."""
    provider = started.connection.provider
    if not fetched.accounts.is_complete:
        return fetched.trouble or TransientError(provider, "accounts", code="ACCOUNTS_INCOMPLETE")
    if fetched.is_foreign:
        return TransientError(provider, "accounts", code=OTHER_ACCOUNTS)
    if fetched.changes is not None:
        is_ready = fetched.changes.stage is HistoryStage.COMPLETE
        return None if is_ready else TransientError(provider, "transactions", code="NOT_READY")
    if any(answer.covered for answer in fetched.windows or ()):
        return None
    if fetched.trouble is None and fetched.asked:
        return None  # all that it shows waits for a person
    return fetched.trouble or TransientError(provider, "transactions", code="NOTHING_READ")


def _note_failure(
    context: SyncContext, started: StartedSync, consent: NextConsent, failure: ProviderError
) -> bool:
    """
    Write down why a consent is not in use; return whether it was given up.

    That we are refused, paused or told to wait says nothing of it, and is no try of its own.
    """
    now, connection = context.clock(), started.connection
    is_ours = isinstance(failure, CredentialsRefusedError | ProviderPausedError)
    is_its_own = not (is_ours or isinstance(failure, RateLimitedError))
    tries = consent.attempts + is_its_own
    is_given_up = (
        isinstance(failure, UserActionError)
        or failure.code == OTHER_ACCOUNTS
        or (is_its_own and tries >= TRIES_MAX and now - consent.created_at >= TRIED_FOR)
    )
    _log.warning("a new consent of connection %s reads nothing: %s", connection.id, failure.code)
    with context.engine.begin() as db:
        stored = lock_connection(db, connection.id)  # as whoever exchanges or ends a consent does
        if is_given_up:
            name = consent.external_id
            was_next = drop_next_consent(db, connection.id, now=now, external_id=name)
            why = OTHER_ACCOUNTS_TOLD if failure.code == OTHER_ACCOUNTS else failure.code
            reason = f"new consent given up: {why}"
            insert_notice(db, connection, reason, now=now)
            if was_next:
                take_up_warning(db, stored, now=now)
        else:
            wait = growing_wait(RETRY_WAITS, tries) if is_its_own else NOT_ITS_OWN_WAIT
            due = now + max(wait, timedelta(seconds=failure.retry_after_s or 0))
            tried = replace(consent, attempts=tries)
            is_next = set_next_consent_failed(db, tried, code=failure.code, next_attempt_at=due)
            if is_next and consent.last_error is None:
                reason = f"new consent not in use yet: {failure.code}"
                insert_notice(db, connection, reason, now=now)
    return is_given_up
