"""Whatever a bank puts into the other fields, money that can be read lands."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.window import DateWindow
from bank_pipeline.providers.answers import RawAnswer, WindowRequest
from bank_pipeline.providers.exact_json import dump_json, is_storable
from bank_pipeline.providers.gocardless.quirks import QUIRKS_OF_BANK
from bank_pipeline.providers.gocardless.schemas import GcTransaction
from bank_pipeline.providers.gocardless.windows import to_operation, to_window
from bank_pipeline_tests.providers.gocardless.builders import TODAY, account
from bank_pipeline_tests.providers.strategies import any_json, any_text

_FIELDS = sorted(
    {field.alias or name for name, field in GcTransaction.model_fields.items()}
    - {"transactionAmount"}
)
_banks = st.sampled_from([None, *sorted(QUIRKS_OF_BANK)])
_fields = st.dictionaries(
    st.sampled_from([*_FIELDS, "merchant_category_code", "other"]), any_json | any_text, max_size=6
)


def read(bank: str | None, lists: dict[str, Any]) -> Any:
    request = WindowRequest(DateWindow(first=TODAY, last=TODAY), is_first=False)
    body = dump_json({"transactions": lists}).encode()
    operation = to_operation(account(), institution_id=bank)
    return to_window([RawAnswer(operation, body, b"", None)], account(), request)


@settings(max_examples=60, deadline=None)
@given(bank=_banks, fields=_fields, amount=st.decimals(-9999, 9999, places=2))
def test_a_booked_row_with_amount_and_date_lands_whatever_else_it_holds(
    bank: str | None, fields: dict[str, Any], amount: Decimal
) -> None:
    stated = {"transactionAmount": {"amount": str(amount), "currency": "EUR"}}
    answer = read(bank, {"booked": [fields | stated | {"bookingDate": "2026-11-19"}]})
    assert answer.quarantined == ()
    (found,) = answer.transactions
    assert abs(found.amount) == abs(amount)
    assert is_storable(found.model_dump(mode="json"))


@settings(max_examples=40, deadline=None)
@given(bank=_banks, rows=st.lists(_fields | any_json, max_size=4), stated=any_json)
def test_no_answer_breaks_the_reading_of_it(
    bank: str | None, rows: list[Any], stated: object
) -> None:
    amounts = [{"transactionAmount": stated} | row for row in rows if isinstance(row, dict)]
    answer = read(bank, {"booked": [*rows, *amounts], "pending": [*rows, *amounts]})
    assert answer.covered is not None
    assert len(answer.transactions) + len(answer.quarantined) <= 2 * len([*rows, *amounts])
