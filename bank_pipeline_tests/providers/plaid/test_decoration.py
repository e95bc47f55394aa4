"""Whatever shape or damage the decoration has, the money lands and nothing is lost."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.providers.answers import ChangesAnswer, RawAnswer
from bank_pipeline.providers.exact_json import dump_json, is_storable, parse_json, to_plain
from bank_pipeline_tests.providers.plaid.builders import (
    account,
    build_provider,
    page,
    transaction,
)
from bank_pipeline_tests.providers.strategies import any_json

PLAID = build_provider("http://127.0.0.1:9")  # nothing is sent


def read(body: bytes) -> ChangesAnswer:
    answer = RawAnswer("transactions/sync", body, b"", None)
    return PLAID.to_changes([answer], cursor_before=None)


def changes(raw: dict[str, Any]) -> ChangesAnswer:
    return read(dump_json(raw).encode())


@pytest.mark.parametrize("odd", [b"\xed\xa0\x80", b"\xff", b"\xc3", b"\\u0000", b"\\ud800"])
def test_a_damaged_character_costs_itself_and_the_money_lands(odd: bytes) -> None:
    rows = [transaction(1, name="CAFE-X 42"), transaction(2)]
    body = json.dumps(page(added=rows)).encode().replace(b"-X", odd)
    answer = read(body)
    first, second = answer.delta.upserts
    assert first.amount == second.amount == Decimal("-12.34")
    mended = "\ufffd" * (3 if odd[0] == 0xED else 1)
    assert first.description == f"CAFE{mended} 42"
    assert json.loads(first.details["name"]).startswith("CAFE")
    assert first.details["name"].isascii()
    assert "\\u" in first.details["name"]
    assert len(first.content_hash) == 16
    assert (second.description, second.details) == ("COFFEE 0042", {})
    assert answer.quarantined == ()


def test_a_damaged_id_is_never_mended_into_another() -> None:
    body = json.dumps(page(added=[transaction(1), transaction(2)])).encode()
    body = body.replace(b'"transaction-1"', b'"transaction-\xff"')
    answer = read(body)
    assert [row.external_id for row in answer.delta.upserts] == ["transaction-2"]
    assert [row.reason for row in answer.quarantined] == ["text that no database can hold"]
    assert "transaction-\\udcff" in answer.quarantined[0].raw


# The fields of a transaction that are decoration, with the type that Plaid documents.
DECORATION: dict[str, type] = {
    "pending_transaction_id": str,
    "authorized_date": str,
    "datetime": str,
    "authorized_datetime": str,
    "name": str,
    "original_description": str,
    "merchant_name": str,
    "merchant_entity_id": str,
    "merchant_category_code": str,
    "website": str,
    "payment_channel": str,
    "transaction_code": str,
    "check_number": str,
    "personal_finance_category": dict,
    "running_balance": Decimal,
    "payment_meta": dict,
    "counterparties": list,
    "account_owner": str,
}
UNLISTED = ["location", "logo_url", "category", "brand new"]


@given(st.sampled_from([*DECORATION, *UNLISTED]), any_json, st.integers(-(10**9), 10**9))
def test_decoration_of_any_shape_keeps_no_money_from_landing(
    field: str, value: Any, cents: int
) -> None:
    raw = transaction(1, amount=Decimal(cents).scaleb(-2), **{field: value})
    body = dump_json(page(added=[raw])).encode()
    answer = read(body)
    (row,) = answer.delta.upserts
    assert answer.quarantined == ()
    assert (row.amount, row.currency) == (-Decimal(cents).scaleb(-2), "USD")
    assert (row.external_id, row.booking_date) == ("transaction-1", date(2026, 3, 5))
    assert is_storable(json.loads(row.model_dump_json()))
    assert len(row.content_hash) == 16
    if field in DECORATION and value is not None and type(value) is not DECORATION[field]:
        is_number = field == "running_balance" and type(value) is int
        odd = dump_json(value) if not is_storable(value) else to_plain(parse_json(dump_json(value)))
        assert is_number or row.details[field] == odd


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("personal_finance_category", {"primary": None, "detailed": "TRAVEL_FLIGHTS"}),
        ("personal_finance_category", {}),
        ("check_number", 12),
        ("payment_meta", []),
        ("counterparties", [None]),
        ("datetime", 5),
        ("authorized_date", "04/03/2026"),
        ("authorized_date", ""),
        ("running_balance", "12.50"),
        ("running_balance", 10**70),
        ("pending_transaction_id", {"id": None}),
        ("merchant_name", False),
    ],
)
def test_what_cannot_be_read_is_unknown_and_kept_as_it_came(field: str, odd: object) -> None:
    (row,) = changes(page(added=[transaction(1, **{field: odd})])).delta.upserts
    (plain,) = changes(page(added=[transaction(1)])).delta.upserts
    assert row.details == {field: odd}
    assert row.model_copy(update={"details": {}}) == plain


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("levels", [101, 300, 700])
def test_what_is_nested_too_deeply_is_kept_as_text_and_the_money_lands(levels: int) -> None:
    """What writes a row down gives up at a depth that what reads it can still take."""
    raw = transaction(1) | {"surprise": nested(levels), "counterparties": [nested(levels)]}
    answer = changes(page() | {"added": [raw]})
    (row,) = answer.delta.upserts
    assert answer.quarantined == ()
    assert row.details["surprise"] == dump_json(nested(levels))
    assert row.counterparty is None
    assert len(row.content_hash) == 16


def test_what_is_nested_as_deep_as_may_be_stays_as_it_came() -> None:
    (row,) = changes(page(added=[transaction(1, surprise=nested(99))])).delta.upserts
    assert row.details["surprise"] == nested(99)


def test_a_row_whose_vital_part_is_nested_too_deeply_is_set_aside_and_its_sibling_lands() -> None:
    answer = changes(page(added=[transaction(1, date=nested(300)), transaction(2), [nested(300)]]))
    assert [row.external_id for row in answer.delta.upserts] == ["transaction-2"]
    assert [row.reason for row in answer.quarantined] == ["nested too deeply"] * 2
    assert answer.quarantined[0].external_id == "transaction-1"


def test_a_row_of_the_year_1_is_set_aside_and_its_sibling_lands() -> None:
    answer = changes(page(added=[transaction(1, date="0001-01-01"), transaction(2)]))
    assert [row.external_id for row in answer.delta.upserts] == ["transaction-2"]
    assert [row.reason for row in answer.quarantined] == ["date: value_error"]


def test_an_id_that_is_too_long_to_be_found_by_is_no_id() -> None:
    """An index of PostgreSQL refuses it, and with it the whole sync."""
    long = "x" * 513
    rows = [transaction(1, transaction_id=long), transaction(2, pending_transaction_id=long)]
    answer = changes(page(added=rows))
    (row,) = answer.delta.upserts
    assert (row.external_id, row.pending_external_id) == ("transaction-2", None)
    assert row.details == {"pending_transaction_id": long}
    assert [bad.reason for bad in answer.quarantined] == ["transaction_id: string_too_long"]


def test_several_oddities_in_one_row_are_all_kept() -> None:
    odd = {"check_number": 12, "payment_meta": [], "website": "a\0b", "a\0": None}
    (row,) = changes(page(added=[transaction(1, **odd)])).delta.upserts
    assert row.details == {
        "check_number": 12,
        "payment_meta": [],
        "website": '"a\\u0000b"',
        "a\\u0000": "null",
    }
    assert (row.merchant, row.check_number) == (None, None)


@pytest.mark.parametrize(
    ("texts", "description"),
    [
        ({"original_description": "POS 1", "merchant_name": "Shop"}, "POS 1"),
        ({"merchant_name": "Shop"}, "Shop"),
        ({}, ""),
    ],
)
def test_a_name_that_cannot_be_read_is_replaced_by_what_else_is_said(
    texts: dict[str, str], description: str
) -> None:
    (row,) = changes(page(added=[transaction(1, name=5, **texts)])).delta.upserts
    assert (row.description, row.details) == (description, {"name": 5})


@given(
    st.sampled_from([*account(), "holder_category", "persistent_account_id", "brand new"]), any_json
)
def test_an_account_of_any_shape_lands_and_no_balance_is_invented(field: str, value: Any) -> None:
    if field == "account_id":
        return
    body = dump_json(page(accounts=[account(1, **{field: value})])).encode()
    answer = read(body).accounts
    assert [row.external_id for row in answer.accounts] == ["account-1"]
    assert answer.quarantined == ()
    assert is_storable(json.loads(answer.accounts[0].model_dump_json()))
    stated = {(row.provider_type, row.amount) for row in answer.balances}
    known = {("current", Decimal("100.25")), ("available", Decimal("90.5"))}
    assert stated <= known if field == "balances" else stated == known


@given(st.sampled_from([*account()["balances"], "last_updated_datetime"]), any_json)
def test_a_balance_that_cannot_be_read_is_absent_and_never_zero(field: str, value: Any) -> None:
    balances = account()["balances"] | {field: value}
    body = dump_json(page(accounts=[account(1, balances=balances)])).encode()
    answer = read(body).accounts
    assert len(answer.accounts) == 1
    written = {value} if type(value) in (int, Decimal) else set()
    known = {Decimal("100.25"), Decimal("90.5")} | written
    assert {row.amount for row in answer.balances} <= known


@pytest.mark.parametrize("field", ["current", "available", "limit"])
def test_one_odd_balance_leaves_the_others(field: str) -> None:
    balances = {"current": 1, "available": 2, "limit": 3, "iso_currency_code": "EUR"}
    answer = changes(page(accounts=[account(1, balances=balances | {field: "12.50"})])).accounts
    assert [row.provider_type for row in answer.balances] == [
        word for word in ("current", "available", "limit") if word != field
    ]


@pytest.mark.parametrize("code", ["$US", 5, ["USD"], "EURO"])
def test_without_a_readable_currency_no_balance_is_stated(code: object) -> None:
    balances = {"current": 1, "iso_currency_code": code}
    answer = changes(page(accounts=[account(1, balances=balances)])).accounts
    assert (answer.accounts[0].currency, answer.balances) == (None, ())


@pytest.mark.parametrize(
    ("subtype", "booked"), [("credit card", [-100]), ("checking", [100]), (None, []), ("new", [])]
)
def test_a_balance_whose_sign_nobody_knows_is_not_stated(
    subtype: str | None, booked: list[int]
) -> None:
    balances = {"current": 100, "available": 7, "iso_currency_code": "EUR"}
    raw = account(1, type=5, subtype=subtype, balances=balances)
    answer = changes(page(accounts=[raw])).accounts
    stated = [row.amount for row in answer.balances if row.kind is BalanceKind.BOOKED]
    assert stated == booked
    assert [row.amount for row in answer.balances if row.kind is BalanceKind.AVAILABLE] == [7]


def test_odd_decoration_of_a_page_keeps_no_row_from_landing() -> None:
    answer = changes(page(added=[transaction(1)], accounts=5, transactions_update_status=5))
    assert len(answer.delta.upserts) == 1
    assert (answer.stage, answer.accounts.accounts) == (HistoryStage.INITIAL, ())
