"""The sensors: partitions follow the table, planned tries and webhooks become runs, once each."""

from datetime import timedelta
from typing import Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.definitions import defs
from bank_pipeline.defs.requests import BATCH_SIZE, OWN_RUNS_MAX
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.storage.connections import ensure_team, insert_or_renew_connection
from bank_pipeline.storage.tables import connections
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.ticks import Ticks, named_in
from bank_pipeline_tests.installation import Installation

LOST: Final = timedelta(minutes=10)


def keys(requests: list[dg.RunRequest]) -> list[str | None]:
    return [request.run_key for request in requests]


def reasons(requests: list[dg.RunRequest]) -> set[str]:
    return {request.tags["bank/reason"] for request in requests}


def insert_connections(
    installation: Installation, count: int, provider: Provider = Provider.PLAID
) -> list[ConnectionId]:
    """Store connections that were linked just now, without asking a provider."""
    now = installation.services.sync.clock()
    with installation.services.sync.engine.begin() as db:
        team_id = ensure_team(db, "home", now=now)
        return [
            insert_or_renew_connection(
                db,
                team_id=team_id,
                provider=provider,
                external_id=f"item-{number}",
                institution_external_id=None,
                institution_name=None,
                now=now,
            )
            for number in range(count)
        ]


def set_status(ticks: Ticks, connection_id: ConnectionId, status: ConnectionStatus) -> None:
    query = sa.update(connections).where(connections.c.id == connection_id)
    with ticks.installation.services.sync.engine.begin() as db:
        db.execute(query.values(status=status.value, next_attempt_at=None))


def test_partitions_follow_the_table_both_ways(ticks: Ticks) -> None:
    """A linked connection gets its partition, an ended one loses it, the others stay."""
    ids = ticks.installation.link(2)
    ticks.connections()
    assert ticks.partitions() == {*ids}

    disconnect(ticks.installation.services.sync, ids[0])
    ticks.connections()

    assert ticks.partitions() == {ids[1]}


def test_one_linked_while_the_sensor_looks_fails_no_tick(ticks: Ticks) -> None:
    """Between the list of connections and that of due tries: the next tick has it."""
    [before] = ticks.installation.link(1)
    engine = ticks.installation.services.sync.engine
    linked: list[ConnectionId] = []

    def link(_db: object, _cursor: object, statement: str, *_: object) -> None:
        if "SELECT bank.connections.id \nFROM" in statement and not linked:
            linked.extend(insert_connections(ticks.installation, 1))

    sa.event.listen(engine, "after_cursor_execute", link)
    assert [named_in(request) for request in ticks.connections()] == [[before]]
    assert ticks.partitions() == {before}

    assert sorted(id_ for one in ticks.connections() for id_ in named_in(one)) == sorted(
        [before, *linked]
    )


def test_a_connection_that_needs_its_customer_keeps_its_partition(ticks: Ticks) -> None:
    """Its history stays on the operator's screen while calls rest."""
    [connection_id] = ticks.installation.link()
    set_status(ticks, connection_id, ConnectionStatus.NEEDS_REAUTH)

    assert ticks.connections() == []
    assert ticks.partitions() == {connection_id}


def test_the_first_sync_is_requested_with_the_partition(ticks: Ticks) -> None:
    """The tick that first sees a connection adds its partition and asks for its first sync."""
    [connection_id] = ticks.installation.link()

    [request] = ticks.connections()

    assert request.partition_key == connection_id
    assert request.tags["bank/connection"] == connection_id
    assert reasons([request]) == {"initial"}


def test_a_request_repeats_under_one_key_until_it_is_handled(ticks: Ticks, runs: Runs) -> None:
    """Dagster drops repeated keys, so that asking again costs nothing."""
    [connection_id] = ticks.installation.link()
    first = ticks.connections()
    ticks.installation.sandbox.advance(timedelta(seconds=5))
    second = ticks.connections()
    assert keys(first) == keys(second)

    runs.of_partition(connection_id)

    assert ticks.connections() == []


def test_a_lost_request_is_made_again_after_ten_minutes(ticks: Ticks) -> None:
    """A request whose run never did anything comes under a new key, once per ten minutes."""
    ticks.installation.link()
    lost = ticks.connections()
    ticks.installation.sandbox.advance(LOST)

    again = ticks.connections()

    assert keys(again) != keys(lost)
    ticks.installation.sandbox.advance(timedelta(minutes=9))
    assert keys(ticks.connections()) != keys(lost)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_what_a_run_under_way_covers_is_not_requested(
    ticks: Ticks, status: dg.DagsterRunStatus
) -> None:
    """
    While a batch works down its list, the rest of it is not asked for again.

    What is left of a batch has another digest with every tick: by run keys alone, each tick
    would start one more run of connections that have their run already.
    """
    ids = insert_connections(ticks.installation, OWN_RUNS_MAX + 3)
    [batch] = ticks.connections()
    ticks.queue(batch, status)
    set_status(ticks, ids[0], ConnectionStatus.ACTIVE)  # the batch got that far

    assert ticks.connections() == []


def test_a_run_that_a_person_started_is_under_way_too(ticks: Ticks) -> None:
    """A click on one partition runs another job, which says its partition and nothing else."""
    [connection] = ticks.installation.link()
    ticks.instance.create_run_for_job(
        defs.resolve_job_def("__ASSET_JOB"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": connection},
    )

    assert ticks.connections() == []


def test_what_no_run_covers_is_requested_beside_a_batch(ticks: Ticks) -> None:
    """A connection that is linked while a batch runs does not wait for its end."""
    insert_connections(ticks.installation, OWN_RUNS_MAX + 1)
    [batch] = ticks.connections()
    ticks.queue(batch, dg.DagsterRunStatus.STARTED)
    [fresh] = ticks.installation.link()

    [request] = ticks.connections()

    assert request.partition_key == fresh


def test_a_run_that_may_be_dead_covers_nothing(ticks: Ticks) -> None:
    """A machine that went down leaves runs that look alive: they hold nobody up for long."""
    insert_connections(ticks.installation, 1)
    [request] = ticks.connections()
    ticks.queue(request, dg.DagsterRunStatus.STARTED)
    with ticks.installation.services.sync.engine.begin() as db:
        db.exec_driver_sql(
            "UPDATE dagster.runs SET start_time = extract(epoch FROM now()) - 11 * 60"
        )

    assert keys(ticks.connections()) == [request.run_key]


def test_a_failed_run_covers_nothing(ticks: Ticks) -> None:
    """What a run that ended left undone is due as before."""
    insert_connections(ticks.installation, 1)
    [request] = ticks.connections()
    ticks.queue(request, dg.DagsterRunStatus.FAILURE)

    assert keys(ticks.connections()) == [request.run_key]


def test_few_get_runs_of_their_own(ticks: Ticks) -> None:
    """A handful of due connections shows as one run each, by its partition."""
    ids = insert_connections(ticks.installation, OWN_RUNS_MAX)

    requests = ticks.connections()

    assert {request.partition_key for request in requests} == {*ids}


def test_many_share_runs_by_config(ticks: Ticks) -> None:
    """Many due connections become batches: every one in exactly one, none above the size."""
    ids = insert_connections(ticks.installation, BATCH_SIZE + 7)

    requests = ticks.connections()

    assert [len(named_in(request)) for request in requests] == [BATCH_SIZE, 7]
    assert sorted(id_ for request in requests for id_ in named_in(request)) == sorted(ids)
    assert {request.partition_key for request in requests} == {None}
    assert len({*keys(requests)}) == len(requests)
    assert keys(ticks.connections()) == keys(requests)


def test_a_failure_is_tried_again_when_its_time_has_come(ticks: Ticks, runs: Runs) -> None:
    """After a failure the next try is planned, and asked for as a recovery, not before."""
    [connection_id] = runs.linked()
    runs.break_feed(connection_id, code="INSTITUTION_DOWN")
    runs.of_partition(connection_id)
    due_at = ticks.installation.stored(connection_id).next_attempt_at
    assert due_at is not None
    assert ticks.connections() == []

    ticks.installation.sandbox.advance(due_at - ticks.installation.services.sync.clock())

    [request] = ticks.connections()
    assert named_in(request) == [connection_id]
