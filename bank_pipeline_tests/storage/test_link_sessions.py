"""Link sessions: found by what the provider sends back, which is never stored in the clear."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import NotFoundError, SecretError
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.link_sessions import (
    finish_link_session,
    insert_link_session,
    load_link_session,
    load_open_link_session,
    load_overdue_link_ids,
)
from bank_pipeline.storage.tables import link_sessions
from bank_pipeline_tests.storage.linked import Linked

STATE = SecretStr("link-sandbox-af1a0311-da53-4636-b754-dd15cc058176")


def insert(
    db: sa.Connection,
    linked: Linked,
    vault: Vault,
    now: datetime,
    *,
    state: SecretStr = STATE,
    renews: ConnectionId | None = None,
) -> LinkSessionId:
    """Begin a link that lasts half an hour."""
    return insert_link_session(
        db,
        team_id=linked.connection.team_id,
        provider=Provider.PLAID,
        state=state,
        return_state=SecretStr(f"return-{state.get_secret_value()}"),
        vault=vault,
        renews=renews,
        expires_at=now + timedelta(minutes=30),
        now=now,
    )


def test_an_open_link_is_found_by_its_id_and_by_its_state(
    db: sa.Connection, linked: Linked, vault: Vault, now: datetime
) -> None:
    """Both give the same, with the state opened and what it renews."""
    session_id = insert(db, linked, vault, now, renews=linked.connection.id)

    session = load_link_session(db, session_id, vault=vault)

    assert load_open_link_session(db, STATE, vault=vault) == session
    assert (session.id, session.state, session.outcome) == (session_id, STATE, None)
    assert session.renews_connection_id == linked.connection.id
    assert session.team_id == linked.connection.team_id


def test_the_state_is_not_readable_in_the_database(
    db: sa.Connection, linked: Linked, vault: Vault, now: datetime
) -> None:
    """Whoever reads the table cannot finish somebody's link, nor open it with another key."""
    session_id = insert(db, linked, vault, now)

    row = str(db.execute(sa.select(link_sessions)).one())
    assert STATE.get_secret_value() not in row
    with pytest.raises(SecretError):
        load_link_session(db, session_id, vault=Vault([bytes(32)]))


def test_the_first_word_on_how_it_ended_stays(
    db: sa.Connection, linked: Linked, vault: Vault, now: datetime
) -> None:
    """A finished link is no longer found by its state."""
    session_id = insert(db, linked, vault, now)

    words = [finish_link_session(db, session_id, outcome=o, now=now) for o in ("linked", "left")]

    assert words == [True, False]
    assert load_link_session(db, session_id, vault=vault).outcome == "linked"
    with pytest.raises(NotFoundError):
        load_open_link_session(db, STATE, vault=vault)


def test_a_link_is_overdue_when_its_time_is_over(
    db: sa.Connection, linked: Linked, vault: Vault, now: datetime
) -> None:
    """Not a moment before, nor once it has ended; and an unknown one is not found."""
    session_id = insert(db, linked, vault, now)
    over = now + timedelta(minutes=30)

    def overdue(before: datetime) -> list[LinkSessionId]:
        return load_overdue_link_ids(db, before=before)

    assert (overdue(over - timedelta(seconds=1)), overdue(over)) == ([], [session_id])
    finish_link_session(db, session_id, outcome="left", now=now)
    assert overdue(over) == []
    with pytest.raises(NotFoundError):
        load_link_session(db, LinkSessionId(new_id()), vault=vault)
