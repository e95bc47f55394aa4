from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.calls import (
    ANSWERED,
    APPLIED,
    FAILED,
    CallResult,
    NewCall,
    delete_calls,
    finish_calls,
    insert_call,
    insert_ended_calls,
    load_last_applied,
    load_recent_calls,
)
from bank_pipeline_tests.storage.linked import Linked

HOUR = timedelta(hours=1)
ONE: Final = ("acc-1", "balances")


def new(linked: Linked, at: datetime, scope: str | None = "balances") -> NewCall:
    return NewCall(
        provider=Provider.GOCARDLESS,
        operation="accounts/balances",
        connection_id=linked.connection.id,
        sync_run_id=None,
        account_external_id="acc-1",
        scope=scope,
        is_scheduled=True,
        is_counted=True,
        called_at=at,
    )


def recent(db: sa.Connection, linked: Linked, now: datetime) -> list[bool]:
    found = load_recent_calls(db, linked.connection.id, now=now)
    return [call.is_counted for call in found.get(ONE, [])]


def test_a_call_counts_until_it_is_known_not_to(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """One that is under way, or whose process died, counts: rather one too few than too many."""
    done, failed = (insert_call(db, new(linked, now - hours * HOUR)) for hours in (3, 2))
    insert_call(db, new(linked, now - HOUR))
    finish_calls(
        db,
        {
            done: CallResult(ANSWERED, is_counted=True, calls_left=3, http_status=200),
            failed: CallResult(FAILED, is_counted=False, error_code="ServiceError"),
        },
    )

    assert recent(db, linked, now) == [True, False, True]
    found = load_recent_calls(db, linked.connection.id, now=now)[ONE]
    assert [call.calls_left for call in found] == [3, None, None]


def test_calls_of_other_scopes_and_of_yesterday_are_not_looked_at(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    insert_call(db, new(linked, now - HOUR, scope="transactions"))
    insert_call(db, new(linked, now - HOUR, scope=None))
    insert_call(db, new(linked, now - 24 * HOUR))
    assert recent(db, linked, now) == []


def test_an_answer_that_was_not_applied_is_as_good_as_none(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A process may die between the answer and the tables: the next one must ask again."""
    applied, answered = (insert_call(db, new(linked, now - hours * HOUR)) for hours in (5, 2))
    finish_calls(
        db,
        {
            applied: CallResult(APPLIED, is_counted=True),
            answered: CallResult(ANSWERED, is_counted=True),
        },
    )
    insert_call(db, new(linked, now - HOUR))
    assert load_last_applied(db, linked.connection.id) == {ONE: now - 5 * HOUR}

    failed = CallResult(FAILED, is_counted=True)
    insert_ended_calls(db, [(new(linked, now), failed)])
    assert load_last_applied(db, linked.connection.id) == {}


def test_a_call_of_no_connection_is_kept_too(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    call = replace(new(linked, now, scope=None), connection_id=None, account_external_id=None)
    insert_ended_calls(db, [(call, CallResult(ANSWERED, is_counted=False, duration_ms=5))] * 2)
    insert_ended_calls(db, [])
    assert db.scalar(sa.text("SELECT sum(duration_ms) FROM bank.provider_calls")) == 10


def test_old_calls_go_in_bounded_steps(db: sa.Connection, linked: Linked, now: datetime) -> None:
    for hours in (50, 49, 48, 1):
        insert_call(db, new(linked, now - hours * HOUR))
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 2
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 1
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 0
    assert recent(db, linked, now) == [True]
