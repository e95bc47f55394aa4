"""Claims about answers that are not as documented: new things are kept, broken rows set aside."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import PayloadError, TransientError
from bank_pipeline.providers.base import WindowProvider
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.providers.contract.stage import ANCHOR, Stage
from bank_pipeline_tests.vaults import load_unfit

AMOUNTS = (Decimal("-1.10"), Decimal("-2.20"), Decimal("-3.30"))


def with_three_rows(stage: Stage) -> tuple[ConnectionId, str]:
    """Link a login whose checking account has three new rows; return what a fault is about."""
    login, connection = stage.linked()
    account = stage.account(login)
    for amount in AMOUNTS:
        stage.world.add_booked(account, amount)
    is_by_account = isinstance(stage.provider, WindowProvider)
    return connection, stage.account_id(connection, account) if is_by_account else "*"


def test_fields_from_the_future_are_kept_as_they_came(stage: Stage) -> None:
    connection, subject = with_three_rows(stage)
    stage.fail(stage.case.transactions, FaultKind.EXTRA_KEY, subject=subject)
    report = stage.sync(connection)
    assert report.quarantined_count == 0
    assert len(stage.live()) == len(AMOUNTS)
    assert all("surprise" in row.whole for row in stage.live())
    assert stage.differences(connection) == []


def test_words_from_the_future_cost_no_row(stage: Stage) -> None:
    connection, subject = with_three_rows(stage)
    stage.fail(
        stage.case.transactions, FaultKind.UNKNOWN_ENUM, key=stage.case.enum_key, subject=subject
    )
    report = stage.sync(connection)
    assert report.quarantined_count == 0
    assert {row.amount for row in stage.live()} == set(AMOUNTS)
    assert any(stage.case.unknown_word in row.whole for row in stage.rows())
    assert stage.differences(connection) == []


@pytest.mark.parametrize("kind", [FaultKind.MISSING_KEY, FaultKind.NULL_VALUE])
def test_a_row_without_what_it_needs_is_set_aside_alone(stage: Stage, kind: FaultKind) -> None:
    connection, subject = with_three_rows(stage)
    anchors_count = len(stage.rows())
    stage.fail(stage.case.transactions, kind, key=stage.case.row_key, subject=subject)
    report = stage.sync(connection)

    assert report.quarantined_count == 1
    [unfit] = load_unfit(stage.context.engine)
    assert len(set(AMOUNTS) - {row.amount for row in stage.live()}) <= 1
    assert sum(row.amount == ANCHOR for row in stage.rows() if not row.is_removed) == anchors_count
    assert stage.case.row_key in unfit.reason
    assert unfit.raw.startswith("{")
    assert not any(str(abs(amount)) in unfit.reason for amount in AMOUNTS)


def test_amounts_that_are_no_numbers_never_land(stage: Stage) -> None:
    """Nor does a row that cannot be read count as gone."""
    connection, subject = with_three_rows(stage)
    stage.sync(connection)
    before = stage.live()
    stage.fail(stage.case.transactions, FaultKind.NAN_AMOUNTS, subject=subject, times=None)
    try:
        stage.sync(connection)
    except PayloadError:
        assert stage.connection(connection).next_attempt_at is not None
    assert stage.live() == before
    stage.heal()
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    assert stage.differences(connection) == []


def test_amounts_in_the_other_notation_are_the_same_or_set_aside(stage: Stage) -> None:
    """Numbers for texts, texts for numbers: never another amount, and none lost."""
    connection, subject = with_three_rows(stage)
    stage.fail(stage.case.transactions, FaultKind.STRING_AMOUNTS, subject=subject)
    report = stage.sync(connection)
    landed = {row.amount for row in stage.live()}
    assert landed <= set(AMOUNTS)
    assert len(landed) + report.quarantined_count == len(AMOUNTS)


def test_rows_that_are_told_twice_are_one(stage: Stage) -> None:
    """At providers that name their rows; where one is nameless, two are two."""
    connection, subject = with_three_rows(stage)
    stage.fail(stage.case.transactions, FaultKind.DUPLICATE_ROWS, subject=subject)
    stage.sync(connection)
    assert len(stage.live()) == len(AMOUNTS)
    assert stage.differences(connection) == []


def test_an_account_that_one_answer_leaves_out_loses_nothing(stage: Stage) -> None:
    connection, _ = with_three_rows(stage)
    stage.sync(connection)
    before = {row.id for row in stage.live()}
    accounts = stage.query("SELECT id::text FROM bank.accounts")
    stage.fail(stage.case.calls, FaultKind.MISSING_ACCOUNT)
    with suppress(TransientError):  # where it was the only one, no success either
        stage.sync(connection)
    assert {row.id for row in stage.live()} == before
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    assert {row.id for row in stage.live()} == before
    assert stage.query("SELECT id::text FROM bank.accounts") == accounts
    assert stage.query("SELECT 1 FROM bank.accounts WHERE closed_at IS NOT NULL") == []
    assert stage.differences(connection) == []
