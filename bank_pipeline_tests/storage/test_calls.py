from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.storage.calls import (
    ANSWERED,
    FAILED,
    delete_calls,
    finish_call,
    insert_call,
    load_last_applied,
    load_recent_calls,
    set_calls_applied,
)
from bank_pipeline_tests.storage.linked import Linked

HOUR = timedelta(hours=1)


def make(db: sa.Connection, linked: Linked, at: datetime, scope: str = "balances") -> int:
    return insert_call(
        db,
        linked.connection.id,
        account_external_id="acc-1",
        scope=scope,
        is_scheduled=True,
        now=at,
    )


def recent(
    db: sa.Connection, linked: Linked, now: datetime, *, counts_failures: bool = False
) -> list[bool]:
    found = load_recent_calls(
        db,
        linked.connection.id,
        account_external_id="acc-1",
        scope="balances",
        counts_failures=counts_failures,
        now=now,
    )
    return [call.is_counted for call in found]


def test_a_call_counts_until_it_is_known_to_have_failed(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """One that is under way, or whose process died, counts: rather one too few than too many."""
    done, failed = (make(db, linked, now - hours * HOUR) for hours in (3, 2))
    make(db, linked, now - HOUR)
    finish_call(db, done, outcome=ANSWERED, calls_left=3, resets_at=None)
    finish_call(db, failed, outcome=FAILED, calls_left=None, resets_at=None)

    assert recent(db, linked, now) == [True, False, True]
    assert recent(db, linked, now, counts_failures=True) == [True, True, True]


def test_calls_of_other_scopes_and_of_yesterday_are_not_looked_at(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    make(db, linked, now - HOUR, scope="transactions")
    make(db, linked, now - 24 * HOUR)
    assert recent(db, linked, now) == []


def test_an_answer_that_was_not_applied_is_as_good_as_none(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A process may die between the answer and the tables: the next one must ask again."""
    applied, answered = (make(db, linked, now - hours * HOUR) for hours in (5, 2))
    for call in (applied, answered):
        finish_call(db, call, outcome=ANSWERED, calls_left=None, resets_at=None)
    set_calls_applied(db, [applied])
    make(db, linked, now - HOUR)

    last = load_last_applied(
        db, linked.connection.id, account_external_id="acc-1", scope="balances"
    )
    assert last == now - 5 * HOUR


def test_old_calls_go_in_bounded_steps(db: sa.Connection, linked: Linked, now: datetime) -> None:
    for hours in (50, 49, 48, 1):
        make(db, linked, now - hours * HOUR)
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 2
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 1
    assert delete_calls(db, before=now - 24 * HOUR, limit=2) == 0
    assert recent(db, linked, now) == [True]
