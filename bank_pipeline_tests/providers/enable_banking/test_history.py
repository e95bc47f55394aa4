"""The longest history, asked for once: what it covers, and the second look at a stale one."""

from datetime import date

import pytest

from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    AccountBlockedError,
    ConfigurationError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    WindowTooWideError,
)
from bank_pipeline.providers.answers import WindowRequest
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.enable_banking.window import to_cost
from bank_pipeline_tests.providers.enable_banking.builders import (
    TODAY,
    Archived,
    account,
    failure,
    page,
    session,
    transaction,
    window,
)
from bank_pipeline_tests.providers.enable_banking.test_window import (
    RATE_LIMITED,
    fetch,
    ids,
    queries,
)
from bank_pipeline_tests.providers.stub import Reply, Stub


def first() -> WindowRequest:
    return window(730, is_first=True)


def test_right_after_the_consent_the_longest_history_is_asked_for(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    rows = transaction(1, booking_date="2026-03-01"), transaction(2, booking_date="2025-11-30")
    answer = fetch(bank, stub, page(*rows), request=first())

    assert queries(stub) == [{"date_from": "2024-03-05", "strategy": "longest"}]
    # What the bank gave covers no day before its oldest row: there may be more.
    assert answer.covered == DateWindow(first=date(2025, 11, 30), last=TODAY)


def test_a_longest_history_that_ends_long_ago_is_looked_at_again(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    old = transaction(1, booking_date="2026-02-20")
    ghost = transaction(7, status="PDNG", booking_date=None, transaction_date="2026-02-19")
    new = transaction(2, booking_date="2026-03-05")
    answer = fetch(bank, stub, page(old, ghost), page(old, new), request=first(), archive=archived)

    assert queries(stub)[1] == {"date_from": "2026-02-03"}
    assert ids(answer) == ["entry-1", "entry-2"]
    assert answer.covered == DateWindow(first=date(2026, 2, 3), last=TODAY)
    assert bank.to_window(archived, account(), first()) == answer
    assert to_cost({"strategy": "longest"}) == 2  # the longest takes the bank two calls


def test_a_stale_history_is_read_on_from_where_it_ends(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    old = [transaction(1, booking_date="2025-11-30"), transaction(2, booking_date="2025-12-30")]
    answer = fetch(bank, stub, page(*old), page(transaction(3)), request=first(), archive=archived)

    assert queries(stub)[1] == {"date_from": "2025-12-30"}
    assert answer.covered == DateWindow(first=date(2025, 11, 30), last=TODAY)
    assert bank.to_window(archived, account(), first()).covered == answer.covered


def test_days_between_a_stale_history_and_the_newest_ones_are_not_claimed(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    old = [transaction(1, booking_date="2025-11-30"), transaction(2, booking_date="2025-12-30")]
    refused = failure("WRONG_TRANSACTIONS_PERIOD", 422)
    replies = page(*old), refused, page(transaction(3))
    answer = fetch(bank, stub, *replies, request=first(), archive=archived)

    assert [one["date_from"] for one in queries(stub)] == ["2024-03-05", "2025-12-30", "2026-02-03"]
    assert (len(answer.transactions), answer.trouble) == (3, None)
    assert answer.covered == DateWindow(first=date(2026, 2, 3), last=TODAY)
    assert bank.to_window(archived, account(), first()).covered == answer.covered


def test_a_bank_that_refuses_every_second_look_leaves_the_first(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    old = transaction(1, booking_date="2025-12-30")
    refused = failure("WRONG_TRANSACTIONS_PERIOD", 422)
    answer = fetch(bank, stub, page(old), refused, refused, request=first())

    assert (ids(answer), answer.covered) == (["entry-1"], None)
    assert isinstance(answer.trouble, WindowTooWideError)


def test_an_old_hold_does_not_make_a_history_longer(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    hold = transaction(2, status="HOLD", booking_date=None, transaction_date="2024-06-01")
    answer = fetch(bank, stub, page(transaction(1), hold), request=first())

    assert answer.covered == DateWindow(first=date(2026, 3, 4), last=TODAY)


def test_equal_purchases_of_a_history_seen_twice_stay_as_many_as_they_are(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    twin = transaction(1, entry_reference=None, booking_date="2026-02-20")
    answer = fetch(bank, stub, page(twin, twin), page(twin, twin, twin), request=first())

    assert len(answer.transactions) == 3
    assert len({*ids(answer)}) == 3


def test_a_second_look_that_fails_leaves_the_first_and_concludes_nothing(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    old = transaction(1, booking_date="2026-01-20")
    answer = fetch(bank, stub, page(old), RATE_LIMITED, request=first(), archive=archived)

    assert (ids(answer), answer.covered) == (["entry-1"], None)
    assert isinstance(answer.trouble, RateLimitedError)
    assert bank.to_window(archived, account(), first()).covered is None


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (failure("WRONG_REQUEST_PARAMETERS", 422), ConfigurationError),
        (failure("ASPSP_ACCOUNT_NOT_ACCESSIBLE", 400), AccountBlockedError),
        (Reply(b"<html>", 403), ConfigurationError),
    ],
)
def test_a_second_look_that_is_refused_costs_none_of_the_first(
    bank: EnableBankingProvider,
    stub: Stub,
    archived: Archived,
    refused: Reply,
    kind: type[ProviderError],
) -> None:
    old = transaction(1, booking_date="2026-01-20")
    answer = fetch(bank, stub, page(old), refused, request=first(), archive=archived)

    assert (ids(answer), answer.covered) == (["entry-1"], None)
    assert isinstance(answer.trouble, kind)
    assert bank.to_window(archived, account(), first()).covered is None


def test_a_session_that_ends_before_the_second_look_is_over(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    old = page(transaction(1, booking_date="2026-01-20"))
    with pytest.raises(ReauthRequiredError):
        fetch(
            bank,
            stub,
            old,
            failure("EXPIRED_SESSION", 401),
            session("EXPIRED"),
            request=first(),
            archive=archived,
        )
    assert len(archived) == 1


def test_an_account_without_rows_covers_what_was_asked_for_twice(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    answer = fetch(bank, stub, page(), page(), request=first())

    assert answer.transactions == ()
    assert answer.covered == DateWindow(first=date(2026, 2, 3), last=TODAY)
