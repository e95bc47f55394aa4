"""Two logins of one household that show the same account: each stays a connection of its own."""

from datetime import timedelta
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.sandbox.banks import Offer
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.ending import end_consents
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_reconnect import GOCARDLESS, RENAMING, events

DAY: Final = timedelta(days=1)
CLOSED: Final = "SELECT name FROM bank.accounts WHERE closed_at IS NOT NULL"

stage = staged(RENAMING)


def household(stage: Stage) -> tuple[str, str]:
    """Bring two customers, of whom the first has the other share a current account."""
    hers, his = stage.new_login(), stage.new_login()
    stage.world.share_account(stage.account(hers), his)
    return hers, his


def linked(stage: Stage, login: str) -> tuple[ConnectionId, str]:
    """Link all accounts of a login and read them; return the connection and its consent."""
    connection = stage.link(login)
    stage.sync(connection)
    return connection, stage.connection(connection).external_id


def test_a_renewal_by_the_partners_login_takes_nothing_away(stage: Stage) -> None:
    hers, his = household(stage)
    connection, _ = linked(stage, hers)
    consents = stage.external_ids()
    accounts = stage.query("SELECT id FROM bank.accounts ORDER BY id")
    stage.pass_time(DAY)

    state = stage.consent(his, renews=connection)
    stage.sync(connection)

    assert (state.connection_ids, state.exit_reason) == ((), "other_accounts")
    assert stage.external_ids() == consents
    assert stage.query("SELECT id FROM bank.accounts ORDER BY id") == accounts
    assert stage.query(CLOSED) == []
    assert [one for one in events(stage) if one and one.startswith("not renewed: ")]


def test_a_link_of_the_partners_login_is_a_connection_of_its_own(stage: Stage) -> None:
    hers, his = household(stage)
    connection, consent = linked(stage, hers)
    stage.pass_time(DAY)

    second, other = linked(stage, his)

    assert second != connection
    assert {consent, other} <= set(stage.external_ids())
    assert stage.query(CLOSED) == []
    assert f"looks like the login of connection {connection}" in events(stage)


def test_of_two_connections_with_one_account_the_one_with_more_of_them_is_renewed(
    stage: Stage,
) -> None:
    """Else what only that one has would be there in both."""
    login, part = stage.linked(AccountKind.CHECKING)
    both = (AccountKind.CHECKING, AccountKind.SAVINGS)
    finish = stage.agreed(login, *both)
    with stage.context.engine.begin() as db:  # as by `link --anyway`
        db.execute(sa.text("UPDATE bank.link_sessions SET is_other_login = true"))
    [whole] = finish().connection_ids
    stage.sync(whole)
    accounts = stage.query("SELECT id FROM bank.accounts ORDER BY id")
    stage.pass_time(DAY)

    assert stage.consent(login, *both).renewed_ids == (whole,)
    assert stage.consent(login, AccountKind.CHECKING).renewed_ids == (part,)

    for connection in (whole, part):
        stage.sync(connection)
        assert stage.differences(connection) == []
    assert stage.query("SELECT id FROM bank.accounts ORDER BY id") == accounts


def test_a_login_is_known_again_where_its_bank_goes_by_another_name(stage: Stage) -> None:
    """Banks are renamed, and some are listed twice; an IBAN is of one account all the same."""
    login, connection = stage.linked()
    with stage.context.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.connections SET institution_external_id = 'DE:Old'"))
    stage.pass_time(DAY)

    assert stage.consent(login, AccountKind.CHECKING).renewed_ids == (connection,)

    stage.sync(connection)
    held = stage.connection(connection)
    assert held.institution_external_id == stage.institution_of(login)
    assert stage.differences(connection) == []


def test_a_part_of_the_accounts_at_a_bank_of_another_name_is_a_connection_of_its_own(
    stage: Stage,
) -> None:
    login, connection = stage.linked(AccountKind.CHECKING, AccountKind.SAVINGS)
    with stage.context.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.connections SET institution_external_id = 'DE:Old'"))

    assert stage.consent(login, AccountKind.CHECKING).renewed_ids == ()
    assert f"looks like the login of connection {connection}" in events(stage)


@pytest.mark.parametrize("stage", GOCARDLESS, ids=str, indirect=True)
def test_a_partners_consent_whose_accounts_come_later_is_given_up(stage: Stage) -> None:
    """The link could not be asked what it shows: the first read finds out, in time."""
    hers, his = household(stage)
    connection, _ = linked(stage, hers)
    consents = stage.external_ids()
    stage.pass_time(DAY)
    stage.fail("gocardless:account", FaultKind.HTTP_STATUS, status=503, times=None)
    assert stage.consent(his, renews=connection).connection_ids == (connection,)
    stage.heal()
    stage.pass_time(DAY)

    stage.sync(connection)
    end_consents(stage.context)

    assert stage.external_ids() == consents
    assert stage.query(CLOSED) == []
    assert [one for one in events(stage) if one and "of another login" in one]


NEW_CARD: Final = Offer(AccountKind.CREDIT_CARD, "Karte Neu", None, "EUR", "10")


def test_who_has_another_card_beside_the_same_accounts_renews_as_ever(stage: Stage) -> None:
    login = stage.new_login()
    connection, _ = linked(stage, login)
    stage.world.close_account(stage.account(login, AccountKind.CREDIT_CARD))
    stage.world.add_account(login, NEW_CARD)
    stage.pass_time(DAY)

    assert stage.consent(login, renews=connection).renewed_ids == (connection,)
    stage.pass_time(DAY)
    stage.sync(connection)

    assert len(stage.query(CLOSED)) == 1
    assert stage.query("SELECT 1 FROM bank.accounts WHERE name = 'Karte Neu'")


def test_who_has_another_half_of_their_accounts_leaves_the_old_one_out_first(stage: Stage) -> None:
    """A partner's login looks the same: one account that both have, and one of each."""
    kinds = (AccountKind.CHECKING, AccountKind.CREDIT_CARD)
    login = stage.new_login()
    connection = stage.link(login, *kinds)
    stage.sync(connection)
    stage.world.close_account(stage.account(login, AccountKind.CREDIT_CARD))
    stage.world.add_account(login, NEW_CARD)
    stage.pass_time(DAY)
    refused = stage.consent(login, *kinds, renews=connection)
    assert refused.exit_reason == "other_accounts"

    wanted = "SELECT id::text FROM bank.accounts WHERE type <> 'credit_card'"
    kept = [AccountId(row[0]) for row in stage.query(wanted)]
    choose_accounts(stage.context, connection, kept)
    assert stage.consent(login, *kinds, renews=connection).renewed_ids == (connection,)
