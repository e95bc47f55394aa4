"""One update as net changes: order, pages, bad rows, stages."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.connection import HistoryStage
from bank_pipeline.errors import PayloadError
from bank_pipeline.providers.answers import ChangesAnswer, RawAnswer
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline_tests.providers.plaid.builders import (
    TOKEN,
    Archived,
    account,
    build_provider,
    error_body,
    page,
    removed,
    transaction,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

PLAID = build_provider("http://127.0.0.1:9")  # nothing is sent
HALF_A_CHARACTER = chr(0xD800)


def changes(*pages: dict[str, Any]) -> ChangesAnswer:
    answers = [RawAnswer("transactions/sync", json.dumps(p).encode(), b"", None) for p in pages]
    return PLAID.to_changes(answers, cursor_before="before")


def outcome(answer: ChangesAnswer) -> tuple[dict[str, Decimal | None], set[str]]:
    rows = {row.external_id: row.amount for row in answer.delta.upserts}
    return rows, {external_id for _, external_id in answer.delta.removed}


Change = tuple[str, int, int]
changes_in_order = st.lists(
    st.tuples(st.sampled_from(["added", "modified", "removed"]), st.integers(1, 5), st.integers(1)),
    max_size=25,
)


@given(changes_in_order)
def test_the_last_word_on_each_transaction_wins(feed: list[Change]) -> None:
    expected: dict[str, Decimal | None] = {}
    gone: set[str] = set()
    for kind, number, cents in feed:
        name = f"transaction-{number}"
        if kind == "removed":
            expected.pop(name, None)
            gone.add(name)
        else:
            expected[name] = Decimal(-cents)
            gone.discard(name)
    pages = [
        page(**{kind: [removed(n) if kind == "removed" else transaction(n, amount=cents)]})
        for kind, n, cents in feed
    ]
    assert outcome(changes(page(), *pages)) == (expected, gone)


@given(st.lists(st.integers(1, 9), unique=True), st.integers(1, 4))
def test_where_pages_are_cut_does_not_matter(numbers: list[int], size: int) -> None:
    rows = [transaction(number) for number in numbers]
    cut = [page(added=rows[start : start + size]) for start in range(0, len(rows), size)]
    whole = changes(page(added=rows))
    assert changes(*cut, page()).delta == whole.delta
    assert [row.external_id for row in whole.delta.upserts] == [r["transaction_id"] for r in rows]


def test_the_booked_half_may_come_before_or_after_the_removal() -> None:
    booked = transaction(2, pending_transaction_id="transaction-1")
    first = changes(page(removed=[removed(1)]), page(added=[booked]))
    second = changes(page(added=[booked]), page(removed=[removed(1)]))
    assert first.delta == second.delta
    assert first.delta.upserts[0].pending_external_id == "transaction-1"
    assert first.delta.removed == {("account-1", "transaction-1")}


def test_removed_and_shown_again_stays_even_when_unreadable() -> None:
    back = changes(page(removed=[removed(1)]), page(added=[transaction(1)]))
    assert outcome(back) == ({"transaction-1": Decimal("-12.34")}, set())
    unreadable = changes(page(removed=[removed(1)]), page(added=[transaction(1, amount=None)]))
    assert outcome(unreadable) == ({}, set())


def test_the_same_id_in_two_accounts_is_two_transactions() -> None:
    rows = [transaction(1), transaction(1, account_id="account-2")]
    assert len(changes(page(added=rows)).delta.upserts) == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": "72.10"}, "amount: value_error"),
        ({"amount": None}, "amount: value_error"),
        ({"amount": True}, "amount: value_error"),
        ({"amount": 10**70}, "amount: value_error"),
        ({"date": "24/09/2023"}, "date: value_error"),
        ({"date": None}, "date: value_error"),
        ({"date": 1695513600}, "date: value_error"),
        ({"transaction_id": ""}, "transaction_id: string_too_short"),
        ({"pending": "false"}, "pending: bool_type"),
        ({"iso_currency_code": "$US"}, "currency: string_pattern_mismatch"),
        ({"iso_currency_code": 5}, "iso_currency_code: string_type"),
        ({"unofficial_currency_code": []}, "unofficial_currency_code: string_type"),
        ({"account_id": "a\0b"}, "text that no database can hold"),
        ({"transaction_id": HALF_A_CHARACTER}, "text that no database can hold"),
        ({"unofficial_currency_code": HALF_A_CHARACTER}, "text that no database can hold"),
    ],
)
def test_a_bad_row_is_kept_aside_and_its_siblings_land(fields: dict[str, Any], reason: str) -> None:
    bad = transaction(1, **fields)
    answer = changes(page(added=[bad, transaction(2, name="\U0001f600")]))
    assert [row.external_id for row in answer.delta.upserts] == ["transaction-2"]
    (aside,) = answer.quarantined
    assert aside.reason == reason
    assert json.loads(aside.raw) == bad
    assert aside.raw.isascii()


def test_a_row_kept_aside_has_an_id_that_a_database_holds() -> None:
    answer = changes(page(added=[transaction(1, transaction_id="a\0b")]))
    assert answer.quarantined[0].external_id == "a\\u0000b"


def test_a_row_kept_aside_keeps_its_numbers_as_they_were_spelt() -> None:
    text = json.dumps(page(added=[transaction(1, date=None, amount=0.5)]))
    body = text.replace("0.5", "0.500000000000000000001").encode()
    answer = PLAID.to_changes([RawAnswer("x", body, b"", None)], cursor_before=None)
    raw = answer.quarantined[0].raw
    assert '"amount": 0.500000000000000000001' in raw
    assert parse_json(raw) == parse_json(body)["added"][0]


@pytest.mark.parametrize("row", [None, 7, "text", [], {}])
def test_rows_of_any_shape_are_kept_aside(row: object) -> None:
    answer = changes(page(added=[row], modified=[row], removed=[row], accounts=[row]))
    assert len(answer.quarantined) == 3
    assert len(answer.accounts.quarantined) == 1
    assert outcome(answer) == ({}, set())


def test_the_last_word_on_an_account_wins_and_the_list_is_never_complete() -> None:
    answer = changes(
        page(accounts=[account(1, name="Old"), account(2)]), page(accounts=[account(1, name="New")])
    )
    assert {row.external_id: row.name for row in answer.accounts.accounts} == {
        "account-1": "New",
        "account-2": "Checking",
    }
    assert len(answer.accounts.balances) == 4
    assert not answer.accounts.is_complete


@pytest.mark.parametrize(
    ("status", "cursor", "stage"),
    [
        ("NOT_READY", "", HistoryStage.AWAITING_INITIAL),
        ("INITIAL_UPDATE_COMPLETE", "c", HistoryStage.INITIAL),
        ("HISTORICAL_UPDATE_COMPLETE", "c", HistoryStage.COMPLETE),
        ("TRANSACTIONS_UPDATE_STATUS_UNKNOWN", "c", HistoryStage.INITIAL),
        ("TRANSACTIONS_UPDATE_STATUS_UNKNOWN", "", HistoryStage.AWAITING_INITIAL),
        (None, "c", HistoryStage.INITIAL),
    ],
)
def test_history_is_complete_only_when_plaid_says_so(
    status: str | None, cursor: str, stage: HistoryStage
) -> None:
    fields = {"accounts": [account()], "next_cursor": cursor, "transactions_update_status": status}
    answer = changes(page(**fields))
    assert answer.stage is stage
    assert answer.cursor_after == (cursor or None)
    assert len(answer.accounts.accounts) == 1


def test_a_product_that_is_not_ready_is_nothing_yet(stub: Stub) -> None:
    stub.plays(Reply(error_body("PRODUCT_NOT_READY", error_type="ITEM_ERROR"), 400))
    plaid = build_provider(stub.url)
    answer = plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    plaid.close()
    assert (answer.stage, answer.cursor_after) == (HistoryStage.AWAITING_INITIAL, None)


def test_a_broken_envelope_is_a_payload_error() -> None:
    with pytest.raises(PayloadError, match="has_more: bool_type"):
        changes(page(has_more="no"))
