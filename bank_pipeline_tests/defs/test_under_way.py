"""Who waits for a run that goes on: those that nobody waits for, and nobody else."""

from datetime import timedelta
from typing import Final

import dagster as dg
import pytest

from bank_pipeline.defs import assets
from bank_pipeline.defs.requests import OWN_RUNS_MAX
from bank_pipeline.domain.cadence import SLOT_MINUTES
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.connections import set_sync_requested
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.defs.operators import Operator
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_schedules import TICKS
from bank_pipeline_tests.defs.test_sensors import reasons
from bank_pipeline_tests.defs.test_webhook_sensors import insert_events
from bank_pipeline_tests.defs.ticks import Ticks, named_in
from bank_pipeline_tests.sync.between import during_a_sync

LATER: Final = TICKS[-1] + timedelta(minutes=SLOT_MINUTES)


@pytest.fixture
def logins() -> int:
    """As many as share a run, where fewer have runs of their own."""
    return OWN_RUNS_MAX + 1


def click(ticks: Ticks, connection_id: ConnectionId) -> None:
    """Ask for a sync as the page does."""
    context = ticks.installation.services.sync
    with context.engine.begin() as db:
        set_sync_requested(db, connection_id, now=context.clock())


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_whoever_waits_does_not_wait_for_the_daily_syncs(
    runs: Runs, ticks: Ticks, logins: int, status: dg.DagsterRunStatus
) -> None:
    """A webhook and a click pass a batch that has their connections before it, or behind it."""
    called_for, clicked, *_ = runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    ticks.queue(batch, status)
    insert_events(ticks, called_for)
    click(ticks, clicked)

    requests = ticks.webhooks()

    assert sorted(id_ for one in requests for id_ in named_in(one)) == sorted([called_for, clicked])
    assert reasons(requests) == {"webhook", "manual"}
    assert all(runs.of_request(one).success for one in requests)
    before = runs.installation.syncs()
    assert runs.of_request(batch).success
    after = runs.installation.syncs()
    assert after == before + logins - 2, "the batch folds what was synced meanwhile"


def test_what_a_batch_covered_meanwhile_is_not_synced_again(
    runs: Runs, ticks: Ticks, logins: int
) -> None:
    """A process takes seconds to start: by then the batch may have answered who waits."""
    called_for, clicked, *_ = runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    insert_events(ticks, called_for)
    click(ticks, clicked)
    requests = ticks.webhooks()
    assert runs.of_request(batch).success

    assert len(requests) == 2
    assert all(runs.of_request(one).success for one in requests)

    assert runs.installation.syncs() == logins


def test_what_failed_meanwhile_waits_for_its_planned_try(
    runs: Runs, ticks: Ticks, logins: int
) -> None:
    """A provider that asked to be left alone is, whoever else has the connection before it."""
    clicked, *others = runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    ticks.queue(batch, dg.DagsterRunStatus.STARTED)
    click(ticks, clicked)
    [request] = ticks.webhooks()
    runs.break_feed(clicked, code="TRANSACTIONS_SYNC_LIMIT")
    failed = runs.of_request(request)
    assert not failed.success
    planned = runs.installation.stored(clicked).next_attempt_at

    assert runs.of_request(batch).success

    assert runs.installation.stored(clicked).next_attempt_at == planned
    assert runs.installation.syncs() == 1 + len(others)
    runs.installation.sandbox.faults.clear()
    assert runs.from_failure(failed).success, "a person may repeat it all the same"
    assert runs.installation.stored(clicked).last_success_at is not None


def test_a_run_that_a_person_repeats_whole_does_all_of_it_again(
    runs: Runs, ticks: Ticks, logins: int
) -> None:
    """Whatever was done since: that is what the button says."""
    runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    done = runs.of_request(batch)

    assert runs.anew(done).success

    assert runs.installation.syncs() == 2 * logins


def test_an_event_waits_for_the_sync_that_goes_on(runs: Runs, ticks: Ticks, logins: int) -> None:
    """Another one would only be folded, and the event be asked for again and again."""
    ids = runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    ticks.queue(batch, dg.DagsterRunStatus.STARTED)
    insert_events(ticks, ids[0])

    with connection_lock(ticks.installation.services.sync.engine, ids[0]):
        assert ticks.webhooks() == []

    assert [named_in(request) for request in ticks.webhooks()] == [[ids[0]]]


def test_what_failed_in_a_batch_is_repeated_together_after_it(
    runs: Runs, ticks: Ticks, logins: int
) -> None:
    """Else each would be a start of a process, one behind the other in a lane of one run."""
    ids = runs.linked(logins)
    assert runs.of_config(ids).success
    for id_ in ids:
        runs.break_feed(id_, code="INTERNAL_SERVER_ERROR")
    [batch] = ticks.schedule(TICKS[-1] + timedelta(days=1))
    run = ticks.queue(batch, dg.DagsterRunStatus.STARTED)
    assert not runs.of_request(batch).success
    ticks.installation.sandbox.advance(timedelta(minutes=9))  # all are due, one after the other

    assert ticks.connections() == []
    ticks.instance.report_run_failed(run)
    [repetition] = ticks.connections()
    assert sorted(named_in(repetition)) == sorted(ids)
    assert (repetition.tags["bank/reason"], repetition.tags["bank/lane"]) == ("recovery", "routine")


def test_a_batch_that_lasts_long_leaves_the_rest_to_another(
    runs: Runs, ticks: Ticks, logins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow banks do not keep the lane; what was left is due as before, and told of."""
    ids = runs.linked(logins)
    [batch] = ticks.schedule(TICKS[-1])
    with monkeypatch.context() as patched:
        patched.setattr(assets, "BATCH_LASTS", timedelta(0))
        ended = runs.of_request(batch)
    assert ended.success
    assert runs.installation.syncs() == 0
    told = [entry.user_message for entry in runs.instance.all_logs(ended.run_id)]
    assert f"{len(ids)} connections are left to a later run: they are due as before" in told

    [again] = ticks.schedule(LATER)
    assert sorted(named_in(again)) == sorted(ids)
    assert runs.of_request(again).success
    assert runs.installation.syncs() == len(ids)


def test_a_batch_that_nobody_asks_for_again_does_all(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person has told it, however long it takes."""
    ids = runs.linked(2)
    monkeypatch.setattr(assets, "BATCH_LASTS", timedelta(0))

    assert runs.of_config(ids).success

    assert runs.installation.syncs() == 2


@pytest.mark.parametrize("is_begun", [False, True])
def test_one_that_is_ended_fails_no_run_that_has_it_before_it(
    runs: Runs, ticks: Ticks, logins: int, *, is_begun: bool
) -> None:
    """Whoever ends a connection wants just that: the operator has nothing to look at."""
    ended, *others = runs.linked(logins)
    operator = Operator(runs)
    [batch] = ticks.schedule(TICKS[-1])
    context = runs.installation.services.sync

    def end() -> None:
        disconnect(context, ended)

    if is_begun:
        with during_a_sync(context.engine, end):
            done = runs.of_config([ended])
    else:
        end()
        done = runs.of_request(batch)
    operator.tick()

    assert done.success
    assert operator.told() == []
    assert runs.installation.syncs() == (1 if is_begun else len(others))
