"""Windows are read whole or not claimed: pages, keys, stale histories, refusals."""

from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    ConfigurationError,
    FeedMovedError,
    PayloadError,
    RateLimitedError,
    ReauthRequiredError,
    TransientError,
    WindowTooWideError,
)
from bank_pipeline.providers.answers import WindowAnswer, WindowRequest
from bank_pipeline.providers.enable_banking.errors import STATUS_CONFUSED
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.enable_banking.window import PAGES_MAX, to_cost
from bank_pipeline_tests.providers.enable_banking.builders import (
    SESSION,
    TODAY,
    UID,
    Archived,
    account,
    amount,
    failure,
    page,
    session,
    transaction,
    window,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

RATE_LIMITED = failure("ASPSP_RATE_LIMIT_EXCEEDED", 429)


def fetch(
    bank: EnableBankingProvider,
    stub: Stub,
    *replies: Reply,
    request: WindowRequest | None = None,
    of: Reply | None = None,
    archive: Archived | None = None,
) -> WindowAnswer:
    stub.plays(of or session(), *replies)
    kept = Archived() if archive is None else archive
    return bank.fetch_window(SESSION, account(), request or window(), archive=kept)


def queries(stub: Stub) -> list[dict[str, str]]:
    asked = [urlsplit(one.path) for one in stub.received if "/transactions" in one.path]
    return [{key: value[0] for key, value in parse_qs(one.query).items()} for one in asked]


def ids(answer: WindowAnswer) -> list[str]:
    return [row.external_id for row in answer.transactions]


def test_a_window_is_asked_for_by_its_first_day_alone(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    answer = fetch(bank, stub, page(transaction()))

    assert queries(stub) == [{"date_from": "2026-02-19"}]
    assert stub.received[1].path.startswith(f"/accounts/{UID}/transactions?")
    assert answer.covered == window().window
    assert (ids(answer), answer.calls_count, answer.pages_count) == (["entry-1"], 1, 1)


def test_every_page_is_read_even_behind_an_empty_one(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    pages = [page(transaction(1), key="k1"), page(key="k2"), page(transaction(2), key="")]
    answer = fetch(bank, stub, *pages, archive=archived)

    assert queries(stub) == [
        {"date_from": "2026-02-19"},
        {"date_from": "2026-02-19", "continuation_key": "k1"},
        {"date_from": "2026-02-19", "continuation_key": "k2"},
    ]
    # Most banks count no further pages.
    assert [to_cost(query) for query in queries(stub)] == [1, 0, 0]
    assert (ids(answer), answer.covered) == (["entry-1", "entry-2"], window().window)
    assert len(archived) == answer.pages_count == answer.calls_count == 3


def test_what_is_archived_reads_the_same_again(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    rows = [transaction(1, entry_reference=None), transaction(1, entry_reference=None)]
    answer = fetch(bank, stub, page(*rows, key="k1"), page(transaction(3)), archive=archived)

    assert len(answer.transactions) == 3
    assert bank.to_window(archived, account(), window()) == answer


def test_rows_that_do_not_fit_are_set_aside_and_their_siblings_land(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    bad = transaction(2, transaction_amount=amount("--"))
    answer = fetch(bank, stub, page(transaction(1), bad, "odd"), archive=archived)

    assert ids(answer) == ["entry-1"]
    assert [one.external_id for one in answer.quarantined] == ["entry-2", None]
    assert answer.covered == window().window


@pytest.mark.parametrize("name", ["2026-03-04-1", "NOTPROVIDED"])
def test_an_unreadable_row_is_not_called_what_it_may_not_be_stored_by(
    bank: EnableBankingProvider, stub: Stub, name: str
) -> None:
    answer = fetch(bank, stub, page(transaction(1), transaction(entry_reference=name, status="?")))

    assert [one.external_id for one in answer.quarantined] == [None]


def test_rows_of_other_dates_are_kept(bank: EnableBankingProvider, stub: Stub) -> None:
    answer = fetch(bank, stub, page(transaction(booking_date="2024-01-15")))

    assert answer.transactions[0].booking_date == date(2024, 1, 15)


def test_a_repeated_key_ends_the_reading_and_doubles_nothing(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    same = page(transaction(1, entry_reference=None), key="same")
    answer = fetch(bank, stub, same, archive=archived)

    assert (len(answer.transactions), answer.covered) == (1, None)
    assert answer.trouble is not None
    assert answer.trouble.code == "CONTINUATION_STUCK"
    assert (len(archived), len(queries(stub))) == (1, 2)
    assert bank.to_window(archived, account(), window()).covered is None


def test_pages_without_end_are_a_failure(
    bank: EnableBankingProvider, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PAGES_MAX * 10 >= 10_000  # ten rows a page is common, and so are busy accounts
    monkeypatch.setattr("bank_pipeline.providers.enable_banking.window.PAGES_MAX", 5)
    with pytest.raises(PayloadError, match="PAGES_MAX"):
        fetch(bank, stub, *(page(key=f"k{number}") for number in range(6)))
    assert len(queries(stub)) == 5


def test_a_refused_key_starts_the_window_again_once(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    refused = failure("WRONG_CONTINUATION_KEY", 422)
    first = page(transaction(1), key="k1")
    answer = fetch(bank, stub, first, refused, first, page(transaction(2)), archive=archived)

    assert (ids(answer), answer.covered) == (["entry-1", "entry-2"], window().window)
    assert (len(archived), answer.calls_count) == (2, 4)
    stub.plays(first, refused, first, refused)
    with pytest.raises(FeedMovedError):
        bank.fetch_window(SESSION, account(), window(), archive=archived)


def test_pages_read_before_a_limit_are_kept_and_conclude_nothing(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    pages = page(transaction(1), key="k1"), RATE_LIMITED
    answer = fetch(bank, stub, *pages, archive=archived)

    assert (ids(answer), answer.covered) == (["entry-1"], None)
    assert isinstance(answer.trouble, RateLimitedError)
    assert answer.trouble.retry_after_s == 6 * 3600
    assert (len(archived), answer.calls_count) == (1, 2)
    assert bank.to_window(archived, account(), window()).covered is None


def test_a_refusal_of_a_later_page_costs_no_page_before_it(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    refused = failure("WRONG_REQUEST_PARAMETERS", 422)
    answer = fetch(bank, stub, page(transaction(1), key="k1"), refused)

    assert (ids(answer), answer.covered) == (["entry-1"], None)
    assert isinstance(answer.trouble, ConfigurationError)


def test_a_session_that_ends_between_two_pages_is_over(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    replies = page(transaction(1), key="k1"), failure("EXPIRED_SESSION", 401), session("EXPIRED")
    with pytest.raises(ReauthRequiredError):
        fetch(bank, stub, *replies, archive=archived)
    assert len(archived) == 1


def test_a_limit_on_the_first_page_is_the_answer(bank: EnableBankingProvider, stub: Stub) -> None:
    with pytest.raises(RateLimitedError):
        fetch(bank, stub, RATE_LIMITED)


def test_a_bank_that_loses_track_of_its_pages_is_not_asked_twice(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    confused = failure(
        "WRONG_REQUEST_PARAMETERS",
        422,
        detail={"message": "transactionStatus in request is not the same as in continuationKey"},
    )
    answer = fetch(bank, stub, page(transaction(1), key="k1"), confused)

    assert (ids(answer), answer.covered, answer.calls_count) == (["entry-1"], None, 2)
    assert answer.trouble is not None
    assert answer.trouble.code == STATUS_CONFUSED


def test_what_a_bank_counts_is_not_repeated_at_once(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    """A failure costs one of four calls of the day: the next one is planned, minutes later."""
    fetch(bank, stub, page())
    for failed in (failure("ASPSP_ERROR"), failure("ASPSP_TIMEOUT", 408), Reply(b"", 502)):
        stub.received.clear()
        stub.plays(failed)
        with pytest.raises(TransientError):
            bank.fetch_window(SESSION, account(), window(), archive=Archived())
        assert len(queries(stub)) == 1


def test_a_further_page_that_fails_is_tried_once_more(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    """Most banks do not count it, and the pages before it would be lost."""
    pages = [page(transaction(1), key="k1"), failure("ASPSP_ERROR"), page(transaction(2))]
    answer = fetch(bank, stub, *pages)
    assert (ids(answer), answer.calls_count) == (["entry-1", "entry-2"], 3)


def test_an_answer_that_cannot_be_read_is_archived_before_it_is_an_error(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    with pytest.raises(PayloadError, match="SHAPE"):
        fetch(bank, stub, Reply({"transactions": "none"}), archive=archived)
    assert [one.body for one in archived] == [b'{"transactions": "none"}']


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (failure("ACCOUNT_DOES_NOT_EXIST", 404), AccountGoneError),
        (failure("ASPSP_ACCOUNT_NOT_ACCESSIBLE"), AccountBlockedError),
    ],
)
def test_what_is_wrong_with_one_account_says_so(
    bank: EnableBankingProvider, stub: Stub, failed: Reply, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        fetch(bank, stub, failed)


@pytest.mark.parametrize(
    ("failed", "earliest"),
    [
        (
            failure("WRONG_TRANSACTIONS_PERIOD", 422, detail={"date_from": "2025-11-06"}),
            date(2025, 11, 6),
        ),
        (
            failure("WRONG_TRANSACTIONS_PERIOD", 422, detail={"date_from": "2020-01-01"}),
            None,
        ),
        (failure("WRONG_TRANSACTIONS_PERIOD", 422), None),
        (
            Reply(
                {"title": "Range is out of the last 90-day period", "code": "PERIOD_INVALID"}, 400
            ),
            TODAY - timedelta(days=89),
        ),
    ],
)
def test_a_refused_period_offers_only_what_is_shorter(
    bank: EnableBankingProvider, stub: Stub, failed: Reply, earliest: date | None
) -> None:
    with pytest.raises(WindowTooWideError) as caught:
        fetch(bank, stub, failed, request=window(730, is_first=True))
    assert caught.value.earliest == earliest


def test_a_bank_that_only_fails_beyond_its_history_is_known_for_it(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    fortis = session(aspsp={"name": "BNP Paribas Fortis", "country": "BE"})
    failed = failure("ASPSP_ERROR")
    with pytest.raises(WindowTooWideError) as caught:
        fetch(bank, stub, failed, request=window(730, is_first=True), of=fortis)
    earliest = caught.value.earliest
    assert earliest is not None
    inside = WindowRequest(DateWindow(first=earliest, last=TODAY), is_first=True)
    stub.plays(failed)
    with pytest.raises(TransientError, match="ASPSP_ERROR"):
        bank.fetch_window(SESSION, account(), inside, archive=Archived())


def test_a_pending_row_that_books_within_one_answer_is_one_row(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    pending = transaction(1, status="PDNG")
    answer = fetch(bank, stub, page(pending, transaction(1)))

    assert [row.status for row in answer.transactions] == [TransactionStatus.BOOKED]
