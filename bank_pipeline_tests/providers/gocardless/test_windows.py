"""What names a row, what an answer covers, and what it takes to read it again."""

import json
from datetime import date
from typing import Any

import pytest

from bank_pipeline.domain.identity import FINGERPRINT_PREFIX
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import PayloadError
from bank_pipeline.providers.answers import RawAnswer, WindowAnswer
from bank_pipeline.providers.gocardless.quirks import QUIRKS_OF_BANK
from bank_pipeline.providers.gocardless.windows import (
    OWN_DATES_MARGIN,
    to_date_from,
    to_operation,
    to_window,
)
from bank_pipeline_tests.providers.gocardless.builders import (
    TODAY,
    account,
    answered,
    booked,
    pending,
    row,
    window,
)

DROPS_PENDING = next(bank for bank, quirks in QUIRKS_OF_BANK.items() if quirks.drops_pending)


def test_gocardless_own_id_names_a_booked_row_before_the_banks() -> None:
    ids = {"internalTransactionId": "i-1", "transactionId": "t-1", "entryReference": "e-1"}
    assert booked(**ids).external_id == "i-1"
    assert booked(**(ids | {"internalTransactionId": ""})).external_id == "t-1"
    assert booked(entryReference="e-1").external_id == "e-1"


@pytest.mark.parametrize("text", ["", " ", "NOTPROVIDED", "0", "00DEBIT20260101", None])
def test_a_placeholder_names_no_row(text: str | None) -> None:
    named = booked(transactionId=text, internalTransactionId=text, entryReference=text)
    assert named.external_id.startswith(FINGERPRINT_PREFIX)


def test_an_id_that_is_too_long_to_be_found_by_names_no_row() -> None:
    """An index of PostgreSQL refuses it, and with it the whole sync."""
    long = "7ab" * 171
    ids = {"internalTransactionId": long, "transactionId": long, "entryReference": long}
    assert booked(**ids).external_id.startswith(FINGERPRINT_PREFIX)
    assert booked(**(ids | {"transactionId": "t-1"})).external_id == "t-1"
    assert pending(transactionId=long).external_id.startswith(FINGERPRINT_PREFIX)
    assert booked(transactionId=long[1:]).external_id == long[1:]


def test_an_id_that_is_a_number_is_one() -> None:
    assert booked(transactionId=42).external_id == "42"


def test_a_pending_row_is_named_by_its_bank_or_by_what_it_says() -> None:
    assert pending(transactionId="t-1").external_id == "t-1"
    assert pending(entryReference="e-1").external_id.startswith(FINGERPRINT_PREFIX)


def test_two_equal_purchases_are_two_rows() -> None:
    names = {found.external_id for found in answered([row(), row()]).transactions}
    assert len(names) == 2


def test_one_id_on_different_rows_names_none_of_them() -> None:
    answer = answered([row("-1", transactionId="9998"), row("-2", transactionId="9998")])
    assert len(answer.transactions) == 2
    assert all(one.external_id.startswith(FINGERPRINT_PREFIX) for one in answer.transactions)


def test_what_is_in_both_lists_is_booked() -> None:
    answer = answered(
        [row(transactionId="t-1", internalTransactionId="i-1")], [row(transactionId="t-1")]
    )
    assert [one.status for one in answer.transactions] == [TransactionStatus.BOOKED]


def test_the_list_of_pending_rows_may_be_missing() -> None:
    assert len(answered([row()]).transactions) == 1
    assert len(answered([row()], []).transactions) == 1


@pytest.mark.parametrize("stated", [{"0": row("-3.20")}, "soon", 7])
def test_pending_rows_in_another_shape_are_not_none(stated: object) -> None:
    """Else all that we hold as pending would count as gone."""
    answer = read_lists({"booked": [row()], "pending": stated})
    assert len(answer.transactions) == 1
    assert answer.covered is None
    (bad,) = answer.quarantined
    assert (bad.external_id, bad.reason) == (None, "pending: no list")
    assert json.loads(bad.raw) == stated


@pytest.mark.parametrize("stated", [None, [], {}, ""])
def test_a_list_of_pending_rows_may_be_empty_in_any_shape(stated: object) -> None:
    answer = read_lists({"booked": [row()], "pending": stated})
    assert (answer.covered, answer.quarantined) == (window().window, ())


def test_pending_rows_that_are_dropped_may_have_any_shape() -> None:
    lists = {"booked": [row()], "pending": "soon"}
    assert read_lists(lists, bank=DROPS_PENDING).covered == window().window


def read_lists(lists: dict[str, Any], *, bank: str | None = None) -> WindowAnswer:
    body = json.dumps({"transactions": lists}).encode()
    operation = to_operation(account(), institution_id=bank)
    return to_window([RawAnswer(operation, body, b"", None)], account(), window())


@pytest.mark.parametrize(
    ("stated", "kept"), [("", None), ("NOTPROVIDED", None), ("7ab" * 171, None), ("i-1", "i-1")]
)
def test_a_bad_row_without_an_id_may_be_any_row(stated: str, kept: str | None) -> None:
    """Else the row that it was, held under another of its ids, would count as gone."""
    bad = row("much", internalTransactionId=stated, transactionId="t-1")
    assert [one.external_id for one in answered([bad]).quarantined] == [kept]


def test_an_answer_covers_what_was_asked_for() -> None:
    assert answered([row()]).covered == window().window


def test_a_first_answer_covers_no_more_than_the_consent() -> None:
    body = b'{"transactions": {"booked": []}}'
    request = window(date(2024, 1, 1), is_first=True)
    for since, first in ((date(2026, 8, 3), date(2026, 8, 3)), (date(2023, 1, 1), None)):
        operation = to_operation(account(), institution_id="X", whole_since=since)
        covered = to_window([RawAnswer(operation, body, b"", None)], account(), request).covered
        assert covered == DateWindow(first=first or request.window.first, last=TODAY)


def test_an_answer_that_is_whole_only_after_today_covers_nothing() -> None:
    operation = to_operation(account(), institution_id="X", whole_since=date(2026, 12, 1))
    answer = RawAnswer(operation, b'{"transactions": {"booked": []}}', b"", None)
    assert to_window([answer], account(), window(is_first=True)).covered is None


def test_the_first_question_is_unbounded_and_later_ones_begin_where_told() -> None:
    assert to_date_from(window(is_first=True), None) is None
    assert to_date_from(window(), None) == date(2026, 11, 1)


def test_a_bank_that_we_book_by_another_date_is_asked_for_more() -> None:
    assert to_date_from(window(), "ISYBANK_ITBBITMM") == date(2026, 11, 1) - OWN_DATES_MARGIN


def test_an_archived_answer_says_whose_it_is_and_at_which_bank() -> None:
    operation = to_operation(account(), institution_id="CETELEM_CETMPTP1XXX")
    body = json.dumps({"transactions": {"booked": [row("-1")]}}).encode()
    answer = to_window([RawAnswer(operation, body, b"", None)], account(), window())
    assert answer.transactions[0].amount == 1
    assert "account-1" in operation


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"transactions": {"pending": []}}'])
def test_an_envelope_that_does_not_fit_is_an_error(body: bytes) -> None:
    with pytest.raises(PayloadError):
        to_window([RawAnswer("accounts/transactions", body, b"", None)], account(), window())
