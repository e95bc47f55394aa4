"""Days without a sync, and days of which the bank is ahead: what is read after them."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at

DAY: Final = timedelta(days=1)
OUTAGE_DAYS: Final = 12
SIXTY_DAYS_ONLY: Final = "PT:Santander Totta"
EAST_OF_UTC: Final = tuple(case for case in CASES if case.bank_id == "de-mueritz")


stage = staged(CASES)
"""Every provider, also those with a change feed."""
eastern = staged(EAST_OF_UTC)
"""The providers of a bank whose day begins before ours."""
european = staged_at(Provider.ENABLE_BANKING)
"""The provider whose banks refuse long histories."""


def today_of(stage: Stage) -> date:
    return stage.sandbox.clock.now().date()


def gaps_of(stage: Stage) -> Sequence[Any]:
    """Return what an analyst sees of gaps today: the day of the simulation."""
    with stage.context.engine.begin() as db:
        setting = "SELECT set_config('bank_pipeline.today', :today, true)"
        db.execute(sa.text(setting), {"today": today_of(stage).isoformat()})
        query = "SELECT kind, first_day, last_day, days FROM analytics.account_gaps ORDER BY 2"
        return [tuple(row) for row in db.execute(sa.text(query))]


def link_to(stage: Stage, login: str, institution: str) -> ConnectionId:
    """Link a customer at a bank of another name than their own, and read its first answer."""
    started = start_link(
        stage.context, stage.case.provider, team_name="home", institution=institution
    )
    answer = httpx.post(started.url, data={"outcome": "approve", "login": login})
    returned = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    [connection] = accept_return(stage.context, stage.case.provider, returned).connection_ids
    stage.sync(connection, SyncReason.INITIAL)
    return connection


def test_twelve_days_without_a_sync_leave_no_gap(stage: Stage) -> None:
    """New rows, late ones, bookings, corrections and removals of all these days: in one sync."""
    login = stage.new_login()
    account, world = stage.account(login), stage.world
    kept, changed, gone = (world.add_booked(account, Decimal(-n)) for n in (1, 2, 3))
    held = world.add_pending(account, Decimal("-20.00"), description="Fuel")
    connection = stage.link(login)
    stage.sync(connection)
    stage.pass_time(DAY)
    stage.sync(connection, SyncReason.SCHEDULE)
    began = today_of(stage)

    for number in range(1, OUTAGE_DAYS + 1):
        stage.pass_time(DAY)
        world.add_booked(account, Decimal(-100 - number), description=f"Purchase {number}")
    world.add_booked(account, Decimal(-50), booking_date=began - 9 * DAY, description="Late")
    world.change(changed.id, amount=Decimal("-2.22"))
    world.remove(gone.id)
    world.book(held.id, amount=Decimal("-18.00"))
    [behind, *_] = gaps_of(stage)
    assert behind == ("behind", began + DAY, today_of(stage), OUTAGE_DAYS)

    stage.sync(connection, SyncReason.SCHEDULE)

    assert stage.differences(connection) == []
    assert len(stage.live()) == stage.true_count(connection) - anchors(stage) > OUTAGE_DAYS + 3
    assert gaps_of(stage) == []
    spans = stage.query(
        "SELECT count(*), max(last_day) FROM bank.account_coverage GROUP BY account_id"
    )
    assert {tuple(span) for span in spans} == {(1, today_of(stage))}
    assert kept is not None


def anchors(stage: Stage) -> int:
    return len([row for row in stage.rows() if not row.is_removed]) - len(stage.live())


def test_an_outage_longer_than_the_banks_history_is_a_gap_that_is_shown_and_left_alone(
    european: Stage,
) -> None:
    """What the bank does not give any more is refused once, and not asked for every day."""
    stage = european
    login = stage.world.add_login("fr-soleil").id
    account = stage.account(login)
    stage.world.add_booked(account, Decimal("-1.00"), description="Anchor")
    connection = link_to(stage, login, SIXTY_DAYS_ONLY)
    began = today_of(stage)
    stage.pass_time(100 * DAY)

    with pytest.raises(RateLimitedError):  # the schedule's calls of that day are two refusals
        stage.sync(connection, SyncReason.SCHEDULE)
    stage.pass_time(DAY)
    made = []
    for _ in range(3):
        stage.world.add_booked(account, Decimal("-2.00"))
        before = stage.calls()
        report = stage.sync(connection, SyncReason.SCHEDULE)
        made.append((stage.calls() - before)["transactions", stage.account_id(connection, account)])
        stage.pass_time(DAY)

    assert made == [1, 1, 1]
    resumed = began + 41 * DAY  # 60 days before the first answer after it
    gaps = [gap for gap in gaps_of(stage) if gap[0] == "between"]
    assert ("between", began + DAY, resumed - DAY, 40) in gaps
    assert report.coverage.gap_days == sum(gap[3] for gap in gaps)
    assert report.coverage.until == today_of(stage) - DAY


def test_a_gap_that_the_bank_still_gives_is_filled_by_the_next_sync(stage: Stage) -> None:
    """Nobody has to ask for it."""
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(50 * DAY)
    stage.world.add_booked(account, Decimal(-7), booking_date=today_of(stage) - 30 * DAY)
    today = today_of(stage)
    with stage.context.engine.begin() as db:  # as after an answer that began too late
        db.execute(
            sa.text(
                "INSERT INTO bank.account_coverage"
                " SELECT account_id, :first, :last, updated_at, begun_at, team_id"
                " FROM bank.account_coverage"
            ),
            {"first": today - 3 * DAY, "last": today - DAY},
        )
    assert {gap[0] for gap in gaps_of(stage)} == {"between"}

    report = stage.sync(connection, SyncReason.SCHEDULE)

    assert gaps_of(stage) == []
    assert report.coverage.gap_days == 0
    assert stage.differences(connection) == []


def test_what_a_bank_east_of_us_books_on_its_tomorrow_is_neither_lost_nor_gone(
    eastern: Stage,
) -> None:
    """At half past eleven in the evening, UTC, its next day has begun."""
    stage = eastern
    login, connection = stage.linked()
    account = stage.account(login)
    now = stage.sandbox.clock.now()  # the next evening: today's calls are half spent
    stage.pass_time(now.replace(hour=23, minute=30) + DAY - now)
    stage.world.add_booked(account, Decimal("-3.00"), description="Night bus")
    stage.world.add_pending(account, Decimal("-4.00"), description="Night bar")
    assert stage.world.today(account) == today_of(stage) + DAY

    stage.sync(connection)
    first = {row.id for row in stage.live()}
    assert len(first) == 2
    assert {row.status for row in stage.live()} == {"booked", "pending"}
    stage.pass_time(timedelta(minutes=5))
    stage.sync(connection)
    assert stage.differences(connection) == []
    stage.pass_time(timedelta(hours=1))
    stage.sync(connection)

    assert {row.id for row in stage.live()} == first
    assert stage.differences(connection) == []
    days = stage.query("SELECT max(last_day) FROM bank.account_coverage")
    assert days[0][0] == today_of(stage)
