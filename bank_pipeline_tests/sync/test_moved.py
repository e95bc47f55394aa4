"""An account that a feed tells of under another id: its rows go on, each of them once."""

from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.depth import Depth
from bank_pipeline.errors import TransientError
from bank_pipeline.sandbox.banks import Offer
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.duplicates import drop_duplicate
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import Step, SyncReason, SyncRequest
from bank_pipeline_tests.sync.ground import ACCOUNTS, CHECKING, Ground

COFFEE: Final = Decimal("-4.50")

pytestmark = pytest.mark.usefixtures("every_way")


def test_rows_of_another_id_wait_until_a_whole_list_tells_whose_they_are(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    accounts, [row] = ground.count("accounts"), ground.rows()
    ground.churn(connection, CHECKING)

    ground.fail(ACCOUNTS, "INTERNAL_SERVER_ERROR", times=3)
    with pytest.raises(TransientError, match="INTERNAL_SERVER_ERROR"):
        ground.sync(connection)

    assert ground.rows() == [row]
    assert ground.query("SELECT resolved_at FROM bank.quarantine") == [(None,)]
    ground.sync(connection)
    assert [one.id for one in ground.rows()] == [row.id]
    assert ground.count("accounts") == accounts
    assert ground.differences(connection) == []
    assert ground.query("SELECT 1 FROM bank.quarantine WHERE resolved_at IS NULL") == []


def test_rows_of_an_account_opened_while_the_list_fails_land_with_the_list(ground: Ground) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link_ready()
    offer = Offer(AccountKind.CHECKING, "Joint", None, "USD", "10.00")
    added = ground.world.add_account("login-1", offer)
    item = ground.sandbox.plaid.item(ground.connection(connection).external_id)
    with ground.sandbox.plaid.lock:
        ground.sandbox.plaid.items.grant(item, added.id, ground.sandbox.clock.now())
    ground.world.add_booked(added.id, COFFEE)

    ground.fail(ACCOUNTS, "INTERNAL_SERVER_ERROR", times=3)
    with pytest.raises(TransientError, match="INTERNAL_SERVER_ERROR"):
        ground.sync(connection)
    assert len(ground.rows()) == 1
    ground.sync(connection)

    assert len(ground.rows()) == 2
    assert ground.differences(connection) == []


@pytest.mark.parametrize("is_known_before", [False, True])
def test_what_ended_while_an_account_went_by_another_id_has_ended(
    ground: Ground, *, is_known_before: bool
) -> None:
    """A feed never tells the end of what it showed under the old id; the whole history does."""
    ground.world.add_booked(CHECKING, COFFEE)
    gone = ground.world.add_booked(CHECKING, Decimal(-7))
    vanished = ground.world.add_pending(CHECKING, Decimal(-20))
    meal = ground.world.add_pending(CHECKING, Decimal(-30))
    connection = ground.link_ready()
    coffee = ground.row(amount=COFFEE)
    ground.churn(connection, CHECKING)
    if is_known_before:
        ground.sync(connection, steps=frozenset({Step.BALANCES}))

    ground.world.remove(gone.id)
    ground.world.vanish(vanished.id)
    ground.world.book(meal.id, amount=Decimal(-36))
    ground.sync(connection)

    assert sorted(row.amount or 0 for row in ground.rows()) == [Decimal(-36), COFFEE]
    assert ground.row(amount=COFFEE).id == coffee.id
    assert ground.differences(connection) == []


def test_what_a_person_dropped_stays_away_under_another_id(ground: Ground) -> None:
    for _ in range(2):
        ground.world.add_booked(CHECKING, COFFEE, description="Blue Bottle")
    connection = ground.link_ready()
    copy, kept = ground.rows()
    with ground.engine.begin() as db:
        drop_duplicate(db, copy.id, now=ground.context.clock())
    ground.churn(connection, CHECKING)

    ground.sync(connection)

    assert [row.id for row in ground.rows()] == [kept.id]
    [gone] = ground.rows(removed=True)
    assert (gone.id, gone.external_id != copy.external_id) == (copy.id, True)


def test_a_later_replay_sets_nothing_aside_that_is_held_under_another_id(ground: Ground) -> None:
    """It tells the rows under the id that their account had before, too; nobody has to look."""
    ground.world.add_booked(CHECKING, COFFEE)
    ground.world.add_pending(CHECKING, Decimal(-20))
    connection = ground.link_ready()
    ground.churn(connection, CHECKING)
    ground.sync(connection)
    before = [(row.id, row.amount) for row in ground.rows()]

    again = SyncRequest(connection, SyncReason.BACKFILL, depth=Depth.BACKFILL)
    sync_connection(ground.context, again)

    assert [(row.id, row.amount) for row in ground.rows()] == before
    assert ground.query("SELECT 1 FROM bank.quarantine WHERE resolved_at IS NULL") == []
    assert ground.differences(connection) == []
