"""What people and providers say while a sync is under way, or a consent is being exchanged."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import ReauthRequiredError, RefusedError, TransientError
from bank_pipeline.providers.base import EventKind, LinkedConnection, ProviderEvent
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.connections import request_sync
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.duplicates import drop_duplicate
from bank_pipeline.storage.listing import load_due_attempts
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.balance_rules import set_balance_rule
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.renewal import renew_twin
from bank_pipeline.sync.reports import Step
from bank_pipeline.sync.undo import undo
from bank_pipeline.sync.webhooks import store_event
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.between import LOCK, during_a_sync, just_before
from bank_pipeline_tests.sync.ground import CHECKING, READY, SYNC, Ground
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_reconnect import AMERICAN, GOCARDLESS

KINDS: Final = (AccountKind.CHECKING, AccountKind.SAVINGS)
DAY: Final = timedelta(days=1)
COFFEE: Final = Decimal("-4.50")
REVOKED: Final = "USER_PERMISSION_REVOKED"
ANSWERS: Final = "INSERT INTO bank.raw_payloads"


stage = staged(GOCARDLESS)
"""One provider, or those that a test names."""


class Beside:
    """Somebody else, who is waited for only as long as nothing holds them up."""

    def __init__(self, pool: ThreadPoolExecutor, act: Callable[[], object]) -> None:
        self._pool, self._act = pool, act
        self._done: Future[object] | None = None

    def __call__(self) -> None:
        self._done = self._pool.submit(self._act)
        wait([self._done], timeout=1)

    def result(self) -> None:
        assert self._done is not None
        self._done.result(60)


def renewed_by_another(ground: Ground) -> tuple[ConnectionId, str]:
    """Link a login twice, and take the second Item for the first connection's next consent."""
    first, second = ground.link_ready("login-1", CHECKING), ground.link("login-1", CHECKING)
    old, other = ground.connection(first), ground.connection(second)
    with ground.engine.begin() as db:
        linked = LinkedConnection(
            external_id=other.external_id,
            credential=load_credential(db, second, ground.context.vault),
            institution_external_id=old.institution_external_id,
            institution_name=old.institution_name,
        )
        db.execute(sa.text("DELETE FROM bank.connections WHERE id = :id"), {"id": second})
        assert renew_twin(ground.context, db, old, Provider.PLAID, linked)
    ground.pass_time(READY)
    return first, other.external_id


@pytest.mark.parametrize("code", [REVOKED, "PENDING_DISCONNECT"])
def test_what_is_told_of_the_old_consent_does_not_stop_the_new_one(
    announced: Ground, code: str
) -> None:
    """Customers tidy up, and providers tell late; the one that waits is tried all the same."""
    connection, new = renewed_by_another(announced)

    announced.fire(connection, code)

    now = announced.context.clock()
    with announced.engine.connect() as db:
        due = [one.connection_id for one in load_due_attempts(db, now=now, limit=9)]
    assert due == [connection]
    announced.sync(connection)
    held = announced.connection(connection)
    assert (held.external_id, held.status) == (new, ConnectionStatus.ACTIVE)


def test_the_end_of_the_old_consent_during_the_exchange_does_not_stop_the_new_one(
    announced: Ground,
) -> None:
    connection, new = renewed_by_another(announced)
    fire = partial(announced.fire, connection, REVOKED)

    with during_a_sync(announced.engine, fire):
        announced.sync(connection)

    held = announced.connection(connection)
    assert (held.external_id, held.status) == (new, ConnectionStatus.ACTIVE)


def test_a_sync_of_balances_stops_no_connection_whose_new_consent_waits(ground: Ground) -> None:
    connection, _ = renewed_by_another(ground)
    ground.fail("*", "ITEM_LOGIN_REQUIRED")

    with pytest.raises(TransientError):
        ground.sync(connection, steps=frozenset({Step.BALANCES}))

    assert ground.connection(connection).status.is_syncable


def test_a_providers_word_does_not_take_back_an_end(ground: Ground) -> None:
    """What is to be erased is, whatever is told of it in between."""
    connection = ground.link_ready()
    name = ground.connection(connection).external_id
    ground.fail("/item/remove", FaultKind.HTTP_STATUS, status=503, times=None)
    end = partial(disconnect, ground.context, connection, erase=True)
    event = ProviderEvent(Provider.PLAID, EventKind.REVOKED, REVOKED, name, event_key="key")

    with just_before(ground.engine, LOCK, act=end):
        store_event(ground.context, event, now=ground.context.clock())

    assert ground.connection(connection).status is ConnectionStatus.DISCONNECTED
    ground.sandbox.faults.clear()
    ground.pass_time(DAY)
    assert end_consents(ground.context).erased_count == 1
    assert disconnect(ground.context, connection, erase=True).is_erased


def test_an_account_that_is_left_out_during_a_sync_grows_no_more(stage: Stage) -> None:
    login, connection = stage.linked(*KINDS)
    stage.sync(connection)
    for kind in KINDS:
        stage.world.add_booked(stage.account(login, kind), COFFEE)
    stage.pass_time(DAY)
    ids = dict(stage.query("SELECT name, id::text FROM bank.accounts"))
    left_out = ids["Tagesgeld"]
    of = "WHERE account_id = :id"
    queries = (
        f"SELECT count(*) FROM bank.transactions {of}",
        f"SELECT count(*) FROM bank.balances {of}",
        f"SELECT first_day, last_day FROM bank.account_coverage {of}",
    )
    before = [stage.query(one, id=left_out) for one in queries]
    choose = partial(choose_accounts, stage.context, connection, [AccountId(ids["Girokonto"])])

    with just_before(stage.context.engine, ANSWERS, act=choose):
        stage.sync(connection)

    assert [stage.query(one, id=left_out) for one in queries] == before
    assert len(stage.live(amount=COFFEE)) == 1


def test_a_rule_that_is_decided_during_a_sync_is_what_counts(ground: Ground) -> None:
    """A balance is never shown by one rule and checked by another."""
    connection = ground.link_ready("login-1", CHECKING)
    of_account = "SELECT account_id::text, booked_balance FROM analytics.accounts"
    [[account, balance]] = ground.query(of_account)
    ground.world.add_booked(CHECKING, COFFEE)
    ground.pass_time(DAY)
    rule = BalanceRule(is_sign_flipped=True)
    now = ground.context.clock()

    with ThreadPoolExecutor(1) as pool:
        decide = Beside(
            pool, partial(set_balance_rule, ground.engine, AccountId(account), rule, now=now)
        )
        with just_before(ground.engine, "INSERT INTO bank.chosen_balances", act=decide):
            ground.sync(connection)
        decide.result()

    [[_, shown]] = ground.query(of_account)
    assert shown == -(balance + COFFEE)


def test_a_renewal_is_not_undone_by_a_sync_that_fails_in_the_same_moment(ground: Ground) -> None:
    connection = ground.link_ready()
    session_id, url = ground.begin_link(renews=connection)
    ground.decide(url)
    ground.fail(SYNC, "ITEM_LOGIN_REQUIRED")

    def fail() -> None:
        with pytest.raises(ReauthRequiredError):
            ground.sync(connection)

    with just_before(ground.engine, LOCK, act=fail):
        assert ground.complete(session_id).renewed_ids == (connection,)

    held = ground.connection(connection)
    assert held.status is ConnectionStatus.ACTIVE
    assert held.next_attempt_at is not None
    assert held.next_attempt_at <= ground.context.clock()


def test_a_sync_that_is_asked_for_while_another_begins_is_made(ground: Ground) -> None:
    """As by a new consent: the one that begins knows nothing of it."""
    connection = ground.link_ready()
    now = ground.context.clock()

    def ask() -> None:
        with ground.engine.begin() as db:
            request_sync(db, connection, reason="asked in between", now=now)

    with ThreadPoolExecutor(1) as pool:
        asking = Beside(pool, ask)
        with just_before(ground.engine, "INSERT INTO bank.sync_runs", act=asking):
            ground.sync(connection)
        asking.result()

    held = ground.connection(connection)
    assert held.next_attempt_at is not None
    assert held.next_attempt_at <= ground.context.clock()


def test_blocked_accounts_of_the_old_consent_stop_no_connection_whose_new_one_waits(
    stage: Stage,
) -> None:
    """It tells so without a failure of the whole, and the new one is tried again all the same."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    old = stage.connection(connection).external_id
    account = stage.account(login)
    blocked = stage.account_id(connection, account)
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    new = stage.next_account_id(account)
    for operation in stage.case.operations.values():
        stage.fail(operation, "access_forbidden", subject=blocked, times=None)
        stage.fail(operation, FaultKind.HTTP_STATUS, subject=new, status=503, times=None)

    with pytest.raises(TransientError):
        stage.sync(connection)

    held = stage.connection(connection)
    assert (held.external_id, held.status.is_syncable) == (old, True)
    assert held.next_attempt_at is not None


@pytest.mark.parametrize("stage", AMERICAN, ids=str, indirect=True)
def test_a_renewal_of_a_connection_that_is_ended_meanwhile_says_so(stage: Stage) -> None:
    """Nothing is stored by which it would live on."""
    login, connection = stage.linked()
    end = stage.agreed(login, renews=connection)

    with just_before(
        stage.context.engine, LOCK, act=partial(disconnect, stage.context, connection)
    ):
        state = end()

    assert (state.exit_reason, state.renewed_ids) == ("disconnected", ())
    assert stage.query("SELECT 1 FROM bank.credentials") == []
    end_consents(stage.context)
    assert stage.query("SELECT 1 FROM bank.consents_to_end WHERE ended_at IS NULL") == []


@pytest.mark.parametrize("is_told_before", [False, True])
def test_new_accounts_that_are_told_of_during_a_sync_are_asked_for_after_it(
    announced: Ground, *, is_told_before: bool
) -> None:
    connection = announced.link_ready("login-1", CHECKING)
    announced.pass_time(8 * DAY)  # the list is read once a week
    if is_told_before:
        announced.fire(connection, "NEW_ACCOUNTS_AVAILABLE")
    announced.world.add_booked(CHECKING, COFFEE)  # a feed with rows brings their accounts along
    fire = partial(announced.fire, connection, "NEW_ACCOUNTS_AVAILABLE")
    with during_a_sync(announced.engine, fire):
        announced.sync(connection)
    before = announced.calls("/accounts/get")

    announced.world.add_booked(CHECKING, COFFEE)
    announced.sync(connection)

    assert announced.calls("/accounts/get") == before + 1


def test_what_a_person_decided_of_a_row_is_not_undone_unasked(ground: Ground) -> None:
    """The next sync would bring it back, and it would count twice."""
    connection = ground.link_ready()
    ground.world.add_booked(CHECKING, COFFEE)
    ground.sync(connection)
    run_id, row = ground.runs(connection)[-1].id, ground.row(amount=COFFEE)
    with ground.engine.begin() as db:
        drop_duplicate(db, row.id, now=ground.context.clock())

    with pytest.raises(RefusedError, match="decisions"):
        undo(ground.context, run_id, discards_annotations=False)


def test_a_note_that_is_written_during_an_undo_is_not_lost_in_silence(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.world.add_booked(CHECKING, COFFEE)
    ground.sync(connection)
    run_id, row = ground.runs(connection)[-1].id, ground.row(amount=COFFEE)
    note = (
        "INSERT INTO bank.transaction_annotations (transaction_id, team_id, note, updated_at) "
        "SELECT id, team_id, 'mine', now() FROM bank.transactions WHERE id = :id"
    )

    with ThreadPoolExecutor(1) as pool:
        noting = Beside(pool, partial(ground.execute, note, id=row.id))
        with just_before(ground.engine, "DELETE FROM bank.transactions", act=noting):
            undo(ground.context, run_id, discards_annotations=False)
        with pytest.raises(sa.exc.IntegrityError):  # whoever writes it is told
            noting.result()
