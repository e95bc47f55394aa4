"""After any life of an account: a replay finds nothing to change, and a sync can be taken back."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bank_pipeline.errors import RefusedError
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.properties.life import Deed, Life, deeds
from bank_pipeline_tests.providers.contract import conftest as fixtures
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.lookback import contents, last_run_id

quiet, stage = fixtures.quiet, fixtures.stage
DAY: Final = timedelta(days=1)


@settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rounds=st.lists(st.lists(deeds, min_size=1, max_size=8), min_size=2, max_size=4))
def test_a_sync_taken_back_leaves_no_trace_and_comes_again(
    stage: Stage, rounds: list[list[Deed]]
) -> None:
    """Every column is as it was; the next sync holds the truth; a replay changes nothing."""
    login = stage.new_login()
    life = Life(stage.world, (stage.account(login),))
    connection = stage.link(login, AccountKind.CHECKING)
    for happening in rounds:
        stage.pass_time(DAY)
        for deed in happening:
            life.do(deed)
        before = contents(stage)
        stage.sync(connection, SyncReason.SCHEDULE)
        truth = stage.differences(connection)
        found = renormalise(stage.context, connection, since=None, applies=False)
        assert (found.changed, found.landed, found.resolved_count) == ((), (), 0)
        with suppress(RefusedError):  # it changed nothing, so nothing is to be seen of it, either
            undo(stage.context, last_run_id(stage, connection), discards_annotations=False)
        assert contents(stage) == before
        stage.sync(connection)
        assert stage.differences(connection) == truth
    assert truth == []
    found = renormalise(stage.context, connection, since=None, applies=True)
    assert found.sync_run_id is None
