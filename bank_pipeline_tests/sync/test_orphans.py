"""Rows of accounts that the provider does not list: set aside, and back as soon as it does."""

from decimal import Decimal

import pytest

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.sync.ground import ACCOUNTS, CHECKING, READY, SYNC, Ground

pytestmark = pytest.mark.usefixtures("every_way")


def _link_with_an_unlisted_account(ground: Ground, *, lists: int) -> ConnectionId:
    """Plaid leaves one account out of both answers for some syncs, but not its transactions."""
    for number in (1, 2, 3):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)
    ground.fail(SYNC, FaultKind.MISSING_ACCOUNT, times=lists)
    ground.fail(ACCOUNTS, FaultKind.MISSING_ACCOUNT, times=lists)
    return connection


def test_rows_of_an_unlisted_account_wait_and_land_when_it_is_listed(ground: Ground) -> None:
    connection = _link_with_an_unlisted_account(ground, lists=2)

    report = ground.sync(connection)

    assert report.quarantined_count > 0
    waiting = ground.query("SELECT count(*) FROM bank.quarantine WHERE resolved_at IS NULL")
    assert waiting == [(report.quarantined_count,)]

    ground.sync(connection)
    ground.world.add_booked(CHECKING, Decimal(-4))
    ground.sync(connection)

    assert ground.differences(connection) == []
    assert ground.query("SELECT count(*) FROM bank.quarantine WHERE resolved_at IS NULL") == [(0,)]


def test_the_replay_that_brings_waiting_rows_brings_removals_too(ground: Ground) -> None:
    kept = ground.world.add_booked(CHECKING, Decimal(-9))
    connection = _link_with_an_unlisted_account(ground, lists=1)
    ground.sync(connection)

    ground.world.remove(kept.id)
    ground.sync(connection)

    assert ground.differences(connection) == []
    assert kept.amount not in [row.amount for row in ground.rows()]
