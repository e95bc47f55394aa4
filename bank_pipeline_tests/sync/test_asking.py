"""A person asks for a sync: done where it helps, else refused with the reason and the time."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import NotNowError, RefusedError
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.locks import connection_lock
from bank_pipeline.sync.account_choice import choose_accounts
from bank_pipeline.sync.asking import COOLDOWN, ask_for_sync, may_ask
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.sync.staging import staged

stage = staged(tuple(case for case in CASES if case.capabilities.quotas))
"""Each provider that counts calls."""


def synced_pair(stage: Stage) -> tuple[ConnectionId, list[AccountId]]:
    """Link and read two accounts; return the connection and them."""
    _, connection_id = stage.linked(AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.sync(connection_id)
    rows = stage.query("SELECT id::text FROM bank.accounts ORDER BY created_at, id")
    ids = [AccountId(row[0]) for row in rows]
    assert len(ids) == 2
    return connection_id, ids


def test_right_after_a_sync_it_has_to_wait_and_is_told_how_long(ground: Ground) -> None:
    connection_id = ground.link_ready()
    ended = ground.runs(connection_id)[0].ended_at
    assert ended is not None
    with pytest.raises(NotNowError, match="moments ago") as refused:
        ask_for_sync(ground.context, connection_id)
    assert refused.value.next_at == ended + COOLDOWN

    ground.pass_time(COOLDOWN)
    assert ask_for_sync(ground.context, connection_id).refusal is None
    assert may_ask(ground.context, connection_id).is_waiting


def test_a_sync_that_a_clock_dated_that_was_days_ahead_keeps_nobody_waiting(
    ground: Ground,
) -> None:
    connection_id = ground.link_ready()
    ground.execute("UPDATE bank.sync_runs SET ended_at = ended_at + interval '30 days'")

    assert may_ask(ground.context, connection_id).refusal is None


def test_beside_a_sync_it_is_that_one_and_beside_a_killed_one_it_is_not(ground: Ground) -> None:
    connection_id = ground.link_ready()
    ground.pass_time(COOLDOWN)
    open_run = "UPDATE bank.sync_runs SET ended_at = NULL, outcome = NULL"
    ground.execute(f"{open_run} WHERE connection_id = '{connection_id}'")
    with connection_lock(ground.engine, connection_id):
        asking = may_ask(ground.context, connection_id)
        assert (asking.refusal, asking.is_running) == ("a sync is under way", True)
    assert may_ask(ground.context, connection_id).refusal is None


def test_where_the_bank_counts_calls_it_is_refused_until_the_first_is_free(stage: Stage) -> None:
    """The schedule keeps some for people; when those are spent, too, a time is told."""
    _, connection_id = stage.linked()
    context = stage.context
    for _ in range(8):
        asking = may_ask(context, connection_id)
        if asking.refusal is None:
            sync_connection(context, SyncRequest(connection_id, SyncReason.MANUAL))
        stage.pass_time(COOLDOWN + timedelta(minutes=1))
    asking = may_ask(context, connection_id)
    assert asking.refusal == "the bank answers no more calls today"
    assert asking.calls_left == 0
    assert asking.next_at is not None

    stage.pass_time(asking.next_at - context.clock())
    assert may_ask(context, connection_id).refusal is None


def test_an_account_that_was_left_out_is_not_asked_for_and_comes_back_whole(stage: Stage) -> None:
    """What was read of it stays, as no gap and no failure; chosen again, it misses nothing."""
    connection_id, ids = synced_pair(stage)

    choose_accounts(stage.context, connection_id, ids[:1])
    spent = "SELECT count(scope) FROM bank.provider_calls WHERE account_external_id = "
    of = f"{spent}(SELECT external_id FROM bank.accounts WHERE id = '{ids[1]}')"
    before = stage.query(of)
    for _ in range(3):
        stage.pass_time(timedelta(days=1))
        stage.sync(connection_id)
    assert stage.query(of) == before
    gaps = f"SELECT count(*) FROM analytics.account_gaps WHERE account_id = '{ids[1]}'"
    assert stage.query(gaps)[0][0] == 0

    choose_accounts(stage.context, connection_id, ids)
    stage.pass_time(timedelta(days=1))
    stage.sync(connection_id)
    assert stage.differences(connection_id) == []


def test_a_choice_of_nothing_or_of_a_strangers_account_changes_nothing(stage: Stage) -> None:
    _, connection_id = stage.linked()
    stage.sync(connection_id)
    with pytest.raises(RefusedError, match="disconnect"):
        choose_accounts(stage.context, connection_id, [])
    with pytest.raises(RefusedError, match="not an account"):
        choose_accounts(stage.context, connection_id, [AccountId(str(uuid4()))])
    assert stage.query("SELECT count(excluded_at) FROM bank.accounts")[0][0] == 0


def test_what_nobody_was_shown_is_not_left_out(stage: Stage) -> None:
    """A sync may find an account while somebody chooses."""
    connection_id, ids = synced_pair(stage)
    choose_accounts(stage.context, connection_id, ids[:1], shown=ids[:1])
    assert stage.query("SELECT count(excluded_at) FROM bank.accounts")[0][0] == 0


def test_a_choice_that_changes_nothing_asks_for_nothing(stage: Stage) -> None:
    """Neither by patience of ours that it would end, nor by calls of the bank's."""
    connection_id, ids = synced_pair(stage)
    before = stage.connection(connection_id)
    choose_accounts(stage.context, connection_id, ids)
    assert stage.connection(connection_id) == before

    choose_accounts(stage.context, connection_id, ids[:1])
    after = stage.connection(connection_id)
    assert (after.status, after.next_attempt_at) == (before.status, before.next_attempt_at)
    assert after.sync_requested_at is not None


def test_a_first_sync_that_waits_for_the_choice_is_started_by_no_webhook(ground: Ground) -> None:
    connection_id = ground.link()
    ground.execute(
        "INSERT INTO bank.webhook_events (provider, event_key, kind, code, "
        "connection_external_id, received_at) SELECT provider, 'k', 'sync', 'c', external_id, "
        "created_at FROM bank.connections"
    )
    later = ground.context.clock() + timedelta(minutes=5)
    ground.execute(f"UPDATE bank.connections SET next_attempt_at = '{later.isoformat()}'")
    assert ground.waiting() == []
    ground.pass_time(timedelta(minutes=6))
    assert ground.waiting() == [connection_id]
