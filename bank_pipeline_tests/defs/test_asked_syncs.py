"""Syncs that a person asks for: one run each, at once, until one has begun."""

from datetime import timedelta

import dagster as dg

from bank_pipeline.sync.asking import COOLDOWN, ask_for_sync
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import Step, SyncReason, SyncRequest
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_sensors import keys, reasons
from bank_pipeline_tests.defs.test_webhook_sensors import insert_events
from bank_pipeline_tests.defs.ticks import Ticks


def test_what_somebody_asked_for_is_one_run_of_its_own_until_it_begins(
    ticks: Ticks, runs: Runs
) -> None:
    """Events that wait for the same connection go with it; what was done is not asked for again."""
    [connection_id] = runs.linked()
    context = ticks.installation.services.sync
    ticks.installation.sandbox.advance(COOLDOWN)
    ask_for_sync(context, connection_id)
    ask_for_sync(context, connection_id)
    insert_events(ticks, connection_id, count=2)

    [request] = ticks.webhooks()
    assert (request.partition_key, reasons([request])) == (connection_id, {"manual"})
    ticks.installation.sandbox.advance(timedelta(seconds=10))
    assert keys(ticks.webhooks()) == [request.run_key], "the same, as long as it has not begun"
    ticks.queue(request, dg.DagsterRunStatus.NOT_STARTED)
    assert ticks.webhooks() == []


def test_what_was_asked_for_is_done_by_the_next_whole_sync_whoever_begins_it(
    ticks: Ticks, runs: Runs
) -> None:
    """Balances alone are not what was asked for."""
    [connection_id] = runs.linked()
    context = ticks.installation.services.sync
    ticks.installation.sandbox.advance(COOLDOWN)
    ask_for_sync(context, connection_id)
    balances = frozenset({Step.BALANCES})
    sync_connection(context, SyncRequest(connection_id, SyncReason.REFRESH, steps=balances))
    assert len(ticks.webhooks()) == 1
    sync_connection(context, SyncRequest(connection_id, SyncReason.SCHEDULE))
    assert ticks.webhooks() == []
