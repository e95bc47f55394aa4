"""Accounts that were away for a while: known again, or asked about; never there twice."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import RateLimitedError, SetupError
from bank_pipeline.sandbox.banks import Offer
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.account_questions import load_question
from bank_pipeline.storage.accounts import load_account_ids, load_accounts
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.questions import decide_question
from bank_pipeline.sync.quota import SPENT
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.between import during_a_sync
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_reconnect import RENAMING, forget_keys

DAY: Final = timedelta(days=1)
COFFEE: Final = Decimal("-4.50")
TEA: Final = Decimal("-3.20")

EUROPEAN: Final = [case for case in CASES if case.capabilities.counts_outlive_consents]

stage = staged(RENAMING)


def test_two_alike_that_one_renewal_left_out_are_asked_about_and_go_on(stage: Stage) -> None:
    """Whoever looks at them says which is which; each goes on with its own rows then."""
    login = stage.new_login()
    alike = Offer(AccountKind.SAVINGS, "Tagesgeld", None, "EUR", "10")
    stage.world.add_booked(stage.world.add_account(login, alike).id, COFFEE)
    stage.world.add_booked(stage.account(login, AccountKind.SAVINGS), TEA)
    connection = stage.link(login, AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection)
    before = {row.id for row in stage.live()}
    remembered = by_number(stage, connection)
    forget_numbers(stage, "Tagesgeld")
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    stage.sync(connection)
    closed = [row[0] for row in stage.query(CLOSED)]
    assert len(closed) == len(before) == 2

    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)

    assert {row.id for row in stage.live()} == before
    assert [row[0] for row in stage.query(CLOSED)] == closed
    asked = stage.questions()
    assert [sorted(one.candidate_ids) for one in asked] == [closed] * 2
    for one in asked:
        with stage.context.engine.connect() as db:
            shown = load_question(db, one.id, vault=stage.context.vault).shown
        decide_question(stage.context, one.id, same_as=remembered[shown.identifiers.last_four])
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.query(CLOSED) == []
    assert {row.id for row in stage.live()} == before
    assert stage.differences(connection) == []


@pytest.mark.parametrize("has_left_out", [False, True])
def test_where_all_that_is_wanted_waits_for_a_person_they_are_asked(
    stage: Stage, has_left_out: bool
) -> None:
    """Else nobody would ever tell, and the consent be given up."""
    login = stage.new_login()
    stage.world.add_booked(stage.account(login, AccountKind.SAVINGS), COFFEE)
    kinds = [AccountKind.SAVINGS, *([AccountKind.CHECKING] if has_left_out else [])]
    connection = stage.link(login, *kinds)
    stage.sync(connection)
    wanted = "SELECT id::text FROM bank.accounts WHERE name = 'Tagesgeld'"
    [(account,)] = stage.query(wanted)
    choose_accounts(stage.context, connection, [AccountId(account)])
    before = {row.id for row in stage.live()}
    forget_keys(stage, "Tagesgeld")
    stage.pass_time(DAY)
    stage.consent(login, *kinds, renews=connection)
    new, deepened_at = stage.next_consent(), stage.connection(connection).last_deep_at

    for _ in range(2):
        stage.sync(connection)

        held = stage.connection(connection)
        assert (held.external_id, held.status) == (new, ConnectionStatus.ACTIVE)
        assert held.last_success_at is not None
        assert held.last_success_at < stage.sandbox.clock.now() - DAY  # nothing was read
        assert held.last_deep_at == deepened_at
        [question] = stage.questions()
        stage.pass_time(DAY)
    decide_question(stage.context, question.id, same_as=AccountId(account))
    stage.sync(connection)

    assert {row.id for row in stage.live()} == before
    assert stage.questions() == []


def test_of_a_connection_that_was_ended_nobody_is_asked(stage: Stage) -> None:
    """No answer would bring a row, and the warning would stand for ever."""
    login, connection = stage.linked(AccountKind.SAVINGS)
    forget_keys(stage, "Tagesgeld")
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)
    [question] = stage.questions()

    disconnect(stage.context, connection)

    assert stage.questions() == []
    with pytest.raises(SetupError, match="nobody asks any more"):
        decide_question(stage.context, question.id, same_as=None)


@pytest.mark.parametrize("stage", CASES[:1], ids=str, indirect=True)
def test_a_new_account_does_not_take_over_one_of_its_name_that_closed_long_ago(
    stage: Stage,
) -> None:
    """Plaid tells no number of a certificate of deposit, and banks call all of them the same."""
    connection, before = asked_about_a_certificate(stage)
    [(closed,)] = stage.query(CLOSED)

    [question] = stage.questions()
    assert question.candidate_ids == (closed,)
    assert {row.id for row in stage.live()} == before
    decide_question(stage.context, question.id, same_as=None)
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.query(CLOSED) == [(closed,)]
    assert [row.amount for row in stage.live() if row.id not in before] == [TEA]
    assert stage.differences(connection) == []


@pytest.mark.parametrize("stage", CASES[:1], ids=str, indirect=True)
@pytest.mark.parametrize("is_new", [True, False])
def test_rows_of_an_account_that_is_decided_during_a_sync_land_with_the_next(
    stage: Stage, is_new: bool
) -> None:
    """They were set aside before, and the feed has gone on: only a replay brings them."""
    connection, _ = asked_about_a_certificate(stage)
    [question] = stage.questions()
    same_as = None if is_new else AccountId(question.candidate_ids[0])
    decide = partial(decide_question, stage.context, question.id, same_as=same_as)
    stage.pass_time(DAY)

    with during_a_sync(stage.context.engine, decide):
        stage.sync(connection)
    stage.pass_time(DAY)
    stage.sync(connection)

    assert len(stage.live(amount=TEA)) == 1
    waiting = "SELECT count(*) FROM bank.quarantine WHERE resolved_at IS NULL"
    assert stage.query(waiting) == [(0,)]


@pytest.mark.parametrize("stage", CASES[:1], ids=str, indirect=True)
def test_an_account_that_may_go_by_another_id_is_not_covered_until_that_is_told(
    stage: Stage,
) -> None:
    """Nothing of it is read: neither under the id it had nor under the other."""
    login = stage.new_login()
    savings = stage.account(login, AccountKind.SAVINGS)
    stage.world.add_booked(savings, TEA)
    connection = stage.link(login)
    stage.sync(connection)
    named = "SELECT name FROM bank.accounts WHERE external_id = :id"
    [[name]] = stage.query(named, id=stage.account_id(connection, savings))
    before = dict(stage.query(REACHES))
    forget_keys(stage, name)
    stage.pass_time(DAY)
    churn(stage, connection, savings)
    stage.pass_time(8 * DAY)

    stage.sync(connection)

    assert len(stage.questions()) == 1
    after = dict(stage.query(REACHES))
    assert after.pop("Old") == before.pop(name)
    assert all(after[one] > last for one, last in before.items())


@pytest.mark.parametrize("stage", EUROPEAN, ids=str, indirect=True)
def test_an_account_that_a_person_knows_again_has_made_its_calls_of_the_day(
    stage: Stage,
) -> None:
    """Its bank goes on counting, whoever found out that it is the same."""
    login, connection = stage.linked(AccountKind.SAVINGS)
    stage.pass_time(DAY)
    for _ in range(4):
        stage.pass_time(timedelta(minutes=1))
        stage.sync(connection, SyncReason.MANUAL)
    forget_keys(stage, "Tagesgeld")
    stage.consent(login, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)
    [question] = stage.questions()
    [known] = question.candidate_ids
    decide_question(stage.context, question.id, same_as=AccountId(known))
    made = stage.calls()

    with pytest.raises(RateLimitedError) as refused:
        stage.sync(connection, SyncReason.MANUAL)

    assert refused.value.code == SPENT
    assert "transactions" not in {scope for scope, _ in stage.calls() - made}
    stage.pass_time(DAY)
    stage.sync(connection, SyncReason.RECOVERY)
    assert stage.differences(connection) == []


def asked_about_a_certificate(stage: Stage) -> tuple[ConnectionId, set[str]]:
    """Have a new account come that has the name of one that closed long ago, with a row."""
    login = stage.new_login()
    certificate = Offer(AccountKind.SAVINGS, "Certificate", None, "USD", "0", masked=False)
    old = stage.world.add_account(login, certificate)
    stage.world.add_booked(old.id, COFFEE)
    connection = stage.link(login)
    stage.sync(connection)
    before = {row.id for row in stage.live()}
    stage.world.close_account(old.id)
    for _ in range(9):
        stage.pass_time(10 * DAY)
        stage.sync(connection)
    new = stage.world.add_account(login, certificate)
    stage.world.add_booked(new.id, TEA)
    share_all_open(stage, login, connection)
    stage.pass_time(8 * DAY)
    stage.sync(connection)
    return connection, before


def churn(stage: Stage, connection: ConnectionId, account: str) -> None:
    """Have Plaid lose track of an account, and tell of it under another id."""
    external_id = stage.connection(connection).external_id
    url = f"{stage.sandbox.url}/_sim/items/{external_id}/churn"
    body = {"account_id": stage.account_id(connection, account)}
    httpx.post(url, json=body).raise_for_status()


def share_all_open(stage: Stage, login: str, connection: ConnectionId) -> None:
    """Have a customer of Plaid share what they have by now."""
    plaid, now = stage.sandbox.plaid, stage.world.clock.now()
    ids = [one.id for one in stage.world.login_accounts(login) if one.closed_at is None]
    with plaid.lock:
        plaid.items.select_accounts(plaid.item(stage.connection(connection).external_id), ids, now)


REACHES: Final = (
    "SELECT a.name, max(c.last_day) FROM bank.account_coverage c "
    "JOIN bank.accounts a ON a.id = c.account_id GROUP BY 1"
)
CLOSED: Final = "SELECT id::text FROM bank.accounts WHERE closed_at IS NOT NULL ORDER BY id"


def by_number(stage: Stage, connection: ConnectionId) -> dict[str | None, AccountId]:
    """Return our ids of a connection's accounts, by the last digits of their numbers."""
    with stage.context.engine.connect() as db:
        ids = load_account_ids(db, connection)
        known = load_accounts(db, connection, vault=stage.context.vault)
    return {one.identifiers.last_four: ids[one.external_id] for one in known}


def forget_numbers(stage: Stage, name: str) -> None:
    """Let the accounts of a name be such as their bank tells no number of."""
    with stage.context.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE bank.accounts SET numbers_ciphertext = NULL, numbers_key_id = NULL, "
                "number_fingerprints = '{}', masked_number = NULL, content_hash = '' "
                "WHERE name = :name"
            ),
            {"name": name},
        )
