"""Complaint 22, what the circuit adds: our refused keys pause a provider, and nobody is blamed."""

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.errors import BankPipelineError
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import DAY


def test_22_refused_keys_stop_all_calls_and_touch_nobody(put_on: PutOn) -> None:
    """
    With our key gone every customer's sync failed, and every customer was told so.

    accounted#2296.
    """
    scene = put_on("gocardless").customer()
    scene.link().sync()
    other = scene.another().customer()
    other.link().sync()
    scene.stage.pass_time(DAY)
    scene.fail("authentication_failed", "gocardless:*", times=None)
    with pytest.raises(BankPipelineError):
        scene.sync()
    before = sum(scene.stage.calls().values())
    with pytest.raises(BankPipelineError):
        other.sync()

    assert sum(scene.stage.calls().values()) <= before + 1  # at most a probe
    for one in (scene, other):
        held = one.held()
        assert held.status is ConnectionStatus.ACTIVE
        assert held.next_attempt_at is not None
    scene.stage.heal()
    scene.buy("-12.00")
    for one in (scene, other):
        one.next_day()
        assert one.differences() == []
