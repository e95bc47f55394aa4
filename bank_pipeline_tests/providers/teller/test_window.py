"""Pages of transactions: none is missed, none is invented, and what broke off says so."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.errors import (
    AccountGoneError,
    PayloadError,
    ProductUnsupportedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.answers import WindowAnswer
from bank_pipeline.providers.teller import window
from bank_pipeline.providers.teller.provider import TellerProvider
from bank_pipeline_tests.providers.stub import Fault, Reply, Stub, hangs
from bank_pipeline_tests.providers.teller.builders import (
    CHECKING,
    ONCE,
    TODAY,
    TOKEN,
    Archived,
    account,
    asked,
    error_body,
    links,
    transaction,
)
from bank_pipeline_tests.providers.teller.conftest import BuildTeller

LISTED = Reply([account(1)])


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "PAGE_ROWS", 3)


def rows(first: int, last: int, **fields: Any) -> list[dict[str, Any]]:
    """Rows of falling days: number 1 is of today, 2 of yesterday."""
    return [
        transaction(n, **({"date": str(TODAY - timedelta(days=n - 1))} | fields))
        for n in range(first, last + 1)
    ]


def queries(stub: Stub) -> list[dict[str, str]]:
    paths = [urlsplit(one.path) for one in stub.received]
    assert {one.path for one in paths[1:]} == {"/accounts/acc_1/transactions"}
    return [{name: value[0] for name, value in parse_qs(one.query).items()} for one in paths[1:]]


def fetched(
    stub: Stub,
    teller: TellerProvider,
    replies: Sequence[Reply | Fault],
    *,
    archived: Archived | None = None,
    first: date = date(2026, 11, 1),
    is_first: bool = False,
) -> WindowAnswer:
    stub.plays(LISTED, *replies)
    request = asked(first=first, is_first=is_first)
    return teller.fetch_window(
        TOKEN, CHECKING, request, archive=Archived() if archived is None else archived
    )


def ids(answer: WindowAnswer) -> list[str]:
    return [row.external_id for row in answer.transactions]


def test_one_short_page_covers_the_window(stub: Stub, teller: TellerProvider) -> None:
    answer = fetched(stub, teller, [Reply(rows(1, 2))])
    assert ids(answer) == ["txn_1", "txn_2"]
    assert answer.covered == asked().window
    assert queries(stub) == [{"count": "3", "start_date": "2026-11-01"}]


def test_that_there_is_nothing_is_asked_twice_and_then_believed(
    stub: Stub, teller: TellerProvider
) -> None:
    archived = Archived()
    answer = fetched(stub, teller, [Reply([]), Reply([])], archived=archived)
    assert (answer.transactions, answer.covered) == ((), asked().window)
    assert queries(stub) == [{"count": "3", "start_date": "2026-11-01"}] * 2
    assert teller.to_window(archived, CHECKING, asked()).covered == asked().window


def test_an_empty_page_that_was_a_mistake_ends_no_row(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    pages = [Reply([]), Reply(rows(1, 3)), Reply(rows(4, 4)), Reply(rows(1, 3))]
    answer = fetched(stub, teller, pages, archived=archived)
    assert (len(ids(answer)), answer.covered) == (4, asked().window)
    again = teller.to_window(archived, CHECKING, asked())
    assert (again.transactions, again.covered) == (answer.transactions, answer.covered)


def test_a_page_of_a_round_size_may_be_all_that_teller_gives_at_once(
    stub: Stub, teller: TellerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "ROUND_ROWS", 2)
    pages = [Reply(rows(1, 2)), Reply(rows(3, 3)), Reply(rows(1, 2))]
    answer = fetched(stub, teller, pages)
    assert (len(ids(answer)), answer.covered) == (3, asked().window)


def test_a_first_reading_is_not_bounded_by_a_date(stub: Stub, teller: TellerProvider) -> None:
    first, archived = TODAY - timedelta(days=1), Archived()
    pages = [Reply(rows(1, 3)), Reply(rows(4, 6)), Reply(rows(7, 7)), Reply(rows(1, 3))]
    answer = fetched(stub, teller, pages, is_first=True, first=first, archived=archived)
    assert [one.get("from_id") for one in queries(stub)] == [None, "txn_3", "txn_6", None]
    assert not any("start_date" in one for one in queries(stub))
    assert ids(answer) == [f"txn_{n}" for n in range(1, 8)]
    request = asked(first=first, is_first=True)
    assert answer.covered == request.window
    assert teller.to_window(archived, CHECKING, request).transactions == answer.transactions


def test_older_pages_are_asked_by_id_alone_and_the_first_is_read_again(
    stub: Stub, teller: TellerProvider
) -> None:
    pages = [Reply(rows(1, 3)), Reply(rows(4, 6)), Reply(rows(7, 7)), Reply(rows(1, 3))]
    answer = fetched(stub, teller, pages)
    assert ids(answer) == [f"txn_{n}" for n in range(1, 8)]
    assert answer.covered == asked().window
    assert (answer.pages_count, answer.calls_count) == (4, 5)
    first = {"count": "3", "start_date": "2026-11-01"}
    assert queries(stub) == [
        first,
        {"count": "3", "from_id": "txn_3"},
        {"count": "3", "from_id": "txn_6"},
        first,
    ]


def test_a_full_last_page_is_followed_by_an_empty_one(stub: Stub, teller: TellerProvider) -> None:
    answer = fetched(stub, teller, [Reply(rows(1, 3)), Reply([]), Reply(rows(1, 3))])
    assert (len(ids(answer)), answer.covered) == (3, asked().window)


def test_reading_ends_before_the_first_date_and_keeps_what_came_along(
    stub: Stub, teller: TellerProvider
) -> None:
    first = TODAY - timedelta(days=3)
    pages = [Reply(rows(1, 3)), Reply(rows(4, 6)), Reply(rows(1, 3))]
    answer = fetched(stub, teller, pages, first=first)
    assert ids(answer) == [f"txn_{n}" for n in range(1, 7)]
    assert answer.covered is not None
    assert answer.covered.first == first


def test_an_old_pending_row_in_front_ends_nothing(stub: Stub, teller: TellerProvider) -> None:
    stuck = transaction(9, status="pending", date="2026-01-01")
    pages = [Reply([stuck, *rows(1, 2)]), Reply(rows(3, 3)), Reply([stuck, *rows(1, 2)])]
    answer = fetched(stub, teller, pages)
    assert set(ids(answer)) == {"txn_9", "txn_1", "txn_2", "txn_3"}


def test_pages_go_on_from_a_booked_row(stub: Stub, teller: TellerProvider) -> None:
    page = [*rows(1, 2), transaction(3, status="pending")]
    fetched(stub, teller, [Reply(page), Reply([]), Reply(page)])
    assert queries(stub)[1]["from_id"] == "txn_2"


def test_a_row_that_moved_to_the_front_meanwhile_is_not_missed(
    stub: Stub, teller: TellerProvider
) -> None:
    """It was pending on page two; it posted while page one was already read."""
    posted = transaction(5, date=str(TODAY))
    pages = [Reply(rows(1, 3)), Reply(rows(4, 4)), Reply([posted, *rows(1, 2)])]
    answer = fetched(stub, teller, pages)
    assert "txn_5" in ids(answer)
    assert answer.covered == asked().window


def test_rows_are_folded_by_id_and_the_later_life_counts(
    stub: Stub, teller: TellerProvider
) -> None:
    waiting = transaction(3, status="pending", amount="-5.00", date="2026-11-18")
    posted = transaction(3, status="posted", amount="-6.00", date="2026-11-18")
    head = [transaction(1, amount="-1.50"), *rows(2, 2), waiting]
    answer = fetched(stub, teller, [Reply([*rows(1, 2), waiting]), Reply([posted]), Reply(head)])
    found = {row.external_id: row for row in answer.transactions}
    assert len(found) == len(answer.transactions) == 3
    assert found["txn_3"].status is TransactionStatus.BOOKED
    assert str(found["txn_1"].amount) == "-1.5"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Reply(error_body("enrollment.disconnected"), 404), ReauthRequiredError),
        (Reply(error_body("x"), 502), TransientError),
        (Reply({"not": "a list"}), PayloadError),
    ],
)
def test_what_breaks_off_keeps_its_rows_and_covers_nothing(
    stub: Stub, teller: TellerProvider, failure: Reply, expected: type[Exception]
) -> None:
    archived = Archived()
    answer = fetched(stub, teller, [Reply(rows(1, 3)), failure], archived=archived)
    assert ids(answer) == ["txn_1", "txn_2", "txn_3"]
    assert answer.covered is None
    assert type(answer.trouble) is expected
    again = teller.to_window(archived, CHECKING, asked())
    assert (again.transactions, again.covered) == (answer.transactions, None)


def test_archived_answers_that_cannot_be_read_break_off_too(
    stub: Stub, teller: TellerProvider
) -> None:
    archived = Archived()
    fetched(stub, teller, [Reply(rows(1, 3)), Reply(b"<html>")], archived=archived)
    assert [one.operation for one in archived] == ["accounts", "transactions", "transactions"]
    again = teller.to_window(archived, CHECKING, asked())
    assert (len(again.transactions), again.covered) == (3, None)
    with pytest.raises(TransientError):
        teller.to_window(archived[2:], CHECKING, asked())


def test_what_breaks_on_the_second_look_covers_nothing(stub: Stub, teller: TellerProvider) -> None:
    pages = [Reply(rows(1, 3)), Reply([]), Reply(error_body("x"), 502)]
    answer = fetched(stub, teller, pages)
    assert (answer.covered, type(answer.trouble)) == (None, TransientError)
    assert len(answer.transactions) == 3


def test_a_first_page_that_fails_is_an_error(stub: Stub, teller: TellerProvider) -> None:
    with pytest.raises(ReauthRequiredError):
        fetched(stub, teller, [Reply(error_body("enrollment.disconnected.x"), 404)])


def test_pages_without_ids_are_a_failure(stub: Stub, teller: TellerProvider) -> None:
    page = [{"date": "soon"}, 5, transaction(1, id=None)]
    answer = fetched(stub, teller, [Reply(page)])
    assert answer.trouble is not None
    assert (answer.trouble.code, answer.covered) == ("NO_IDS", None)
    assert len(answer.quarantined) == 3


def test_a_date_that_cannot_be_read_ends_nothing(stub: Stub, teller: TellerProvider) -> None:
    page = [*rows(1, 2), transaction(3, date="soon")]
    answer = fetched(stub, teller, [Reply(page), Reply(rows(4, 4)), Reply(page)])
    assert ids(answer) == ["txn_1", "txn_2", "txn_4"]


def test_pages_that_repeat_are_a_failure(stub: Stub, teller: TellerProvider) -> None:
    answer = fetched(stub, teller, [Reply(rows(1, 3))])
    assert answer.trouble is not None
    assert (answer.trouble.code, answer.covered) == ("PAGE_REPEATED", None)


def test_too_many_pages_are_a_failure(
    stub: Stub, teller: TellerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "PAGES_MAX", 2)
    answer = fetched(stub, teller, [Reply(rows(1, 3)), Reply(rows(4, 6))])
    assert answer.trouble is not None
    assert (answer.trouble.code, answer.covered) == ("PAGES_MAX", None)
    assert len(answer.transactions) == 6


def test_rows_that_came_are_kept_though_nobody_says_what_became_of_their_account(
    stub: Stub, teller: TellerProvider
) -> None:
    down = Reply(error_body("x"), 502)
    stub.plays(LISTED, Reply(rows(1, 3)), Reply(error_body("not_found"), 404), down)
    answer = teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert ids(answer) == ["txn_1", "txn_2", "txn_3"]
    assert (type(answer.trouble), answer.covered) == (TransientError, None)


def test_an_id_that_is_gone_between_two_pages_ends_no_account(
    stub: Stub, teller: TellerProvider
) -> None:
    pages = [Reply(rows(1, 3)), Reply(error_body("not_found"), 404), LISTED]
    stub.plays(LISTED, *pages)
    answer = teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert (type(answer.trouble), answer.covered) == (TransientError, None)


def test_a_time_out_is_tried_again_with_a_smaller_page(stub: Stub, build: BuildTeller) -> None:
    teller = build(stub.url, retry=ONCE, provider_timeout_s=2.0)
    archived = Archived()
    page = [transaction(n) for n in range(1, 6)]
    answer = fetched(stub, teller, [hangs, Reply(page)], archived=archived)
    assert [one["count"] for one in queries(stub)] == ["3", "100"]
    assert (len(ids(answer)), answer.covered) == (5, asked().window)
    assert teller.to_window(archived, CHECKING, asked()).covered == asked().window


def test_archived_answers_give_the_same_rows_again(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    pages = [
        Reply(rows(1, 3)),
        Reply([transaction(4), transaction(5, amount="?")]),
        Reply(rows(1, 3)),
    ]
    answer = fetched(stub, teller, pages, archived=archived)
    again = teller.to_window(archived, CHECKING, asked())
    assert again.transactions == answer.transactions
    assert again.quarantined == answer.quarantined
    assert (again.covered, again.balances) == (answer.covered, answer.balances)


def test_pages_are_archived_before_a_row_is_read(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    answer = fetched(stub, teller, [Reply([transaction(1, amount=None)])], archived=archived)
    assert [one.operation for one in archived] == ["accounts", "transactions"]
    assert json.loads(archived[1].body)[0]["id"] == "txn_1"
    assert [row.external_id for row in answer.quarantined] == ["txn_1"]
    assert answer.covered == asked().window


def test_a_page_that_cannot_be_read_is_archived_once_and_readable_ones_after_it(
    stub: Stub, teller: TellerProvider
) -> None:
    archived = Archived()
    answer = fetched(stub, teller, [Reply(b"<html>"), Reply(rows(1, 1))], archived=archived)
    assert [one.operation for one in archived] == ["accounts", "transactions"]
    assert ids(answer) == ["txn_1"]
    stub.plays(Reply(b"<html>"))
    with pytest.raises(TransientError):
        teller.fetch_window(TOKEN, CHECKING, asked(), archive=archived)
    assert archived[-1].body == b"<html>"


def test_a_bad_row_is_set_aside_once_and_its_siblings_land(
    stub: Stub, teller: TellerProvider
) -> None:
    page = [transaction(1, amount="much"), *rows(2, 3)]
    answer = fetched(stub, teller, [Reply(page), Reply([]), Reply(page)])
    assert ids(answer) == ["txn_2", "txn_3"]
    assert [row.reason for row in answer.quarantined] == ["amount: value_error"]


def test_a_row_of_another_account_is_set_aside(stub: Stub, teller: TellerProvider) -> None:
    page = [transaction(1, account_id="acc_2"), transaction(2)]
    answer = fetched(stub, teller, [Reply(page)])
    assert ids(answer) == ["txn_2"]
    assert [row.reason for row in answer.quarantined] == ["account_id: another account"]


def test_a_running_balance_stands_in_only_where_the_bank_states_no_balance(
    stub: Stub, teller: TellerProvider
) -> None:
    page = Reply([transaction(1, status="pending"), transaction(2, running_balance="7.50")])
    stub.plays(Reply([account(1, links=links("transactions"))]), page)
    answer = teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert [str(one.amount) for one in answer.balances] == ["7.5"]
    stub.plays(LISTED)
    teller.fetch_accounts(TOKEN, archive=Archived())
    stub.plays(page)
    again = teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert again.balances == ()


def test_without_a_running_balance_the_balance_is_unknown(
    stub: Stub, teller: TellerProvider
) -> None:
    stub.plays(Reply([account(1, links=links("transactions"))]), Reply([transaction(1)]))
    answer = teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert answer.balances == ()


def test_what_the_bank_does_not_offer_is_not_called(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply([account(1, links=links("balances"))]))
    with pytest.raises(ProductUnsupportedError):
        teller.fetch_window(TOKEN, CHECKING, asked(), archive=Archived())
    assert [one.path for one in stub.received] == ["/accounts"]


def test_a_closed_account_is_gone(stub: Stub, teller: TellerProvider) -> None:
    with pytest.raises(AccountGoneError):
        fetched(stub, teller, [Reply(error_body("account.closed"), 410)])


def test_ids_and_tokens_are_sent_as_data(stub: Stub, teller: TellerProvider) -> None:
    odd = CHECKING.model_copy(update={"external_id": "acc/../1?x"})
    listed = account(1, id="acc/../1?x")

    stub.plays(Reply([listed]), Reply([]))
    teller.fetch_window(TOKEN, odd, asked(), archive=Archived())
    assert stub.received[1].path.startswith("/accounts/acc%2F..%2F1%3Fx/transactions?")
