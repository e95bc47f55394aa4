"""A connection that goes on through another provider: one set of rows, whole, with its notes."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import SetupError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.institutions import sync_institutions
from bank_pipeline.sync.link import accept_return
from bank_pipeline.sync.switch import start_switch
from bank_pipeline_tests.providers.contract.banks import Banks, banks_over, living_world
from bank_pipeline_tests.providers.contract.cases import CASES, Case
from bank_pipeline_tests.providers.contract.stage import READY, Stage, stage_of

DAY: Final = timedelta(days=1)
CASE_OF: Final[dict[Provider, Case]] = {case.provider: case for case in CASES}


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Banks of all providers in a world that lives as usual."""
    vault = Vault([bytes(range(32))])
    with banks_over(living_world(), tmp_path_factory.mktemp("living"), vault) as one:
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
    returned = after._agree(started.url, login, None)
    state = accept_return(after.context, Provider.ENABLE_BANKING, returned)
    assert state.connection_ids == (connection,)


def annotate_all(stage: Stage) -> int:
    """Write a note at every row, each its own."""
    with stage.context.engine.begin() as db:
        rows = db.execute(
            sa.text(
                "INSERT INTO bank.transaction_annotations (transaction_id, note, updated_at) "
                "SELECT id, external_id, now() FROM bank.transactions"
            )
        )
        return int(rows.rowcount)


def test_sixty_days_go_on_through_another_provider(before: Stage, after: Stage) -> None:
    login = before.case.living_login
    connection = before.link(login)
    for _ in range(9):
        before.sync(connection)
        before.pass_time(7 * DAY)
    before.sync(connection)
    assert before.differences(connection) == []
    old = before.connection(connection)
    rows = {row.id: row for row in before.rows() if not row.is_removed}
    accounts = set(before.query("SELECT id::text FROM bank.accounts"))
    covered = before.query("SELECT account_id, first_day FROM bank.account_coverage ORDER BY 1, 2")
    annotate_all(before)
    assert len(rows) > 100

    switch(after, connection, login)
    assert after.connection(connection).provider is Provider.GOCARDLESS  # nothing was read yet
    after.sync(connection)

    new = after.connection(connection)
    assert (new.provider, new.status) == (Provider.ENABLE_BANKING, ConnectionStatus.ACTIVE)
    assert set(after.query("SELECT id::text FROM bank.accounts")) == accounts
    live = {row.id: row for row in after.rows() if not row.is_removed}
    amounts = sorted(str((row.account, row.amount)) for row in rows.values() if row.status == "booked")
    still = [live[own_id] for own_id, row in rows.items() if row.status == "booked"]
    assert sorted(str((row.account, row.amount)) for row in still) == amounts
    assert after.differences(connection) == []
    assert old.external_id not in before.external_ids()
    after_covered = after.query("SELECT account_id, min(first_day) FROM bank.account_coverage GROUP BY 1 ORDER BY 1")
    assert all(now[1] <= then[1] for now, then in zip(after_covered, covered, strict=True))
    for _ in range(3):
        after.pass_time(DAY)
        after.sync(connection)
        assert after.differences(connection) == []
    lost = after.query(
        "SELECT t.id FROM bank.transaction_annotations n "
        "JOIN bank.transactions t ON t.id = n.transaction_id WHERE t.removed_at IS NOT NULL "
        "AND t.status = 'booked'"
    )
    assert lost == []
