"""Renewed, doubled, abandoned and ended consents: one set of accounts, and nothing left open."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.transitions import Transition
from bank_pipeline.errors import EndedError, SetupError
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.connections import apply_transition, load_connection
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.storage.tables import metadata
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.ending import end_consents, load_ending_due
from bank_pipeline.sync.link import check_not_linked, expire_links, start_link
from bank_pipeline.sync.questions import decide_question
from bank_pipeline.sync.renewal import renew_twin
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged

DAY: Final = timedelta(days=1)
COFFEE: Final = Decimal("-4.50")
RENAMING: Final = [case for case in CASES if case.capabilities.is_renewed_by_new_connection]
AMERICAN: Final = [CASES[0], CASES[3]]
GOCARDLESS: Final = [case for case in CASES if case.provider is Provider.GOCARDLESS]


stage = staged(RENAMING)
"""One provider, or as many as a test names."""


def events(stage: Stage) -> list[str]:
    return [row[0] for row in stage.query("SELECT reason FROM bank.connection_events ORDER BY id")]


def test_the_old_consent_is_in_use_until_the_new_one_has_read(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), COFFEE)
    stage.pass_time(DAY)
    old = stage.connection(connection).external_id
    stage.consent(login, AccountKind.CHECKING, renews=connection)

    new = stage.next_consent()
    account = stage.next_account_id(stage.account(login))
    for operation in stage.case.operations.values():
        stage.fail(operation, FaultKind.HTTP_STATUS, subject=account, status=503, times=None)
    stage.sync(connection)

    held = stage.connection(connection)
    assert (held.external_id, held.status) == (old, ConnectionStatus.ACTIVE)
    assert held.next_attempt_at is not None
    assert len(stage.live(amount=COFFEE)) == 1
    assert old in stage.external_ids()
    stage.heal()
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.connection(connection).external_id == new
    assert old not in stage.external_ids()
    assert stage.differences(connection) == []
    assert len(stage.live(amount=COFFEE)) == 1
    assert "new consent in use" in events(stage)


def test_a_consent_that_never_will_read_is_given_up(stage: Stage) -> None:
    login, connection = stage.linked()
    old = stage.connection(connection).external_id
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    new = stage.next_consent()
    stage.provider.disconnect(SecretStr(new))  # as when the customer withdraws it at the bank
    stage.pass_time(DAY)

    stage.sync(connection)

    assert stage.connection(connection).external_id == old
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
    assert [one for one in events(stage) if one and one.startswith("new consent given up")]
    end_consents(stage.context)
    assert old in stage.external_ids()
    assert new not in stage.external_ids()


def test_the_old_consent_is_ended_with_growing_waits_until_it_is(stage: Stage) -> None:
    login, connection = stage.linked()
    old = stage.connection(connection).external_id
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    stage.fail(stage.case.revocation, FaultKind.HTTP_STATUS, status=503, times=None)
    stage.pass_time(DAY)
    stage.sync(connection)

    query = "SELECT attempts, next_attempt_at - :now, last_error FROM bank.consents_to_end"
    waits = []
    for _ in range(3):
        [[_, wait, error]] = stage.query(query, now=stage.sandbox.clock.now())
        waits.append(wait)
        assert error
        assert load_ending_due(stage.context) is None
        stage.pass_time(wait)
        assert load_ending_due(stage.context) is not None
        assert end_consents(stage.context).failed_count == 1
    assert waits == sorted(set(waits))
    assert old in stage.external_ids()
    stage.heal()
    stage.pass_time(DAY)

    assert end_consents(stage.context).ended_count == 1

    assert old not in stage.external_ids()
    assert stage.query("SELECT ciphertext FROM bank.consents_to_end") == [(None,)]
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
    assert end_consents(stage.context).ended_count == 0


def test_linking_one_login_twice_makes_one_set_of_accounts(stage: Stage) -> None:
    """By its accounts it is known to be the same: the connection is renewed, its rows stay."""
    login = stage.new_login()
    stage.world.add_booked(stage.account(login), COFFEE)
    stage.world.add_pending(stage.account(login), Decimal("-1.20"))
    first = stage.link(login, AccountKind.CHECKING)
    stage.sync(first)
    old, rows = stage.connection(first).external_id, {row.id for row in stage.live()}
    accounts = stage.query("SELECT id::text FROM bank.accounts")

    state = stage.consent(login, AccountKind.CHECKING)

    assert state.connection_ids == state.renewed_ids == (first,)
    stage.pass_time(DAY)
    stage.sync(first)
    assert stage.query("SELECT id::text FROM bank.accounts") == accounts
    assert {row.id for row in stage.live()} == rows
    assert stage.differences(first) == []
    assert old not in stage.external_ids()


def test_who_says_that_it_is_another_login_gets_a_second_connection(stage: Stage) -> None:
    _, first = stage.linked()
    bank = stage.connection(first).institution_external_id

    with pytest.raises(SetupError, match=r"--renew ID.*--anyway"):
        check_not_linked(stage.context, stage.case.provider, team_name="home", institution=bank)
    check_not_linked(stage.context, stage.case.provider, team_name="others", institution=bank)
    other = stage.link(stage.new_login())  # no shared account: nobody has to say anything

    assert other != first


def test_an_account_that_may_be_a_known_one_waits_for_a_person(stage: Stage) -> None:
    """The known ones keep their rows meanwhile; then the rows go on without doubling."""
    login = stage.new_login()
    stage.world.add_booked(stage.account(login), COFFEE)
    stage.world.add_booked(stage.account(login, AccountKind.SAVINGS), COFFEE)
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection)
    before = {row.id for row in stage.rows() if not row.is_removed}
    forget_keys(stage, "Tagesgeld")
    stage.pass_time(DAY)

    state = stage.consent(login, AccountKind.CHECKING, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)

    assert state.questions_count == 1
    [question] = stage.questions()
    assert question.account_name == "Tagesgeld"
    assert {row.id for row in stage.rows() if not row.is_removed} == before
    assert stage.query("SELECT 1 FROM bank.accounts WHERE closed_at IS NOT NULL") == []
    assert [one for one in events(stage) if one and "accounts questions" in one]
    stage.pass_time(DAY)
    stage.sync(connection)
    assert [one.id for one in stage.questions()] == [question.id]

    decide_question(stage.context, question.id, same_as=AccountId(question.candidate_ids[0]))
    stage.pass_time(DAY)
    stage.sync(connection)

    assert stage.questions() == []
    assert {row.id for row in stage.rows() if not row.is_removed} == before
    assert stage.differences(connection) == []
    with pytest.raises(SetupError, match="decided already"):
        decide_question(stage.context, question.id, same_as=None)


def test_an_account_that_is_decided_to_be_new_gets_rows_of_its_own(stage: Stage) -> None:
    login = stage.new_login()
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection)
    forget_keys(stage, "Tagesgeld")
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)
    [question] = stage.questions()

    decide_question(stage.context, question.id, same_as=None)
    stage.pass_time(DAY)
    stage.sync(connection)

    names = stage.query("SELECT name, closed_at IS NULL FROM bank.accounts ORDER BY 1, created_at")
    assert [row[0] for row in names] == ["Girokonto", "Old", "Tagesgeld"]
    assert stage.questions() == []


def forget_keys(stage: Stage, name: str) -> None:
    """Let nothing be known of an account by which it could be recognised."""
    with stage.context.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE bank.accounts SET numbers_ciphertext = NULL, numbers_key_id = NULL, "
                "masked_number = NULL, name = 'Old', content_hash = '' WHERE name = :name"
            ),
            {"name": name},
        )


@pytest.mark.parametrize("stage", AMERICAN, ids=str, indirect=True)
def test_a_link_that_only_looks_like_a_known_login_says_so(stage: Stage) -> None:
    """Numbers whose last digits agree are no proof: it is a connection of its own."""
    login, first = stage.linked()

    second = stage.link(login, AccountKind.CHECKING)

    assert second != first
    assert f"looks like the login of connection {first}" in events(stage)


@pytest.mark.parametrize("stage", AMERICAN, ids=str, indirect=True)
def test_who_links_the_accounts_of_a_revoked_connection_anew_goes_on_with_it(stage: Stage) -> None:
    """Nothing else can bring it back; a second set of accounts would double all rows."""
    login = stage.new_login()
    stage.world.add_booked(stage.account(login), COFFEE)
    first = stage.link(login, AccountKind.CHECKING)
    stage.sync(first)
    [row] = stage.live(amount=COFFEE)
    with stage.context.engine.begin() as db:
        seen = load_connection(db, first)
        revoked = Transition(ConnectionStatus.REVOKED, "gone for good", None, 0)
        apply_transition(db, seen, revoked, sync_run_id=None, now=stage.context.clock())

    second = stage.link(login, AccountKind.CHECKING)
    stage.sync(second)

    assert second == first
    assert stage.connection(first).status is ConnectionStatus.ACTIVE
    assert [one.id for one in stage.live(amount=COFFEE)] == [row.id]
    assert stage.differences(first) == []


@pytest.mark.usefixtures("every_way")
@pytest.mark.parametrize("stage", AMERICAN[:1], ids=str, indirect=True)
def test_a_change_feed_goes_on_under_another_consent_without_doubling(stage: Stage) -> None:
    """A second item of one login replays the history under other ids: the rows are the same."""
    login = stage.new_login()
    for amount in ("-4.50", "-4.50", "-9.00"):
        stage.world.add_booked(stage.account(login), Decimal(amount))
    stage.world.add_pending(stage.account(login), Decimal("-1.20"))
    first = stage.link(login, AccountKind.CHECKING)
    stage.sync(first)
    old, rows = stage.connection(first), {row.id: row.external_id for row in stage.live()}
    second = stage.link(login, AccountKind.CHECKING)
    linked = LinkedConnection(
        external_id=stage.connection(second).external_id,
        credential=stage.credential(second),
        institution_external_id=old.institution_external_id,
        institution_name=old.institution_name,
    )
    with stage.context.engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.connections WHERE id = :id"), {"id": second})
        renew_twin(stage.context, db, old, stage.case.provider, linked)

    stage.sync(first)

    live = {row.id: row.external_id for row in stage.live()}
    assert live.keys() == rows.keys()
    assert set(live.values()).isdisjoint(rows.values())
    assert stage.differences(first) == []
    assert old.external_id not in stage.external_ids()
    stage.world.add_booked(stage.account(login), Decimal("-2.00"))
    stage.pass_time(DAY)
    stage.sync(first)
    assert stage.differences(first) == []
    assert len(stage.query("SELECT 1 FROM bank.accounts")) == 1


@pytest.mark.parametrize("stage", GOCARDLESS, ids=str, indirect=True)
def test_an_abandoned_link_is_ended_at_the_provider(stage: Stage) -> None:
    login = stage.new_login()
    started = start_link(
        stage.context,
        stage.case.provider,
        team_name="home",
        institution=stage.institution_of(login),
    )
    calls = stage.calls()
    stage.pass_time(started.expires_at - stage.sandbox.clock.now() + DAY)

    assert expire_links(stage.context) == 1
    assert end_consents(stage.context).ended_count == 1

    made = stage.calls() - calls
    assert [operation for operation, _ in made if "requisition" in operation]
    assert expire_links(stage.context) == 0


@pytest.mark.parametrize("stage", CASES, ids=str, indirect=True)
def test_what_is_erased_is_gone_only_after_the_provider_has_ended_it(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), COFFEE)
    stage.sync(connection)
    other_login, other = stage.linked()
    stage.fail(stage.case.revocation, FaultKind.HTTP_STATUS, status=503, times=None)
    external_id = stage.connection(connection).external_id

    report = disconnect(stage.context, connection, erase=True)

    assert (report.is_ended, report.is_erased) == (False, False)
    assert report.next_attempt_at is not None
    assert stage.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert "not ended at the provider yet" in (stage.connection(connection).status_reason or "")
    assert len(stage.live(amount=COFFEE)) == 1
    stage.heal()
    stage.pass_time(DAY)
    with connection_lock(stage.context.engine, connection):  # a sync is still under way
        assert end_consents(stage.context).erased_count == 0
    assert external_id not in stage.external_ids()
    assert end_consents(stage.context).erased_count == 1

    assert disconnect(stage.context, connection, erase=True).is_erased
    held = stage.connection(connection)
    assert (held.status_reason, held.institution_name) == ("disconnected and erased", None)
    left = {
        table.name
        for table in metadata.sorted_tables
        if "connection_id" in table.c
        and stage.query(f"SELECT 1 FROM {table} WHERE connection_id = :id", id=connection)
    }
    assert left == {"audit_log", "connection_events"}
    assert stage.query("SELECT 1 FROM bank.accounts")
    stage.sync(other)
    assert stage.differences(other) == []
    assert other_login


def test_a_sync_under_way_writes_nothing_after_the_end(stage: Stage) -> None:
    login, connection = stage.linked()
    stage.world.add_booked(stage.account(login), COFFEE)
    stage.pass_time(DAY)
    told: list[int] = []

    def clock() -> datetime:
        told.append(1)
        if len(told) == 3:
            assert disconnect(stage.context, connection).is_ended
        return stage.sandbox.clock.now()

    with pytest.raises(EndedError):
        sync_connection(
            replace(stage.context, clock=clock), SyncRequest(connection, SyncReason.SCHEDULE)
        )

    assert stage.live(amount=COFFEE) == []
    assert stage.connection(connection).status is ConnectionStatus.DISCONNECTED
    assert stage.connection(connection).next_attempt_at is None
