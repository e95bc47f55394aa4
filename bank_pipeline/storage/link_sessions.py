"""Links under way: who started one, until the provider says how it ended."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId, TeamId
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import connections, link_sessions

EXPIRED: Final = "expired"
LINKED: Final = "linked"


@dataclass(frozen=True)
class LinkSession:
    """
    One link. `outcome` is None while it is open; `state` is the provider's name of it.

    `connection_ids` are what it yielded, or renewed. `is_other_login`: the person said that it
    is no connection that is there already. `browser_fingerprint` is that of the browser that
    began it on a page of ours, None of a link that was begun elsewhere.
    """

    id: LinkSessionId
    team_id: TeamId
    provider: Provider
    state: SecretStr
    renews_connection_id: ConnectionId | None
    outcome: str | None
    connection_ids: tuple[ConnectionId, ...]
    expires_at: datetime
    is_other_login: bool = False
    browser_fingerprint: bytes | None = None


def insert_link_session(  # noqa: PLR0913 - a row, by the names of its columns
    db: sa.Connection,
    *,
    team_id: TeamId,
    provider: Provider,
    state: SecretStr,
    return_state: SecretStr,
    vault: Vault,
    renews: ConnectionId | None,
    expires_at: datetime,
    now: datetime,
    is_other_login: bool = False,
    browser: SecretStr | None = None,
) -> LinkSessionId:
    """
    Remember who begins a link.

    The provider's `state` is stored encrypted, and found by fingerprint; so is `return_state`,
    which comes back with the customer, and what only their `browser` knows.
    """
    session_id = LinkSessionId(new_id())
    sealed = vault.encrypt(state, session_id)
    row = {
        "id": session_id,
        "team_id": team_id,
        "provider": provider,
        "state_fingerprint": vault.fingerprint(state.get_secret_value()),
        "return_fingerprint": vault.fingerprint(return_state.get_secret_value()),
        "state_ciphertext": sealed.ciphertext,
        "key_id": sealed.key_id,
        "renews_connection_id": renews,
        "created_at": now,
        "expires_at": expires_at,
        "is_other_login": is_other_login,
        "browser_fingerprint": (
            None if browser is None else vault.fingerprint(browser.get_secret_value())
        ),
    }
    db.execute(sa.insert(link_sessions).values(row))
    return session_id


def load_link_session(db: sa.Connection, session_id: LinkSessionId, *, vault: Vault) -> LinkSession:
    """
    Load one link, open or not.

    Raises:
        NotFoundError: there is none with this id.
        SecretError: its state does not open.
    """
    row = db.execute(sa.select(link_sessions).where(link_sessions.c.id == session_id))
    return _to_session(row.one_or_none(), vault)


def load_open_link_session(db: sa.Connection, state: SecretStr, *, vault: Vault) -> LinkSession:
    """
    Load the open link that the provider names by this state.

    Raises:
        NotFoundError: no open link has it.
    """
    fingerprint = vault.fingerprint(state.get_secret_value())
    query = sa.select(link_sessions).where(
        link_sessions.c.state_fingerprint == fingerprint, link_sessions.c.finished_at.is_(None)
    )
    return _to_session(db.execute(query).one_or_none(), vault)


def load_returned_link_session(
    db: sa.Connection, return_state: SecretStr, *, vault: Vault
) -> LinkSession:
    """
    Load the link, open or not, whose customer comes back with this state.

    Raises:
        NotFoundError: no link has it.
    """
    fingerprint = vault.fingerprint(return_state.get_secret_value())
    query = sa.select(link_sessions).where(link_sessions.c.return_fingerprint == fingerprint)
    return _to_session(db.execute(query).one_or_none(), vault)


def check_link_of(db: sa.Connection, session_id: LinkSessionId, team_id: TeamId) -> None:
    """
    Make sure that a team began this link.

    Raises:
        NotFoundError: it did not, whether or not there is such a link.
    """
    query = sa.select(link_sessions.c.id).where(
        link_sessions.c.id == session_id, link_sessions.c.team_id == team_id
    )
    if db.scalar(query) is None:
        raise NotFoundError("there is no such link session")


def finish_link_session(
    db: sa.Connection,
    session_id: LinkSessionId,
    *,
    outcome: str,
    now: datetime,
    connection_ids: Sequence[ConnectionId] = (),
) -> bool:
    """Say how a link ended; return whether it was open. The first word stays."""
    statement = sa.update(link_sessions).where(
        link_sessions.c.id == session_id, link_sessions.c.finished_at.is_(None)
    )
    values = {"outcome": outcome, "finished_at": now, "connection_ids": [*connection_ids]}
    return db.execute(statement.values(values)).rowcount == 1


def load_overdue_link_ids(db: sa.Connection, *, before: datetime) -> list[LinkSessionId]:
    """Load the ids of the open links whose time was over by then."""
    query = sa.select(link_sessions.c.id).where(
        link_sessions.c.finished_at.is_(None), link_sessions.c.expires_at <= before
    )
    return [LinkSessionId(id_) for id_ in db.scalars(query)]


def is_linked_since(db: sa.Connection, session: LinkSession, *, bank: str | None) -> bool:
    """
    Say whether the team began another link after this one, and it came to what this one is of.

    That is the connection to be renewed, or else one of this `bank` at its provider.
    """
    later, linked = link_sessions.alias(), connections.c
    begun_at = sa.select(link_sessions.c.created_at).where(link_sessions.c.id == session.id)
    is_it = (
        (linked.provider == session.provider) & (linked.institution_external_id == bank)
        if session.renews_connection_id is None
        else linked.id == session.renews_connection_id
    )
    query = sa.exists().where(
        later.c.team_id == session.team_id,
        later.c.created_at > begun_at.scalar_subquery(),
        linked.id == sa.any_(later.c.connection_ids),
        is_it,
    )
    return db.scalar(sa.select(query)) is True


def load_open_link_sessions(
    db: sa.Connection, team_id: TeamId, *, renews: ConnectionId | None = None, vault: Vault
) -> list[LinkSession]:
    """
    Load the links that a team has begun and that have not ended, or one's renewals alone.

    Without those whose state does not open, its key lost: nothing can be ended by them.
    """
    query = sa.select(link_sessions).where(
        link_sessions.c.team_id == team_id, link_sessions.c.finished_at.is_(None)
    )
    if renews is not None:
        query = query.where(link_sessions.c.renews_connection_id == renews)
    found = []
    for row in db.execute(query):
        with suppress(SecretError):
            found.append(_to_session(row, vault))
    return found


def delete_link_sessions_of(db: sa.Connection, team_id: TeamId) -> int:
    """Forget all links of a team, so that nobody who comes back finds one; return how many."""
    statement = sa.delete(link_sessions).where(link_sessions.c.team_id == team_id)
    return db.execute(statement).rowcount


def is_linked_by(
    db: sa.Connection, connection_id: ConnectionId, browser: SecretStr, *, vault: Vault
) -> bool:
    """Say whether a link that this browser began yielded the connection: not an older one."""
    query = sa.select(link_sessions.c.id).where(
        link_sessions.c.browser_fingerprint == vault.fingerprint(browser.get_secret_value()),
        link_sessions.c.connection_ids.contains([connection_id]),
        link_sessions.c.outcome == LINKED,
    )
    return db.scalar(query.limit(1)) is not None


def _to_session(row: sa.Row[tuple[object, ...]] | None, vault: Vault) -> LinkSession:
    if row is None:
        raise NotFoundError("There is no such link session")
    sealed = Sealed(bytes(row.state_ciphertext), row.key_id)
    return LinkSession(
        id=row.id,
        team_id=row.team_id,
        provider=Provider(row.provider),
        state=vault.decrypt(sealed, row.id),
        renews_connection_id=row.renews_connection_id,
        outcome=row.outcome,
        connection_ids=tuple(ConnectionId(one) for one in row.connection_ids),
        expires_at=row.expires_at,
        is_other_login=row.is_other_login,
        browser_fingerprint=_to_bytes(row.browser_fingerprint),
    )


def _to_bytes(value: memoryview | bytes | None) -> bytes | None:
    return None if value is None else bytes(value)
