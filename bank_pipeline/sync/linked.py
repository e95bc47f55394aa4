"""What a link comes to, and what is kept of it: shared by first links and renewals."""

import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.audit import AuditAction
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId, TeamId
from bank_pipeline.errors import (
    AccessRevokedError,
    ConcurrentSyncError,
    NotFoundError,
    OtherBrowserError,
    SecretError,
)
from bank_pipeline.providers.answers import AccountsAnswer
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.storage.accounts import save_accounts
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.belonging import is_consent_of_any
from bank_pipeline.storage.connections import (
    load_connection,
    load_connection_by_external_id,
    replace_connection,
    request_sync,
)
from bank_pipeline.storage.consents import (
    ABANDONED,
    NOT_USED,
    insert_consent_to_end,
    store_next_consent,
)
from bank_pipeline.storage.credentials import Vault, store_credential
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.link_sessions import (
    LINKED,
    LinkSession,
    delete_link_sessions_of,
    finish_link_session,
    load_open_link_sessions,
)
from bank_pipeline.storage.quarantine import save_quarantined
from bank_pipeline.storage.raw_payloads import save_raw_payload
from bank_pipeline.storage.teams import hold_team
from bank_pipeline.sync.audit import note_act
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.webhooks import CONSENT_TO_COME

GRACE: Final = timedelta(minutes=10)
"""A customer who was at their bank when the link's time ended is not sent away."""
RENEWED: Final = "renewed"
OTHER_ACCOUNTS: Final = "other_accounts"
"""The customer consented to accounts that are not those of the connection to be renewed."""
OTHER_ACCOUNTS_TOLD: Final = (
    "the bank showed accounts of another login, and not all that are read: nothing was changed. "
    "Renew with the login it was connected with, and share all of its accounts; leave out first "
    "what is closed or shall be read no more. Another login is a connection of its own"
)
"""What happened then and what to do, for whoever looks after the connection."""
DISCONNECTED: Final = "disconnected"
"""The connection to be renewed was ended meanwhile."""
SWITCHED: Final = "switched"
"""The connection to be renewed goes on through another provider meanwhile."""


@dataclass(frozen=True)
class LinkState:
    """
    Where a link stands. Finished with an `exit_reason` means that the customer left.

    `connection_ids` are what the link yielded or renewed, by this call or an earlier one; those
    of `renewed_ids` were there before. `questions_count` is how many accounts came of which
    only a person can tell whether they are known ones.
    """

    is_finished: bool
    connection_ids: tuple[ConnectionId, ...] = ()
    exit_reason: str | None = None
    renewed_ids: tuple[ConnectionId, ...] = ()
    questions_count: int = 0


def to_ended(session: LinkSession) -> LinkState:
    """Tell how a link ended, to whoever asks once more."""
    is_kept = session.outcome in (LINKED, RENEWED)
    return LinkState(
        is_finished=True,
        connection_ids=session.connection_ids,
        exit_reason=None if is_kept else session.outcome,
        renewed_ids=session.connection_ids if session.outcome == RENEWED else (),
    )


def finish_without(context: SyncContext, session: LinkSession, reason: str) -> LinkState:
    """End a link that yielded nothing; what it left at the provider is ended, too."""
    now = context.clock()
    with context.engine.begin() as db:
        if finish_link_session(db, session.id, outcome=reason, now=now):
            _abandon(context, db, session, now)
    return LinkState(is_finished=True, exit_reason=reason)


def give_back_late(
    context: SyncContext, session: LinkSession, returned: Mapping[str, str] | None
) -> None:
    """
    Have ended what a customer brings back to a link that is over, unless a connection has it.

    Nobody else has it. Only what a widget on our page hands over opens the bank by itself. The
    rest is a code, which opens nothing until it is exchanged and soon not even that, or is ended
    with its link. What a link has kept may come again, and something else after it.

    Raises:
        ProviderError: it could not be proven now; brought again, it may be.
    """
    if returned is None:
        return
    client = context.provider(session.provider)
    if not client.capabilities.is_linked_on_our_page:
        return
    progress = client.fetch_link_progress(session.state, returned=returned)
    if progress.stated_id is None and session.outcome in (LINKED, RENEWED):
        return
    with context.engine.connect() as db:
        if progress.stated_id and is_consent_of_any(db, session.provider, progress.stated_id):
            return
    for token in progress.exchange_tokens:
        with suppress(AccessRevokedError):  # it opens nothing any more
            _give_back(context, session.provider, session.team_id, client.complete_link(token))


@contextmanager
def given_back_if_lost(
    context: SyncContext, provider: Provider, team_id: TeamId, linked: LinkedConnection
) -> Iterator[None]:
    """
    Have a consent ended that nobody can keep: nothing else knows it.

    Its team was erased meanwhile, or what is stored of the accounts that it is compared with does
    not open.
    """
    try:
        yield
    except (NotFoundError, SecretError):
        _give_back(context, provider, team_id, linked)
        raise


def _give_back(
    context: SyncContext, provider: Provider, team_id: TeamId, linked: LinkedConnection
) -> None:
    """Have a consent ended, but for one that a connection has: a repair keeps its own."""
    with context.engine.begin() as db:
        if is_consent_of_any(db, provider, linked.external_id):
            return
        insert_consent_to_end(
            db,
            provider,
            linked.credential,
            connection_id=None,
            team_id=team_id if hold_team(db, team_id) else None,
            reason=NOT_USED,
            vault=context.vault,
            now=context.clock(),
        )


def abandon_renewals(context: SyncContext, db: sa.Connection, connection: Connection) -> None:
    """Give up the renewals of a connection that have begun."""
    now = context.clock()
    begun = load_open_link_sessions(
        db, connection.team_id, renews=connection.id, vault=context.vault
    )
    for session in begun:
        _abandon(context, db, session, now)


def abandon_links(context: SyncContext, db: sa.Connection, team_id: TeamId) -> int:
    """Give up what a team has begun to link, and forget all its links; return how many."""
    now = context.clock()
    for session in load_open_link_sessions(db, team_id, vault=context.vault):
        _abandon(context, db, session, now)
    return delete_link_sessions_of(db, team_id)


def check_browser(context: SyncContext, session: LinkSession, browser: SecretStr | None) -> None:
    """
    Make sure that a link which began in a browser ends in it.

    Raises:
        OtherBrowserError: it is another browser, or none.
    """
    bound_to = session.browser_fingerprint
    if bound_to is None:
        return
    given = b"" if browser is None else context.vault.fingerprint(browser.get_secret_value())
    if not hmac.compare_digest(bound_to, given):
        raise OtherBrowserError("the link was begun in another browser")


def keep_accounts(
    db: sa.Connection,
    connection_id: ConnectionId,
    linked: LinkedConnection,
    *,
    vault: Vault,
    now: datetime,
) -> None:
    """Keep what came with the link itself: some providers tell it this once only."""
    origin = _archive(db, connection_id, linked, vault, now)
    answer = linked.accounts
    if answer is None:
        return
    connection = load_connection(db, connection_id)
    saved = save_accounts(db, connection, answer.accounts, vault=vault, now=now)
    account_ids = {name: one.id for name, one in saved.held.items()}
    save_balances(
        db,
        connection,
        answer.balances,
        account_ids=account_ids,
        sync_run_id=origin,
        now=now,
    )
    save_choices(db, account_ids.values(), now=now)


def keep_next_consent(
    context: SyncContext,
    db: sa.Connection,
    connection: Connection,
    provider: Provider,
    linked: LinkedConnection,
) -> None:
    """
    Keep a new consent of a connection: the next sync reads by it, and only then it is in use.

    Where the provider made no new one, it is in use at once.

    Raises:
        ConcurrentSyncError: another connection has this consent.
    """
    now = context.clock()
    note_act(context, db, AuditAction.RENEWED, connection, provider=provider.value)
    if (provider, linked.external_id) == (connection.provider, connection.external_id):
        store_credential(db, connection.id, linked.credential, vault=context.vault, now=now)
        keep_accounts(db, connection.id, linked, vault=context.vault, now=now)
        replace_connection(
            db,
            connection.id,
            external_id=linked.external_id,
            consent_expires_at=linked.consent_expires_at,
            now=now,
        )
        return
    if load_connection_by_external_id(db, provider, linked.external_id) is not None:
        raise ConcurrentSyncError("another connection has this consent")
    _archive(db, connection.id, linked, context.vault, now)
    answer = linked.accounts
    store_next_consent(
        db,
        connection.id,
        provider,
        external_id=linked.external_id,
        credential=linked.credential,
        institution=(linked.institution_external_id, linked.institution_name),
        consent_expires_at=linked.consent_expires_at,
        told=_to_told(answer),
        vault=context.vault,
        now=now,
    )
    request_sync(db, connection.id, reason=CONSENT_TO_COME, now=now)


def _to_told(answer: AccountsAnswer | None) -> tuple[tuple, tuple] | None:  # type: ignore[type-arg]
    return None if answer is None else (answer.accounts, answer.balances)


def _archive(
    db: sa.Connection,
    connection_id: ConnectionId,
    linked: LinkedConnection,
    vault: Vault,
    now: datetime,
) -> SyncRunId:
    origin = SyncRunId(new_id())  # no sync brought it
    if linked.raw is not None:
        save_raw_payload(db, connection_id, origin, linked.raw, vault=vault, now=now)
    if linked.accounts is not None:
        rows = linked.accounts.quarantined
        save_quarantined(db, connection_id, rows, vault=vault, sync_run_id=origin, now=now)
    return origin


def _abandon(context: SyncContext, db: sa.Connection, session: LinkSession, now: datetime) -> None:
    client = context.providers.get(session.provider)
    if client is None or not client.capabilities.is_consent_made_at_start:
        return
    insert_consent_to_end(
        db,
        session.provider,
        session.state,
        connection_id=None,
        team_id=session.team_id,
        reason=ABANDONED,
        vault=context.vault,
        now=now,
    )
