"""Linking: what the customer decides is kept once, whoever asks, however often, and whenever."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.errors import (
    BankPipelineError,
    ConcurrentSyncError,
    ConfigurationError,
    ReauthRequiredError,
)
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.locks import link_lock
from bank_pipeline.sync import link
from bank_pipeline.sync.link import link_with_token, start_link
from bank_pipeline.sync.linked import LinkState
from bank_pipeline_tests.sync.ground import CHECKING, SAVINGS, SYNC, Ground

COFFEE = Decimal("-4.50")
LOGIN_REQUIRED = "ITEM_LOGIN_REQUIRED"


class PowerCutError(Exception):
    """The process ends here."""


@contextmanager
def power_cut_before(engine: sa.Engine, statement: str) -> Iterator[None]:
    """End whatever is about to send this statement."""

    def cut(_db: object, _cursor: object, sql: str, *_: object) -> None:
        if statement in sql:
            raise PowerCutError

    sa.event.listen(engine, "before_cursor_execute", cut)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", cut)


def test_a_link_yields_a_connection_that_is_due_at_once(ground: Ground) -> None:
    session_id, url = ground.begin_link()
    assert ground.complete(session_id) == LinkState(is_finished=False)

    ground.decide(url)
    state = ground.complete(session_id)

    [connection_id] = state.connection_ids
    held = ground.connection(connection_id)
    assert (state.is_finished, state.exit_reason) == (True, None)
    assert held.status is ConnectionStatus.PENDING
    assert held.next_attempt_at == ground.context.clock()


def test_only_the_accounts_that_the_customer_shares_are_stored(ground: Ground) -> None:
    connection = ground.link_ready("login-1", CHECKING)

    assert ground.query("SELECT name FROM bank.accounts") == [("Everyday Checking",)]
    assert ground.differences(connection) == []


def test_a_customer_who_leaves_has_no_connection(ground: Ground) -> None:
    session_id, url = ground.begin_link()

    ground.leave(url)
    state = ground.complete(session_id)

    assert (state.is_finished, state.connection_ids) == (True, ())
    assert state.exit_reason is not None
    assert ground.complete(session_id) == state
    assert ground.count("connections") == 0


def test_a_second_completion_is_harmless_and_says_that_the_link_succeeded(
    ground: Ground,
) -> None:
    session_id, url = ground.begin_link()
    ground.decide(url)
    ground.complete(session_id)

    again = ground.complete(session_id)

    assert (again.is_finished, again.exit_reason) == (True, None)
    assert ground.count("connections") == 1


def test_completions_at_once_keep_one_connection(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes too late waits and is told the same; nobody makes a second connection."""
    monkeypatch.setattr(link, "_LINK_WAIT_S", 60)
    session_id, url = ground.begin_link()
    ground.decide(url)

    with ThreadPoolExecutor(4) as pool:
        states = [*pool.map(lambda _: ground.complete(session_id), range(4))]

    assert len({state.connection_ids for state in states}) == 1
    assert all(state.connection_ids for state in states)
    assert ground.count("connections") == 1
    assert ground.count("credentials") == 1
    assert ground.complete(session_id).is_finished


def test_whoever_waits_too_long_for_another_asks_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_LINK_WAIT_S", 0)
    session_id, url = ground.begin_link()
    ground.decide(url)

    with link_lock(ground.engine, session_id, wait_s=0):
        assert ground.complete(session_id) == LinkState(is_finished=False)

    assert ground.complete(session_id).is_finished


def test_a_link_that_dies_after_its_token_was_spent_says_so(ground: Ground) -> None:
    """Plaid gives a credential once: without it the customer must link again, and is told."""
    session_id, url = ground.begin_link()
    ground.decide(url)

    with power_cut_before(ground.engine, "UPDATE bank.link_sessions"), pytest.raises(PowerCutError):
        ground.complete(session_id)

    assert ground.count("connections") == 0  # all or nothing: no connection without its end
    with pytest.raises(ConfigurationError, match="INVALID_PUBLIC_TOKEN"):
        ground.complete(session_id)


def test_a_link_killed_before_its_token_was_spent_completes_later(ground: Ground) -> None:
    session_id, url = ground.begin_link()
    ground.decide(url)
    ground.fail("/item/public_token/exchange", "INTERNAL_SERVER_ERROR")

    with pytest.raises(BankPipelineError):
        ground.complete(session_id)
    state = ground.complete(session_id)

    assert len(state.connection_ids) == 1


def test_a_token_from_elsewhere_is_kept_too(ground: Ground, sandbox: SandboxServer) -> None:
    session_id, url = ground.begin_link()
    ground.decide(url)
    with ground.engine.connect() as db:
        query = sa.text("SELECT count(*) FROM bank.link_sessions WHERE finished_at IS NULL")
        assert db.scalar(query) == 1
    with sandbox.plaid.lock:
        item = next(iter(sandbox.plaid.items))
        token = sandbox.plaid.items.new_public_token(item, sandbox.clock.now())

    connection = link_with_token(ground.context, Provider.PLAID, SecretStr(token), team_name="home")

    assert ground.connection(connection).external_id == item.item_id
    assert session_id


def test_the_same_item_told_twice_is_one_connection(ground: Ground, sandbox: SandboxServer) -> None:
    connection = ground.link_ready()
    with sandbox.plaid.lock:
        item = next(iter(sandbox.plaid.items))
        tokens = [sandbox.plaid.items.new_public_token(item, sandbox.clock.now()) for _ in "12"]

    again = link_with_token(ground.context, Provider.PLAID, SecretStr(tokens[0]), team_name="home")

    assert again == connection
    with pytest.raises(ConcurrentSyncError, match="another team"):
        link_with_token(ground.context, Provider.PLAID, SecretStr(tokens[1]), team_name="others")
    assert ground.count("credentials") == 1


def test_a_renewal_keeps_the_connection_its_rows_and_their_ids(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    before = ground.rows()
    ground.break_item(connection)
    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)
    ground.world.add_booked(CHECKING, Decimal(-9))

    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url)
    state = ground.complete(session_id)

    assert state == LinkState(
        is_finished=True, connection_ids=(connection,), renewed_ids=(connection,)
    )
    held = ground.connection(connection)
    assert (held.status, held.next_attempt_at) == (ConnectionStatus.ACTIVE, ground.context.clock())
    ground.sync(connection)
    assert ground.rows()[:1] == before
    assert ground.count("connections") == 1
    assert ground.differences(connection) == []


def test_an_account_that_is_shared_only_with_the_renewal_is_read_with_its_history(
    ground: Ground,
) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    ground.world.add_booked(SAVINGS, Decimal(20))
    connection = ground.link_ready("login-1", CHECKING)
    before = ground.rows()

    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url, "login-1", CHECKING, SAVINGS)
    ground.complete(session_id)
    ground.sync(connection)

    assert [row.amount for row in ground.rows()] == [COFFEE, Decimal(20)]
    assert ground.rows()[:1] == before
    assert ground.differences(connection) == []


def test_a_renewal_that_the_customer_leaves_changes_nothing(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.break_item(connection)
    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)

    session_id, url = ground.begin_link(renews=connection)
    ground.leave(url)
    state = ground.complete(session_id)

    assert (state.is_finished, state.connection_ids) == (True, ())
    assert ground.connection(connection).status is ConnectionStatus.NEEDS_REAUTH


def test_a_renewal_that_comes_back_after_its_connection_was_switched_changes_nothing(
    ground: Ground,
) -> None:
    """What it yields opens the consent that the connection had before, and would switch it back."""
    connection = ground.link_ready()
    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url)
    ground.execute(
        "UPDATE bank.connections SET provider = 'gocardless', external_id = 'requisition-1'"
    )

    state = ground.complete(session_id)

    assert (state.connection_ids, state.exit_reason) == ((), "switched")
    assert ground.query("SELECT 1 FROM bank.next_consents") == []


def test_a_renewed_consent_no_longer_expires_soon(ground: Ground) -> None:
    """European consents end after 180 days; a renewal counts from its own day."""
    ground.world.add_booked("acc-2-1", COFFEE)
    connection = ground.link_ready("login-2", "acc-2-1")
    ground.pass_time(timedelta(days=175))
    ground.sync(connection)
    assert ground.connection(connection).status is ConnectionStatus.EXPIRING

    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url, "login-2")
    ground.complete(session_id)
    ground.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ACTIVE, None)
    assert held.consent_expires_at is not None
    assert held.consent_expires_at - ground.context.clock() > timedelta(days=179)


def test_a_consent_renewed_elsewhere_is_noticed_before_it_seems_to_end(ground: Ground) -> None:
    ground.world.add_booked("acc-2-1", COFFEE)
    connection = ground.link_ready("login-2", "acc-2-1")
    ground.pass_time(timedelta(days=170))
    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url, "login-2")  # the customer is done, but nobody asks how it went

    ground.sync(connection)

    assert session_id
    assert ground.connection(connection).status is ConnectionStatus.ACTIVE
    assert ground.calls(SYNC) == 2


def test_a_link_that_cannot_begin_leaves_no_trace(ground: Ground) -> None:
    ground.fail("/link/token/create", "INVALID_API_KEYS")

    with pytest.raises(ConfigurationError):
        start_link(ground.context, Provider.PLAID, team_name="home")

    assert ground.count("link_sessions") == 0


def test_the_credential_is_stored_sealed(ground: Ground, sandbox: SandboxServer) -> None:
    connection = ground.link()

    with ground.engine.connect() as db:
        opened = load_credential(db, connection, ground.context.vault)

    assert opened.get_secret_value() == next(iter(sandbox.plaid.items)).access_token
    [[ciphertext]] = ground.query("SELECT ciphertext FROM bank.credentials")
    assert opened.get_secret_value().encode() not in bytes(ciphertext)
