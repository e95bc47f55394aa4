"""Pending rows that bear a date to come: they book before it, and end, as any others."""

from datetime import date, timedelta
from typing import Any, Final

import pytest

from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.looks import Look, plan_looks
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.enable_banking.window import OPERATION, to_window
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.providers.enable_banking.builders import account, amount, transaction

FRIDAY: Final = date(2026, 3, 6)
OLD: Final = transaction(9, booking_date="2026-03-05", transaction_amount=amount("1.00"))


def pending(**dates: str) -> dict[str, Any]:
    undated = {"entry_reference": None, "status": "PDNG", "booking_date": None}
    return transaction(1, **(undated | dates))


def answered(rows: list[dict[str, Any]], today: date) -> WindowAnswer:
    window = DateWindow(first=today - timedelta(days=14), last=today)
    body = dump_json({"transactions": rows}).encode()
    request = WindowRequest(window, is_first=False)
    return to_window([RawAnswer(OPERATION, body, b"", None)], account(), request)


def look(held: Held, rows: list[dict[str, Any]], today: date) -> None:
    answer = answered(rows, today)
    told = Look(
        answer.account_external_id,
        answer.transactions,
        answer.covered,
        covered_before=held.covered,
        rules=answer.identity_rules,
    )
    held.write(plan_looks(held.rows.values(), [told]))
    assert answer.covered is not None
    held.covered = (*held.covered, answer.covered)


def statuses(held: Held) -> dict[TransactionId, TransactionStatus]:
    return {row.id: row.status for row in held.live}


@pytest.mark.parametrize("days", [1, 3])
def test_a_payment_that_books_before_its_value_date_is_one_row(days: int) -> None:
    held, booked_on = Held(), FRIDAY + timedelta(days=days - 1)
    value_date = (FRIDAY + timedelta(days=days)).isoformat()
    look(held, [OLD, pending(value_date=value_date)], FRIDAY)
    booked = transaction(2, booking_date=booked_on.isoformat(), value_date=value_date)
    for later in range(days - 1, days + 2):
        look(held, [OLD, booked], FRIDAY + timedelta(days=later))
        booked_rows = dict.fromkeys(["row-0001", "row-0002"], TransactionStatus.BOOKED)
        assert statuses(held) == booked_rows


def test_a_pending_row_that_is_cancelled_before_its_date_ends_when_it_is_not_shown() -> None:
    held = Held()
    look(held, [OLD, pending(value_date="2026-04-30")], FRIDAY)
    look(held, [OLD], FRIDAY + timedelta(days=1))
    assert statuses(held) == {"row-0001": TransactionStatus.BOOKED}


def test_a_pending_row_that_is_dated_ahead_keeps_its_name_and_value_date_from_day_to_day() -> None:
    days = [FRIDAY + timedelta(days=number) for number in range(4)]
    shown = [answered([pending(value_date="2026-03-08")], day).transactions[0] for day in days]
    assert [row.transaction_date for row in shown] == [*days[:3], days[2]]
    assert {row.value_date for row in shown} == {days[2]}
    assert len({row.external_id for row in shown}) == 1


def test_a_bank_east_of_us_may_be_a_day_ahead() -> None:
    tomorrow = FRIDAY + timedelta(days=1)
    for stated, day in ((tomorrow, tomorrow), (tomorrow + timedelta(days=1), FRIDAY)):
        [row] = answered([pending(transaction_date=stated.isoformat())], FRIDAY).transactions
        assert row.transaction_date == day


def scheduled(**dates: str) -> dict[str, Any]:
    return pending(**dates) | {"status": "SCHD"}


def test_a_scheduled_row_with_a_value_date_alone_ends_when_its_day_is_over() -> None:
    held = Held()
    look(held, [OLD, scheduled(value_date="2026-03-08")], FRIDAY)
    assert len(held.live) == 2
    look(held, [OLD], FRIDAY + timedelta(days=3))
    assert statuses(held) == {"row-0001": TransactionStatus.BOOKED}


def test_a_scheduled_row_with_a_value_date_alone_is_booked_under_our_id() -> None:
    held = Held()
    look(held, [OLD, scheduled(value_date="2026-03-08")], FRIDAY)
    booked = transaction(2, booking_date="2026-03-09", value_date="2026-03-09")
    look(held, [OLD, booked], FRIDAY + timedelta(days=3))
    assert statuses(held) == dict.fromkeys(["row-0001", "row-0002"], TransactionStatus.BOOKED)
