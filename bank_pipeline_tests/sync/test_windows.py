"""Syncs by dates: at a bank that refuses long histories, after a pause, with an odd list."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import TransientError
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.accounts import load_accounts, save_accounts
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at
from bank_pipeline_tests.vaults import VAULT

DAY: Final = timedelta(days=1)
WINDOWED: Final = tuple(case for case in CASES if case.provider != "plaid")
SIXTY_DAYS_ONLY: Final = "PT:Santander Totta"


stage = staged(WINDOWED)
"""Each provider that is asked for dates."""
european = staged_at(Provider.ENABLE_BANKING)
"""The provider whose banks refuse long histories."""


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


def read_for_two_days(stage: Stage) -> tuple[str, ConnectionId]:
    """Link a login, and have the schedule read it on two days; return both."""
    login, connection = stage.linked()
    for _ in range(2):
        stage.pass_time(DAY)
        stage.sync(connection, SyncReason.SCHEDULE)
    return login, connection


def test_a_period_error_about_days_that_were_given_yesterday_teaches_nothing(
    european: Stage,
) -> None:
    """Some banks say so when they are down: one day of that must not shorten every other."""
    stage = european
    login, connection = read_for_two_days(stage)
    stage.world.add_booked(stage.account(login), Decimal(-3))
    stage.pass_time(DAY)
    stage.fail(stage.case.transactions, "WRONG_TRANSACTIONS_PERIOD")

    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.WEBHOOK)  # the schedule might look deeper just then

    held = stage.connection(connection)
    assert held.refused_beyond_days is None
    assert held.next_attempt_at is not None
    stage.pass_time(timedelta(hours=1))
    stage.sync(connection, SyncReason.RECOVERY)
    assert stage.differences(connection) == []


def test_a_new_consent_that_gives_less_than_the_one_before_is_used_at_once(
    european: Stage,
) -> None:
    """What the old one gave yesterday says nothing of it: its refusal is believed."""
    stage = european
    login, connection = read_for_two_days(stage)
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    new, account = stage.next_consent(), stage.next_account_id(stage.account(login))
    stage.pass_time(DAY)
    stage.fail(stage.case.transactions, "WRONG_TRANSACTIONS_PERIOD", subject=account)

    stage.sync(connection)

    assert stage.connection(connection).external_id == new
    assert stage.differences(connection) == []


def test_a_bank_that_quietly_cuts_old_days_takes_no_row_away(european: Stage) -> None:
    """That a deep look shows nothing older than sixty days does not say that nothing was."""
    stage = european
    login, connection = stage.linked()
    account = stage.account(login)
    stage.world.add_booked(account, Decimal(-3))
    stage.pass_time(DAY)
    stage.sync(connection)
    stage.pass_time(84 * DAY)
    stage.world.add_booked(account, Decimal(-4), booking_date=stage.world.today(account) - 50 * DAY)
    stage.sync(connection)
    wing = stage.sandbox.wings["enable_banking"]
    assert isinstance(wing, EnableBanking)
    session = wing.sessions.find(stage.connection(connection).external_id)
    profile = replace(session.aspsp.profile, history_days=60)
    session.aspsp = replace(session.aspsp, profile=profile)
    stage.pass_time(DAY)

    report = sync_connection(
        stage.context, SyncRequest(connection, SyncReason.MANUAL, depth=Depth.DEEP)
    )

    assert report.transactions.removed == 0
    assert len(stage.live()) == 2
    assert report.coverage.gap_days == 0


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
        accounts = load_accounts(db, connection, vault=VAULT)
        fresh = [one.model_copy(update={"external_id": f"{one.external_id}-2"}) for one in accounts]
        now = stage.sandbox.clock.now()
        saved = save_accounts(db, held, [*fresh, *fresh], now=now, vault=VAULT)
    assert (saved.inserted, saved.unchanged) == (len(fresh), 0)
