"""Every call is in the ledger, whatever became of it, and nothing in it that must not be."""

import re
from collections import Counter
from datetime import timedelta
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import RateLimitedError, TransientError
from bank_pipeline.providers.base import Scope
from bank_pipeline.providers.http import fetch_json
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.prune import CALLS_KEPT, prune
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged, staged_at
from bank_pipeline_tests.sync.test_quota import make_call, open_book

stage = staged(CASES)
"""Each provider."""
gocardless = staged_at(Provider.GOCARDLESS)
"""The provider that counts details, too."""


def received_by(stage: Stage) -> Counter[str]:
    """Count what came to the provider so far, but for the pages that people look at."""
    if stage.case.provider is Provider.PLAID:
        found = fetch_json(f"{stage.sandbox.url}/_sim/calls")["calls"]
        counts = Counter(
            {f"{call['operation']} {call['item_id']}": call["count"] for call in found}
        )
    else:
        counts = Counter({str(key): count for key, count in stage.calls().items()})
    return Counter({key: n for key, n in counts.items() if not _PAGES.search(key)})


_PAGES: Final = re.compile(r"consent|hosted|page|start|connect|_sim")


def test_every_call_that_the_provider_received_is_recorded(stage: Stage) -> None:
    """Of syncs that went well, and of one that failed; those of a link have no connection."""
    connection = stage.link(stage.new_login())
    linked = "SELECT 1 FROM bank.provider_calls WHERE connection_id IS NULL"
    assert stage.query(linked)
    with stage.context.engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.provider_calls"))
    before = received_by(stage)
    stage.sync(connection)
    stage.pass_time(timedelta(days=1))
    stage.fail(stage.case.transactions, FaultKind.HTTP_STATUS, status=503, times=None)
    with pytest.raises(TransientError):
        stage.sync(connection, SyncReason.SCHEDULE)

    received = received_by(stage) - before
    rows = stage.query(
        "SELECT p.*, r.id AS run FROM bank.provider_calls p "
        "LEFT JOIN bank.sync_runs r ON r.id = p.sync_run_id "
        "WHERE operation NOT LIKE '%(counted again)'"
    )
    assert len(rows) == received.total()
    assert {row.provider for row in rows} == {str(stage.case)}
    assert all(row.duration_ms is not None and row.outcome is not None for row in rows)
    assert {row.http_status for row in rows} >= {200, 503}
    failed = [row for row in rows if row.http_status == 503]
    assert all(row.error_code is not None and row.run is not None for row in failed)
    secret = stage.credential(connection).get_secret_value()
    assert not [row for row in rows if secret in str(row) or "://" in str(row)]
    assert not [row for row in rows if re.search(r"[?&]", row.operation)]


def test_details_are_spent_like_the_other_daily_calls(gocardless: Stage) -> None:
    """One that fails is tried once a day by ourselves, and four times at most by people."""
    stage = gocardless
    login = stage.new_login()
    details = stage.case.operations[Scope.DETAILS]
    stage.fail(details, FaultKind.HTTP_STATUS, status=500, times=None)
    connection = stage.link(login)  # without details, by the metadata
    stage.heal()
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.SCHEDULE)
        make_call(book, Scope.DETAILS)
        with pytest.raises(RateLimitedError):
            make_call(book, Scope.DETAILS)
    stage.sync(connection)
    spent = Counter(
        row[0]
        for row in stage.query(
            "SELECT account_external_id FROM bank.provider_calls "
            "WHERE scope = 'details' AND is_counted AND account_external_id <> 'one'"
        )
    )
    accounts = stage.truth(connection)["accounts"]
    assert spent == dict.fromkeys(accounts, 1)


def test_further_calls_for_one_part_may_use_what_is_kept_for_people(gocardless: Stage) -> None:
    """Pages and repetitions are counted one by one, and stop at what the provider allows."""
    stage = gocardless
    _, connection = stage.linked()
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.SCHEDULE)
        with book.spend(Scope.TRANSACTIONS, "one"):
            for _ in range(4):
                make_call(book, Scope.TRANSACTIONS)
            with pytest.raises(RateLimitedError):
                make_call(book, Scope.TRANSACTIONS)
        again = open_book(stage, db, connection, SyncReason.MANUAL)
        with pytest.raises(RateLimitedError):
            make_call(again, Scope.TRANSACTIONS)
    [count] = stage.query(
        "SELECT count(*) FROM bank.provider_calls WHERE account_external_id = 'one' AND is_counted"
    )[0]
    assert count == 4


def test_a_failure_counts_where_the_provider_counts_it(gocardless: Stage) -> None:
    stage = gocardless
    _, connection = stage.linked()
    with stage.session() as db:
        book = open_book(stage, db, connection, SyncReason.MANUAL)
        for _ in range(6):
            make_call(book, Scope.BALANCES, status=500)
        for _ in range(4):
            make_call(book, Scope.BALANCES)
        with pytest.raises(RateLimitedError):
            make_call(book, Scope.BALANCES)


def test_what_is_left_of_the_day_can_be_seen(gocardless: Stage) -> None:
    stage = gocardless
    stage.linked()
    with stage.context.engine.begin() as db:  # views tell by the server's clock
        db.execute(sa.text("UPDATE bank.provider_calls SET called_at = now()"))
        db.execute(sa.text("UPDATE bank.provider_calls SET resets_at = NULL, calls_left = NULL"))
    rows = stage.query(
        "SELECT scope, used_in_24_hours, calls_max, calls_left, next_call_at, account_name "
        "FROM analytics.quota ORDER BY scope"
    )
    found = {row.scope: tuple(row)[1:5] for row in rows}
    assert found["balances"] == found["transactions"] == (1, 4, 3, None)
    assert all(row.account_name is not None for row in rows)


def test_calls_are_kept_for_a_week(stage: Stage) -> None:
    _, connection = stage.linked()
    assert stage.query("SELECT count(*) FROM bank.provider_calls")[0][0] > 0
    stage.pass_time(CALLS_KEPT + timedelta(hours=1))
    report = prune(stage.context, retention=timedelta(days=30))
    assert report.provider_calls_deleted > 0
    assert stage.query("SELECT count(*) FROM bank.provider_calls")[0][0] == 0
    assert stage.connection(connection).last_success_at is not None


def test_an_erased_connection_leaves_no_account_in_the_calls_of_its_link(stage: Stage) -> None:
    """Those belong to nobody, and stay for a week."""
    _, connection = stage.linked()
    assert disconnect(stage.context, connection, erase=True).is_erased
    left = stage.query("SELECT connection_id, account_external_id FROM bank.provider_calls")
    assert {tuple(one) for one in left} == {(None, None)}
