"""Rows of no real day and of no storable id cost nothing but themselves."""

from typing import Any

from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.providers.exact_json import dump_json
from bank_pipeline.providers.teller.window import Fetched, Page, to_window_answer
from bank_pipeline_tests.providers.teller.builders import CHECKING, asked, transaction

OLD = "0001-01-01"


def read(*pages: list[dict[str, Any]]) -> WindowAnswer:
    found = [Page(rows, len(pages[0]), dump_json(rows).encode()) for rows in pages]
    return to_window_answer(Fetched(found), CHECKING, asked())


def test_a_row_of_another_account_can_be_set_aside_whatever_its_id() -> None:
    """Were its id stored as it came, the database would refuse the whole sync."""
    answer = read([transaction(1, account_id="acc_2", id="txn_\0"), transaction(2)])
    assert [row.external_id for row in answer.transactions] == ["txn_2"]
    assert [row.external_id for row in answer.quarantined] == ["txn_\\u0000"]


def test_a_row_of_the_year_1_ends_no_history() -> None:
    """It is not older than what was asked for: the rows behind it would count as gone."""
    page = [transaction(1), transaction(2, date=OLD)]
    assert not Page(page, 2, b"").is_last(asked().window.first)
    answer = read(page)
    assert [row.external_id for row in answer.transactions] == ["txn_1"]
    assert [row.external_id for row in answer.quarantined] == ["txn_2"]
    assert answer.covered is None


def test_an_id_that_is_too_long_to_be_found_by_is_set_aside() -> None:
    """An index of PostgreSQL refuses it, and with it the whole sync."""
    answer = read([transaction(1, id="x" * 513), transaction(2)])
    assert [row.external_id for row in answer.transactions] == ["txn_2"]
    assert [row.reason for row in answer.quarantined] == ["id: string_too_long"]
