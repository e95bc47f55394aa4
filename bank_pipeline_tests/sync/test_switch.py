"""A connection that goes on through another provider: one set of rows, whole, with its notes."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import SetupError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.institutions import sync_institutions
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.questions import decide_question
from bank_pipeline.sync.switch import start_switch
from bank_pipeline_tests.providers.contract.banks import Banks, banks_over, living_world
from bank_pipeline_tests.providers.contract.cases import CASES, Case
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of
from bank_pipeline_tests.vaults import VAULT

DAY: Final = timedelta(days=1)
CASE_OF: Final[dict[Provider, Case]] = {case.provider: case for case in CASES}


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks of all providers in a world that lives as usual."""
    with banks_over(living_world(), tmp_path_factory.mktemp("living"), VAULT) as one:
        yield one


@pytest.fixture
def before(living: Banks, engine: sa.Engine, vault: Vault) -> Iterator[Stage]:
    """The provider that closes."""
    with stage_of(CASE_OF[Provider.GOCARDLESS], living, engine, vault) as one:
        yield one


@pytest.fixture
def after(before: Stage) -> Stage:
    """The provider that goes on."""
    return Stage(CASE_OF[Provider.ENABLE_BANKING], before.banks, before.context)


def switch(after: Stage, connection: ConnectionId, login: str) -> None:
    """Have the customer consent at the new provider."""
    sync_institutions(after.context, Provider.ENABLE_BANKING)
    started = start_switch(after.context, connection, Provider.ENABLE_BANKING)
    returned = after.agree(started.url, login, None)
    state = accept_return(after.context, Provider.ENABLE_BANKING, returned)
    assert state.connection_ids == (connection,)


def annotate_all(stage: Stage) -> int:
    """Write a note at every row, each its own."""
    with stage.context.engine.begin() as db:
        rows = db.execute(
            sa.text(
                "INSERT INTO bank.transaction_annotations "
                "(transaction_id, team_id, note, updated_at) "
                "SELECT id, team_id, external_id, now() FROM bank.transactions"
            )
        )
        return int(rows.rowcount)


def booked(stage: Stage) -> dict[str, tuple[str, Decimal | None]]:
    """Return account and amount of every live booked row, by our id."""
    return {
        row.id: (row.account, row.amount)
        for row in stage.rows()
        if not row.is_removed and row.status == "booked"
    }


def doubled(stage: Stage, gone: AbstractSet[str]) -> list[str]:
    """Return which of these rows live on as others: what the bank took back has no such one."""
    query = """
        SELECT old.id::text FROM bank.transactions old
        JOIN bank.transactions new ON new.account_id = old.account_id AND new.amount = old.amount
         AND new.removed_at IS NULL AND new.created_at > old.created_at
         AND abs(new.booking_date - old.booking_date) <= 3
        WHERE old.id::text = ANY (:gone)
    """
    return [row[0] for row in stage.query(query, gone=[*gone])]


def covered_from(stage: Stage) -> dict[str, date]:
    """Return the first covered day of each account, by our id."""
    query = "SELECT account_id::text, min(first_day) FROM bank.account_coverage GROUP BY 1"
    return {row[0]: row[1] for row in stage.query(query)}


def test_sixty_days_go_on_through_another_provider(before: Stage, after: Stage) -> None:
    """
    No row is doubled or lost, and what people wrote stays, whatever words the new one uses.

    The two tell the card's number differently, so that a person says that it is the same. The
    bank goes on living: what it takes back in the days after is gone, and in no other row.
    """
    login = before.case.living_login
    connection = before.link(login)
    for _ in range(9):
        before.sync(connection)
        before.pass_time(7 * DAY)
    before.sync(connection)
    assert before.differences(connection) == []
    old, rows, covered = before.connection(connection), booked(before), covered_from(before)
    accounts = set(before.query("SELECT id::text FROM bank.accounts"))
    noted_count = annotate_all(before)
    assert noted_count >= len(rows) > 100

    switch(after, connection, login)
    assert after.connection(connection).provider is Provider.GOCARDLESS  # nothing was read yet
    after.sync(connection)

    new = after.connection(connection)
    assert (new.provider, new.status) == (Provider.ENABLE_BANKING, ConnectionStatus.ACTIVE)
    assert old.external_id not in before.external_ids()
    [question] = after.questions()
    assert question.candidate_names == ("Kreditkarte Gold",)
    assert booked(after).items() >= rows.items()
    decide_question(after.context, question.id, same_as=AccountId(question.candidate_ids[0]))
    after.pass_time(DAY)  # its daily calls are spent
    for _ in range(3):
        after.sync(connection)
        assert after.differences(connection) == []
        after.pass_time(DAY)
    assert set(after.query("SELECT id::text FROM bank.accounts")) == accounts
    assert doubled(after, rows.keys() - booked(after).keys()) == []
    now_covered = covered_from(after)
    assert all(now_covered[account] <= day for account, day in covered.items())
    assert len(after.query("SELECT 1 FROM bank.transaction_annotations")) == noted_count


def test_a_new_provider_that_cannot_read_changes_nothing(before: Stage, after: Stage) -> None:
    login = before.case.living_login
    connection = before.link(login)
    before.sync(connection)
    old, rows = before.connection(connection), booked(before)

    switch(after, connection, login)
    after.fail("enable_banking:transactions", FaultKind.HTTP_STATUS, status=503, times=None)
    after.fail("enable_banking:balances", FaultKind.HTTP_STATUS, status=503, times=None)
    after.pass_time(DAY)
    before.sync(connection)

    held = before.connection(connection)
    assert (held.provider, held.external_id) == (old.provider, old.external_id)
    assert held.status is ConnectionStatus.ACTIVE
    assert held.next_attempt_at is not None
    assert before.differences(connection) == []  # a bank that lives may take a row back
    assert old.external_id in before.external_ids()
    after.heal()
    after.pass_time(DAY)
    after.sync(connection)
    assert after.connection(connection).provider is Provider.ENABLE_BANKING
    assert {row.id for row in after.rows()} >= rows.keys()


def test_what_cannot_be_switched_says_what_to_do_instead(before: Stage) -> None:
    connection = before.link(before.case.living_login)
    for to, told in (
        (Provider.GOCARDLESS, "--renew"),
        (Provider.PLAID, "Link the bank anew"),
        (Provider.ENABLE_BANKING, "--institution"),
    ):
        with pytest.raises(SetupError, match=told):
            start_switch(before.context, connection, to)


def test_a_renewal_through_a_provider_that_tells_changes_is_refused_as_a_switch_is(
    before: Stage,
) -> None:
    """Whoever renews by another provider's link switches: what it shows could not be matched."""
    connection = before.link(before.case.living_login)
    with pytest.raises(SetupError, match="Link the bank anew"):
        start_link(before.context, Provider.PLAID, team_name="home", renews=connection)


@pytest.mark.parametrize("provider", [Provider.GOCARDLESS, Provider.ENABLE_BANKING])
def test_a_connection_that_was_ended_is_not_renewed(before: Stage, provider: Provider) -> None:
    connection = before.link(before.case.living_login)
    disconnect(before.context, connection)
    calls = before.calls()
    with pytest.raises(SetupError, match="was ended; link the bank anew"):
        start_link(before.context, provider, team_name="home", renews=connection, institution="X")
    assert before.calls() == calls
