"""Each check fails for what it is about, by ids and with what to do, and passes when mended."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.definitions import defs
from bank_pipeline.defs.checks import CHECKS
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.defs.runs import FEED, Runs

ERROR: Final = dg.AssetCheckSeverity.ERROR
WARN: Final = dg.AssetCheckSeverity.WARN
DIFFERENCE: Final = """
    INSERT INTO bank.balance_checks (account_id, team_id, provider_type, currency, expected, told,
        difference, first_difference, first_day, last_day, state, from_at, to_at, opened_at)
    SELECT id, team_id, 'current', 'USD', 10, 7, -3, -3, '2026-02-01', '2026-02-02', 'confirmed',
           now(), now(), now()
    FROM bank.accounts LIMIT 1
"""
TWO_ROWS: Final = (
    "SELECT id FROM bank.transactions WHERE status = 'booked' AND removed_at IS NULL "
    "AND account_id = (SELECT min(account_id::text)::uuid FROM bank.transactions) "
    "ORDER BY id LIMIT 2"
)
PENDING_AND_BOOKED: Final = f"""
    WITH rows AS ({TWO_ROWS}), one AS (SELECT min(id::text)::uuid AS id FROM rows),
    pending AS (
        UPDATE bank.transactions SET status = 'pending', booking_date = NULL
        WHERE id = (SELECT id FROM one) RETURNING external_id
    )
    UPDATE bank.transactions SET pending_external_id = (SELECT external_id FROM pending)
    WHERE id = (SELECT max(id::text)::uuid FROM rows)
"""
SUSPECTED: Final = f"""
    WITH rows AS ({TWO_ROWS})
    UPDATE bank.transactions SET suspected_duplicate_of = (SELECT min(id::text)::uuid FROM rows)
    WHERE id = (SELECT max(id::text)::uuid FROM rows)
"""
QUESTION: Final = """
    INSERT INTO bank.account_questions
        (id, connection_id, team_id, external_id, shown, candidate_ids, asked_at)
    SELECT gen_random_uuid(), connection_id, team_id, 'shown-1', '{"name": "Jo Canary"}',
           ARRAY[id], now()
    FROM bank.accounts LIMIT 1
"""
CONSENT: Final = """
    INSERT INTO bank.consents_to_end
        (id, connection_id, team_id, provider, reason, bound_to, attempts, last_error, created_at)
    SELECT id, id, team_id, provider, 'replaced', 'nothing', 4, 'INTERNAL_SERVER_ERROR', created_at
    FROM bank.connections
"""
UNNAMED: Final = """
    UPDATE bank.accounts SET currency = NULL, unofficial_currency = NULL;
    UPDATE bank.balances SET currency = NULL, unofficial_currency = NULL;
    UPDATE bank.transactions SET currency = NULL, unofficial_currency = NULL
"""


def evaluate(runs: Runs) -> Mapping[str, dg.AssetCheckEvaluation]:
    """Run the job, and return what the checks that did not pass said."""
    result = defs.resolve_job_def("checks_job").execute_in_process(
        instance=runs.instance,
        resources={"services": runs.installation.services},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {*evaluations} == {one.check_key.name for one in CHECKS}
    return {name: one for name, one in evaluations.items() if not one.passed}


def records(evaluation: dg.AssetCheckEvaluation) -> list[Mapping[str, Any]]:
    table = evaluation.metadata["findings"]
    assert isinstance(table, dg.TableMetadataValue)
    return [record.data for record in table.records]


def change(runs: Runs, *statements: str) -> None:
    with runs.installation.services.sync.engine.begin() as db:
        for statement in statements:
            db.execute(sa.text(statement))


@pytest.fixture
def connection_id(runs: Runs) -> ConnectionId:
    """A connection whose sync was whole: every check passes, and its own run evaluates none."""
    [linked] = runs.linked()
    assert runs.of_partition(linked).get_asset_check_evaluations() == []
    assert evaluate(runs) == {}
    return linked


def test_a_connection_that_was_not_synced_for_a_day_is_late(
    runs: Runs, connection_id: ConnectionId
) -> None:
    """It says what the status is, what is planned, and passes with the next successful sync."""
    runs.installation.sandbox.advance(timedelta(hours=25))
    assert evaluate(runs) == {}
    runs.break_feed(connection_id, code="INTERNAL_SERVER_ERROR")
    runs.of_partition(connection_id)
    runs.installation.sandbox.advance(timedelta(hours=2))

    late = evaluate(runs)["connections_are_fresh"]

    assert late.severity == ERROR
    [row] = records(late)
    assert (row["connection"], row["status"]) == (connection_id, "error")
    assert str(row["why"]).endswith("then: a planned try")
    assert row["next_attempt"] > row["last_success"]
    assert "bank-pipeline runs" in str(late.description)

    runs.installation.sandbox.faults.clear()
    assert runs.of_partition(connection_id).success
    assert evaluate(runs) == {}


def test_a_customer_who_has_to_log_in_is_a_warning_and_not_late(
    runs: Runs, connection_id: ConnectionId
) -> None:
    runs.break_feed(connection_id)
    runs.of_partition(connection_id)
    runs.installation.sandbox.advance(timedelta(days=3))

    found = evaluate(runs)

    assert {*found} == {"no_customer_has_to_act"}
    waiting = found["no_customer_has_to_act"]
    assert waiting.severity == WARN
    assert "--renew" in str(waiting.description)
    assert [row["connection"] for row in records(waiting)] == [connection_id]

    runs.installation.sandbox.faults.clear()
    assert runs.of_partition(connection_id).success
    assert evaluate(runs) == {}


def test_dates_between_two_complete_answers_are_a_gap(
    runs: Runs, connection_id: ConnectionId
) -> None:
    change(
        runs,
        "INSERT INTO bank.account_coverage "
        "(account_id, team_id, first_day, last_day, updated_at, begun_at) "
        "SELECT account_id, team_id, min(first_day) - 20, min(first_day) - 11, now(), now() "
        "FROM bank.account_coverage GROUP BY 1, 2 ORDER BY 1 LIMIT 1",
    )

    gaps = evaluate(runs)["history_has_no_gaps"]

    assert gaps.severity == WARN
    [row] = records(gaps)
    assert (row["connection"], row["kind"], row["days"]) == (connection_id, "between", 10)
    assert "backfill" in str(gaps.description)

    change(
        runs,
        "DELETE FROM bank.account_coverage WHERE last_day < (SELECT max(last_day) "
        "FROM bank.account_coverage)",
    )
    assert evaluate(runs) == {}


def test_a_row_that_could_not_be_read_is_an_error_without_its_text(
    runs: Runs, connection_id: ConnectionId
) -> None:
    subject = runs.installation.stored(connection_id).external_id
    runs.installation.sandbox.advance(timedelta(days=4))
    runs.installation.sandbox.faults.add(
        FEED, Fault(FaultKind.MISSING_KEY, key="amount"), subject=subject, times=1
    )
    runs.of_partition(connection_id)

    unread = evaluate(runs)["quarantine_is_empty"]

    assert unread.severity == ERROR
    assert unread.metadata["found"].value == 1
    [row] = records(unread)
    assert row["connection"] == connection_id
    assert set(row) == {"connection", "operation", "reason", "rows", "first_id", "since"}

    change(runs, "UPDATE bank.quarantine SET resolved_at = now()")
    assert "quarantine_is_empty" not in evaluate(runs)


def test_a_payment_that_counts_as_pending_and_as_booked_is_an_error(
    runs: Runs, connection_id: ConnectionId
) -> None:
    change(runs, PENDING_AND_BOOKED)

    doubled = evaluate(runs)["nothing_is_stored_twice"]

    assert doubled.severity == ERROR
    [row] = records(doubled)
    assert row["connection"] == connection_id

    change(
        runs, f"UPDATE bank.transactions SET removed_at = now() WHERE id = '{row['pending_row']}'"
    )
    assert evaluate(runs) == {}


def test_a_key_that_the_database_lost_is_an_error(
    runs: Runs,
    connection_id: ConnectionId,
) -> None:
    name = "transactions_account_id_external_id_key"
    assert runs.installation.rows(connection_id) > 0
    change(runs, f"ALTER TABLE bank.transactions DROP CONSTRAINT {name}")
    try:
        lost = evaluate(runs)["nothing_is_stored_twice"]
    finally:
        change(
            runs,
            f"ALTER TABLE bank.transactions ADD CONSTRAINT {name} "
            "UNIQUE (account_id, external_id) DEFERRABLE INITIALLY IMMEDIATE",
        )

    assert lost.severity == ERROR
    assert name in str(lost.description)
    assert evaluate(runs) == {}


def test_a_row_that_may_be_another_one_waits_for_a_person(
    runs: Runs, connection_id: ConnectionId
) -> None:
    change(runs, SUSPECTED)

    suspected = evaluate(runs)["duplicates_are_decided"]

    assert suspected.severity == WARN
    [row] = records(suspected)
    assert (row["connection"], row["rows"]) == (connection_id, 1)
    assert "duplicates list" in str(suspected.description)

    change(
        runs,
        "UPDATE bank.transactions SET duplicate_decision = 'keep' "
        "WHERE suspected_duplicate_of IS NOT NULL",
    )
    assert evaluate(runs) == {}


def test_an_account_without_a_currency_is_named(runs: Runs, connection_id: ConnectionId) -> None:
    """It is enough that its rows name one."""
    change(runs, *UNNAMED.split(";"))

    unknown = evaluate(runs)["currencies_are_known"]

    assert unknown.severity == WARN
    assert {row["connection"] for row in records(unknown)} == {connection_id}

    change(runs, "UPDATE bank.accounts SET currency = 'USD'")
    assert evaluate(runs) == {}


def test_an_account_that_may_be_a_known_one_waits_for_a_person(
    runs: Runs, connection_id: ConnectionId
) -> None:
    """The account's name is a customer's, and is not shown."""
    change(runs, QUESTION)

    asked = evaluate(runs)["accounts_are_told_apart"]

    assert asked.severity == WARN
    assert [row["connection"] for row in records(asked)] == [connection_id]
    assert "Canary" not in str(asked)

    change(runs, "UPDATE bank.account_questions SET decided_at = now(), decision = 'moot'")
    assert evaluate(runs) == {}


def test_a_consent_that_a_provider_holds_open_is_named(
    runs: Runs, connection_id: ConnectionId
) -> None:
    change(runs, CONSENT)
    runs.installation.sandbox.advance(timedelta(hours=25))

    still_open = evaluate(runs)["unused_consents_have_ended"]

    assert still_open.severity == WARN
    [row] = records(still_open)
    assert (row["connection"], row["attempts"]) == (connection_id, 4)

    change(runs, "UPDATE bank.consents_to_end SET ended_at = now()")
    assert evaluate(runs) == {}


def test_a_difference_is_a_warning_with_account_days_and_amount(
    runs: Runs, connection_id: ConnectionId
) -> None:
    change(runs, DIFFERENCE)

    found = evaluate(runs)["balances_go_with_rows"]

    assert found.severity == WARN
    [row] = records(found)
    assert row["connection"] == connection_id
    assert (row["first_day"], row["last_day"]) == ("2026-02-01", "2026-02-02")
    assert (row["difference"], row["currency"]) == ("-3", "USD")

    change(runs, "UPDATE bank.balance_checks SET state = 'resolved', resolved_at = now()")
    assert evaluate(runs) == {}
