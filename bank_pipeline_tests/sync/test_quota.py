"""Counted calls: which are made again after a failure, and which are not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.errors import BusyError, RateLimitedError, TransientError
from bank_pipeline.providers.base import Scope
from bank_pipeline.providers.metering import CallFacts, EndedCall, PlannedCall, Subject
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.context import Clock
from bank_pipeline.sync.quota import RESERVED, SPENT, CallBook
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import TICK, Stage
from bank_pipeline_tests.sync.staging import staged, staged_at

COUNTED: Final = tuple(case for case in CASES if case.capabilities.quotas)
LEASE: Final = timedelta(minutes=15)
DAY: Final = timedelta(days=1)


stage = staged(COUNTED)
"""Each provider that counts calls."""
european = staged_at(Provider.ENABLE_BANKING)
"""The provider whose answers come in pages."""


def standing() -> datetime:
    """Tell the same time for ever."""
    return datetime(2027, 1, 1, tzinfo=UTC)


def open_book(
    stage: Stage,
    db: sa.Connection,
    connection: ConnectionId,
    reason: SyncReason,
    clock: Clock = standing,
) -> CallBook:
    """Open the book of a sync that nobody makes."""
    return CallBook(
        db,
        stage.connection(connection),
        stage.provider.capabilities,
        sync_run_id=SyncRunId("00000000-0000-0000-0000-000000000001"),
        reason=reason,
        is_user_present=False,
        clock=clock,
    )


def make_call(book: CallBook, scope: Scope, status: int | None = 200, cost: int = 1) -> None:
    """Make a call for the account `one`, which comes to this."""
    planned = PlannedCall(Provider.GOCARDLESS, "accounts/one", Subject("one", scope, cost))
    book.end(book.begin(planned), EndedCall(status, 12, CallFacts()))


def test_calls_that_a_clock_dated_that_was_days_ahead_are_long_ago(stage: Stage) -> None:
    """Set back again, nothing was read until the time came: all was spent, and all was fresh."""
    login = stage.new_login()
    account = stage.account(login)
    connection = stage.link(login)
    stage.sync(connection)
    for _ in range(2):
        stage.pass_time(timedelta(hours=1))
        stage.sync(connection, SyncReason.SCHEDULE)
    with stage.context.engine.begin() as db:
        db.execute(
            sa.text("UPDATE bank.provider_calls SET called_at = called_at + :by"), {"by": 30 * DAY}
        )
    stage.pass_time(DAY)
    stage.world.add_booked(account, Decimal("-4.00"))

    stage.sync(connection, SyncReason.RECOVERY)

    assert stage.differences(connection) == []


def test_pages_that_broke_off_are_asked_for_again_by_the_next_try(european: Stage) -> None:
    """What came lands at once; that it was applied does not make it whole."""
    stage = european
    login = stage.new_login()
    account = stage.account(login)
    stage.world.add_booked(account, Decimal("-4.00"))
    connection = stage.link(login)
    subject = stage.account_id(connection, account)
    stage.fail(stage.case.transactions, FaultKind.EMPTY_PAGE, subject=subject)  # and one more
    stage.fail(
        stage.case.transactions,
        FaultKind.HTTP_STATUS,
        status=503,
        subject=subject,
        times=None,
        after=1,
    )
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.INITIAL)
    assert stage.live() == []
    assert stage.connection(connection).history_stage is HistoryStage.INITIAL

    stage.heal()
    stage.pass_time(LEASE)
    stage.sync(connection, SyncReason.RECOVERY)

    assert len(stage.live()) == 1
    assert stage.differences(connection) == []


def test_a_repetition_reads_only_what_failed(stage: Stage) -> None:
    logins = iter(stage.new_login, None)
    login = next(one for one in logins if len(stage.world.login_accounts(one)) > 1)
    connection = stage.link(login)
    stage.sync(connection)
    stage.pass_time(DAY)
    accounts = [*stage.truth(connection)["accounts"]]
    code = "service_error" if stage.case.provider == "gocardless" else "ASPSP_ERROR"
    stage.fail(stage.case.transactions, code, subject=accounts[1], times=None)
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.SCHEDULE)
    stage.heal()
    stage.pass_time(LEASE)
    before = stage.calls()

    stage.sync(connection, SyncReason.RECOVERY)

    made = stage.calls() - before
    names = {name.partition(":")[2] for name in stage.case.operations.values()}
    asked = {key for key in made if key[0] in names}
    # Its balances, too: nobody asks a bank for them that has just failed.
    assert asked == {("transactions", accounts[1]), ("balances", accounts[1])}
    assert stage.differences(connection) == []


def test_a_repetition_that_needs_to_ask_for_nothing_is_no_new_success(stage: Stage) -> None:
    """The time of the last success is what people judge by how old their numbers are."""
    connection = stage.link(stage.new_login())
    stage.sync(connection)
    before = stage.connection(connection)
    stage.pass_time(DAY / 6)
    stage.sync(connection, SyncReason.RECOVERY)

    after = stage.connection(connection)
    assert after.last_success_at == before.last_success_at
    assert after.status is before.status
    stage.pass_time(DAY / 6)
    stage.sync(connection, SyncReason.RECOVERY)
    later = stage.connection(connection)
    assert later.last_success_at is not None
    assert before.last_success_at is not None
    assert later.last_success_at > before.last_success_at


def spend_all(stage: Stage, connection: ConnectionId) -> None:
    """Sync until no call is left."""
    for _ in range(5):
        try:
            stage.sync(connection, SyncReason.MANUAL)
        except RateLimitedError:
            return
    raise AssertionError("nobody counts")


def test_when_every_call_is_spent_nothing_is_asked_and_the_next_try_has_a_date(
    stage: Stage,
) -> None:
    login, connection = stage.linked()
    spend_all(stage, connection)
    stage.world.add_booked(stage.account(login), Decimal("-4.00"))
    before = stage.calls()
    with pytest.raises(RateLimitedError) as raised:
        stage.sync(connection, SyncReason.MANUAL)

    assert raised.value.code == SPENT
    names = {name.partition(":")[2] for name in stage.case.operations.values()}
    assert not {key for key in stage.calls() - before if key[0] in names}
    after = stage.connection(connection)
    assert after.status is ConnectionStatus.ACTIVE
    assert after.next_attempt_at is not None
    stage.pass_time(after.next_attempt_at - stage.world.clock.now() + DAY)
    stage.sync(connection, SyncReason.RECOVERY)
    assert stage.differences(connection) == []


def test_of_two_syncs_at_once_one_is_refused_and_spends_nothing(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.pass_time(DAY)
    stage.world.add_booked(stage.account(login), Decimal("-4.00"))
    request = SyncRequest(connection, SyncReason.MANUAL)
    refused: list[BusyError] = []

    def clock() -> datetime:
        if not refused:
            spent = stage.query("SELECT count(*) FROM bank.provider_calls")
            try:
                sync_connection(stage.context, request)
            except BusyError as error:
                refused.append(error)
            assert stage.query("SELECT count(*) FROM bank.provider_calls") == spent
        return stage.sandbox.clock.now()

    sync_connection(replace(stage.context, clock=clock), request)

    assert len(refused) == 1
    assert len(stage.live()) == 1
    assert stage.differences(connection) == []


def test_a_call_whose_answer_is_not_whole_is_not_among_those_to_be_applied(
    stage: Stage,
) -> None:
    _, connection = stage.linked()
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.RECOVERY)
        with book.spend(Scope.TRANSACTIONS, "one") as call:
            make_call(book, Scope.TRANSACTIONS)
            call.is_whole = False
        assert book.answered == []
        with book.spend(Scope.TRANSACTIONS, "one"):
            make_call(book, Scope.TRANSACTIONS)
        assert len(book.answered) == 1


def test_a_renewal_does_not_forget_the_calls_of_the_day(european: Stage) -> None:
    """The account goes by another id then, and its bank goes on counting."""
    stage = european
    login, connection = stage.linked()
    stage.pass_time(DAY)
    for _ in range(4):
        stage.pass_time(timedelta(minutes=1))
        stage.sync(connection, SyncReason.MANUAL)
    made = stage.calls()
    stage.consent(login, AccountKind.CHECKING, renews=connection)

    with pytest.raises(RateLimitedError):
        stage.sync(connection, SyncReason.MANUAL)

    asked = {scope for scope, _ in stage.calls() - made}
    assert "transactions" not in asked
    held = stage.connection(connection)
    assert held.next_attempt_at is not None
    stage.pass_time(DAY)
    stage.sync(connection, SyncReason.RECOVERY)
    assert stage.differences(connection) == []


def test_a_new_consent_that_reads_nothing_takes_no_calls_along(european: Stage) -> None:
    """The old one stays in use, and so does the name that its account's calls are counted by."""
    stage = european
    login, connection = stage.linked()
    account = stage.account_id(connection, stage.account(login))
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    new = stage.next_account_id(stage.account(login))
    for operation in stage.case.operations.values():
        stage.fail(operation, FaultKind.HTTP_STATUS, subject=new, status=503, times=None)
    stage.pass_time(DAY)

    stage.sync(connection, SyncReason.SCHEDULE)

    read = "SELECT count(*) FROM bank.provider_calls WHERE outcome = 'applied' AND called_at > :at"
    of_account = f"{read} AND account_external_id = :account"
    at = stage.sandbox.clock.now() - timedelta(minutes=1)
    assert stage.query(of_account, at=at, account=account) == stage.query(read, at=at) != [(0,)]


def test_reserved_calls_become_those_that_are_made_and_the_others_are_forgotten(
    stage: Stage,
) -> None:
    _, connection = stage.linked()
    held = "SELECT operation, outcome FROM bank.provider_calls WHERE account_external_id = :name"
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.SCHEDULE)
        book.reserve([(Scope.TRANSACTIONS, "one"), (Scope.TRANSACTIONS, "two")])
        assert stage.query(held, name="one") == stage.query(held, name="two") == [(RESERVED, None)]
        with book.spend(Scope.TRANSACTIONS, "one"):
            make_call(book, Scope.TRANSACTIONS)
        for _ in range(2):  # as when the first transaction came to nothing
            book.write(db, is_applied=True)

    assert stage.query(held, name="one") == [("accounts/one", "applied")]
    assert stage.query(held, name="two") == []
    at = "SELECT called_at FROM bank.provider_calls WHERE account_external_id = 'one'"
    assert stage.query(at) == [(datetime(2027, 1, 1, tzinfo=UTC),)]


def test_a_clock_that_goes_on_does_not_spend_what_is_left(stage: Stage) -> None:
    """Each look at it is a little later; what is due now was due at the look before."""
    _, connection = stage.linked()
    looks = iter(range(10**6))
    held = "SELECT count(*) FROM bank.provider_calls WHERE account_external_id = 'one'"
    with stage.session() as db:
        book = open_book(
            stage, db, connection, SyncReason.SCHEDULE, lambda: standing() + next(looks) * TICK
        )
        book.reserve([(Scope.TRANSACTIONS, "one")])
        assert stage.query(held) == [(1,)]
        with book.spend(Scope.TRANSACTIONS, "one"):
            make_call(book, Scope.TRANSACTIONS)
        assert stage.query(held) == [(1,)]


def test_what_killed_syncs_reserved_counts_and_none_above_the_limit_is_reserved(
    stage: Stage,
) -> None:
    _, connection = stage.linked()
    count = "SELECT count(*) FROM bank.provider_calls WHERE account_external_id = 'one'"
    with stage.session() as db:
        for _ in range(6):
            book = open_book(stage, db, connection, SyncReason.MANUAL)
            book.reserve([(Scope.TRANSACTIONS, "one")])
        assert stage.query(count) == [(4,)]
        with pytest.raises(RateLimitedError), book.spend(Scope.TRANSACTIONS, "one"):
            pytest.fail("nothing may be called")


def test_a_first_sync_that_a_limit_put_off_does_not_read_again_what_came(stage: Stage) -> None:
    """Nobody waits for its repetition: it is ours, and takes the schedule's share alone."""
    logins = iter(stage.new_login, None)
    login = next(one for one in logins if len(stage.world.login_accounts(one)) > 1)
    connection = stage.link(login)
    good, bad = [*stage.truth(connection)["accounts"]][:2]
    is_gocardless = stage.case.provider is Provider.GOCARDLESS
    stage.fail(
        stage.case.transactions,
        FaultKind.RATE_LIMITED,
        subject=bad,
        times=None,
        code="company_quota_gc" if is_gocardless else None,
        retry_after=None if is_gocardless else "600",
    )
    for _ in range(3):
        with pytest.raises(RateLimitedError):
            stage.sync(connection, SyncReason.INITIAL)
        due = stage.connection(connection).next_attempt_at
        assert due is not None
        stage.pass_time(due - stage.context.clock() + TICK)
    assert stage.calls()["transactions", good] == 1


def test_a_call_that_counts_twice_is_not_made_when_one_is_left(european: Stage) -> None:
    stage = european
    _, connection = stage.linked()
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.MANUAL)
        for _ in range(3):
            make_call(book, Scope.TRANSACTIONS)
        with pytest.raises(RateLimitedError):
            make_call(book, Scope.TRANSACTIONS, cost=2)
        make_call(book, Scope.TRANSACTIONS)


def test_a_success_whose_body_breaks_off_was_counted(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.pass_time(2 * DAY)
    account = stage.account_id(connection, stage.account(login))
    stage.fail(
        stage.case.transactions,
        FaultKind.TRUNCATED_BODY,
        subject=account,
        times=None,
        after_bytes=5,
    )
    since = stage.context.clock()
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.SCHEDULE)
    calls = stage.query(
        "SELECT outcome, is_counted, http_status FROM bank.provider_calls "
        "WHERE scope = 'transactions' AND called_at >= :since",
        since=since,
    )
    assert {*calls} == {("failed", True, 200)}
