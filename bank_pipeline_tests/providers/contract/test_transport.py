"""Claims about the network: whatever breaks at whatever call, nothing is lost and none doubled."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.errors import TransientError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.providers.contract.stage import Stage

BREAKS: Final = (
    FaultKind.RESET,
    FaultKind.RESET_BODY,
    FaultKind.TRUNCATED_BODY,
    FaultKind.HTML_BODY,
    FaultKind.HTTP_STATUS,
    FaultKind.EMPTY_BODY,
    FaultKind.LOST_ANSWER,
)


@pytest.mark.parametrize("times", [1, 9], ids=["once", "again and again"])
def test_a_broken_answer_at_any_call_loses_and_doubles_nothing(stage: Stage, times: int) -> None:
    login, connection = stage.linked()
    calls_count = stage.sync(connection).calls_count
    account = stage.account(login)
    seen: set[str] = set()
    for number, kind in enumerate(BREAKS):
        stage.pass_time(timedelta(days=1))
        stage.world.add_booked(account, Decimal(-number - 1))
        stage.fail(stage.case.calls, kind, times=times, after=number % calls_count)
        injected = len(stage.sandbox.faults.injected())
        try:
            stage.sync(connection)
        except TransientError:
            after = stage.connection(connection)
            assert after.status in (ConnectionStatus.ERROR, ConnectionStatus.ACTIVE)
            assert after.next_attempt_at is not None
        assert len(stage.sandbox.faults.injected()) > injected
        stage.heal()
        assert seen <= {row.id for row in stage.live()}
        seen = {row.id for row in stage.live()}
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    assert stage.differences(connection) == []
    assert seen <= {row.id for row in stage.live()}
    assert len(stage.live()) == len(BREAKS)
    assert stage.connection(connection).status is ConnectionStatus.ACTIVE
