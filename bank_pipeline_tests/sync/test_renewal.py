"""A consent that is renewed while a sync is under its way, or while accounts cannot be read."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import ProviderError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged

RENAMING: Final = tuple(case for case in CASES if case.capabilities.is_renewed_by_new_connection)
HOUR: Final = timedelta(hours=1)
PAUSES: Final = {
    Provider.GOCARDLESS: HOUR,  # a new consent's accounts have their calls for themselves
    Provider.ENABLE_BANKING: timedelta(days=1),  # its banks count by account, whatever the consent
}


stage = staged(RENAMING)
"""Each provider at which a renewal gives accounts other ids."""


def state_of(stage: Stage) -> tuple[set[str], set[str], int]:
    """Return our ids of all live rows and all accounts, and how many rows there ever were."""
    rows = stage.rows()
    accounts = stage.query("SELECT id::text FROM bank.accounts WHERE closed_at IS NULL")
    live = {row.id for row in rows if not row.is_removed}
    return live, {row[0] for row in accounts}, len(rows)


class Renewing:
    """A clock that has the customer renew the consent when it is asked for the nth time."""

    def __init__(self, stage: Stage, login: str, connection: ConnectionId, nth: int) -> None:
        self._stage, self._login, self._connection = stage, login, connection
        self._left = nth

    @property
    def has_struck(self) -> bool:
        return self._left <= 0

    def __call__(self) -> datetime:
        self._left -= 1
        if self._left == 0:
            state = self._stage.consent(self._login, renews=self._connection)
            assert state.connection_ids == (self._connection,)
        return self._stage.sandbox.clock.now()


def test_a_renewal_at_any_moment_of_a_sync_keeps_rows_accounts_and_status(stage: Stage) -> None:
    """The sync goes on under the old consent; the next one reads by the new one."""
    login = stage.new_login()
    stage.world.add_pending(stage.account(login), Decimal("-1.20"))
    connection = stage.link(login)
    stage.sync(connection)
    before = state_of(stage)
    for nth in (*range(1, 7), *range(7, 200, 4)):
        stage.pass_time(PAUSES[stage.case.provider])
        clock = Renewing(stage, login, connection, nth)
        context = replace(stage.context, clock=clock)
        with suppress(ProviderError):
            sync_connection(context, SyncRequest(connection, SyncReason.SCHEDULE))
        if not clock.has_struck:
            break
        assert stage.connection(connection).status is ConnectionStatus.ACTIVE, nth
        due = stage.connection(connection).next_attempt_at
        assert due is None or due <= stage.sandbox.clock.now(), nth
        assert state_of(stage) == before, nth
        stage.sync(connection, SyncReason.RECOVERY)
        assert stage.differences(connection) == [], nth
        assert state_of(stage) == before, nth
    assert nth > 10


@pytest.mark.parametrize("lasting", [1, 2], ids=["one account", "two accounts"])
def test_accounts_that_could_not_be_read_at_the_renewal_are_recognised_later(
    stage: Stage, lasting: int
) -> None:
    if stage.case.provider is Provider.ENABLE_BANKING:
        pytest.skip("its accounts come with the renewal itself")
    login = stage.new_login()
    stage.world.add_pending(stage.account(login), Decimal("-1.20"))
    connection = stage.link(login)
    stage.sync(connection)
    before = state_of(stage)

    stage.fail("gocardless:account", FaultKind.HTTP_STATUS, status=503, times=3 * lasting)
    assert stage.consent(login, renews=connection).connection_ids == (connection,)
    stage.heal()
    stage.pass_time(HOUR)
    stage.sync(connection)

    assert stage.differences(connection) == []
    assert state_of(stage) == before
