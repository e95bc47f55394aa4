"""Syncs by dates: at a bank that refuses long histories, after a pause, with an odd list."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.storage.accounts import load_accounts, save_accounts
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.banks import Banks
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of

DAY: Final = timedelta(days=1)
WINDOWED: Final = tuple(case for case in CASES if case.provider != "plaid")
SIXTY_DAYS_ONLY: Final = "PT:Santander Totta"


@pytest.fixture(params=WINDOWED, ids=str)
def stage(
    request: pytest.FixtureRequest, banks: Banks, engine: sa.Engine, vault: Vault
) -> Iterator[Stage]:
    """Each provider that is asked for dates."""
    with stage_of(request.param, banks, engine, vault) as one:
        yield one


@pytest.fixture
def european(banks: Banks, engine: sa.Engine, vault: Vault) -> Iterator[Stage]:
    """The provider whose banks refuse long histories."""
    case = next(case for case in WINDOWED if case.provider == "enable_banking")
    with stage_of(case, banks, engine, vault) as one:
        yield one


def test_what_a_bank_refused_once_is_not_asked_for_every_day(european: Stage) -> None:
    """An old pending row asks for more than the bank gives: that would cost two calls a day."""
    stage = european
    login = stage.world.add_login("fr-soleil").id
    account = stage.account(login)
    stage.world.add_pending(account, Decimal("-5.00"))
    started = start_link(
        stage.context, stage.case.provider, team_name="home", institution=SIXTY_DAYS_ONLY
    )
    answer = httpx.post(started.url, data={"outcome": "approve", "login": login})
    returned = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    [connection] = accept_return(stage.context, stage.case.provider, returned).connection_ids
    stage.sync(connection, SyncReason.INITIAL)
    made = []
    stage.pass_time(40 * DAY)
    for _ in range(3):
        before = stage.calls()
        stage.sync(connection, SyncReason.SCHEDULE)
        made.append((stage.calls() - before)["transactions", stage.account_id(connection, account)])
        stage.pass_time(DAY)

    assert made == [2, 1, 1]
    assert stage.differences(connection) == []


def test_a_week_without_a_sync_leaves_no_gap(stage: Stage) -> None:
    login, connection = stage.linked()
    for number in range(1, 8):
        stage.pass_time(DAY)
        stage.world.add_booked(stage.account(login), Decimal(-number))
    stage.pass_time(6 * DAY)

    stage.sync(connection, SyncReason.SCHEDULE)

    assert len(stage.live()) == 7
    assert stage.differences(connection) == []
    spans = stage.query(
        "SELECT account_id, count(*), max(last_day) FROM bank.account_coverage GROUP BY account_id"
    )
    assert {(row[1], row[2]) for row in spans} == {(1, stage.sandbox.clock.now().date())}


def test_an_account_that_is_listed_twice_is_one(stage: Stage) -> None:
    _, connection = stage.linked()
    with stage.context.engine.begin() as db:
        held = stage.connection(connection)
        accounts = load_accounts(db, connection)
        fresh = [one.model_copy(update={"external_id": f"{one.external_id}-2"}) for one in accounts]
        now = stage.sandbox.clock.now()
        saved = save_accounts(db, held, [*fresh, *fresh], now=now)
    assert (saved.inserted, saved.unchanged) == (len(fresh), 0)
