"""A window of dates is one call, archived first, and covers no more than the consent permits."""

from datetime import date
from typing import Any

import pytest

from bank_pipeline.domain.window import DateWindow
from bank_pipeline.errors import (
    AccountBlockedError,
    AccountGoneError,
    PayloadError,
    ProductUnsupportedError,
    ReauthRequiredError,
    TransientError,
)
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline_tests.providers.gocardless.builders import (
    REQUISITION,
    TODAY,
    TOKEN_REPLY,
    Archived,
    account,
    agreement,
    details,
    metadata,
    refusal,
    requisition,
    row,
    window,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

LEFT = {
    "http_x_ratelimit_account_success_remaining": "2",
    "http_x_ratelimit_account_success_reset": "3600",
}


BALANCES = {
    "balances": [
        {"balanceType": "interimBooked", "balanceAmount": {"amount": "1.00", "currency": "EUR"}}
    ]
}


def paths(stub: Stub) -> list[str]:
    return [request.path.removeprefix("/api/v2/") for request in stub.received]


def transactions(*booked: dict[str, Any], **headers: str) -> Reply:
    return Reply({"transactions": {"booked": list(booked)}}, headers=headers)


def test_the_first_window_is_unbounded_and_whole_since_the_consent_permits(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    short = agreement(accepted="2026-11-20T08:00:00Z", max_historical_days=90)
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(short), transactions(row(), **LEFT))
    request = window(date(2024, 11, 21), is_first=True)
    answer = gocardless.fetch_window(REQUISITION, account(), request, archive=archived)
    assert paths(stub)[-1] == "accounts/account-1/transactions/"
    assert answer.covered == DateWindow(first=date(2026, 8, 22), last=TODAY)
    assert len(answer.transactions) == 1


def test_a_later_window_is_one_call_from_its_first_day_on(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), transactions(row()))
    for _ in range(2):
        answer = gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
        assert answer.covered == window().window
    assert paths(stub)[3:] == 2 * ["accounts/account-1/transactions/?date_from=2026-11-01"]
    assert not any("since" in one.operation for one in archived)


def test_a_later_window_is_whole_only_since_the_consent_permits(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    """Given anew after a long silence, it shows less than the one under which we hold rows."""
    anew = agreement(accepted="2026-11-20T08:00:00Z", max_historical_days=90)
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(anew), transactions(row()))
    request = window(date(2026, 6, 1))
    answer = gocardless.fetch_window(REQUISITION, account(), request, archive=archived)
    assert paths(stub)[-1].endswith("?date_from=2026-06-01")
    assert answer.covered == DateWindow(first=date(2026, 8, 22), last=TODAY)
    assert gocardless.to_window(archived, account(), request).covered == answer.covered


def test_while_the_consent_cannot_be_read_no_window_is(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    """Rows under new ids, without what they cover, would stand beside those that we hold."""
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(b"", 502), Reply(b"", 502))
    with pytest.raises(TransientError):
        gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert not any("transactions" in path for path in paths(stub))


def test_an_account_that_keeps_its_id_under_another_consent_is_read_by_the_new_one(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    other = requisition(agreement="agreement-2")
    anew = agreement(id="agreement-2", accepted="2026-11-20T08:00:00Z", max_historical_days=90)
    stub.plays(
        TOKEN_REPLY, Reply(requisition()), Reply(metadata()), Reply(details()), Reply(agreement()),
        Reply(other), Reply(metadata()), Reply(details()), Reply(anew), transactions(row()),
    )  # fmt: skip
    for _ in range(2):
        gocardless.fetch_accounts(REQUISITION, archive=archived)
    request = window(date(2026, 6, 1))
    answer = gocardless.fetch_window(REQUISITION, account(), request, archive=archived)
    assert answer.covered == DateWindow(first=date(2026, 8, 22), last=TODAY)


def test_an_account_that_was_listed_is_read_without_asking_for_its_bank(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    bank = requisition(institution_id="CETELEM_CETMPTP1XXX")
    stub.plays(
        TOKEN_REPLY, Reply(bank), Reply(metadata()), Reply(details()), Reply(agreement()),
        transactions(row("10.00")),
    )  # fmt: skip
    gocardless.fetch_accounts(REQUISITION, archive=archived)
    answer = gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert answer.transactions[0].amount == -10
    assert len(stub.received) == 6


def test_what_is_archived_is_what_can_be_read_again(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    rows = transactions(row(), row("1", x=None))
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), rows)
    answer = gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    again = gocardless.to_window(archived, account(), window())
    assert (again.transactions, again.covered) == (answer.transactions, answer.covered)


@pytest.mark.parametrize("body", [{"transactions": None}, {}])
def test_an_answer_that_cannot_be_read_is_archived_all_the_same(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived, body: dict[str, Any]
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), Reply(body))
    with pytest.raises(PayloadError):
        gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert archived[-1].operation.startswith("accounts/transactions?")


def test_the_same_answer_at_another_time_is_the_same(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    def updated(moment: str) -> Reply:
        return Reply({"transactions": {"booked": [row()]}, "last_updated": moment})

    first, second = updated("2026-11-20"), updated("2026-11-21")
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), first, second)
    for _ in range(2):
        gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert archived[-1].digest == archived[-2].digest
    assert archived[-1].body != archived[-2].body


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (refusal("End User Agreement (EUA) access scope error", 403), ProductUnsupportedError),
        (refusal("x", 403, type="AccountResourceUnavailable"), ProductUnsupportedError),
        (refusal("x", 403, type="AccountAccessForbidden"), AccountBlockedError),
        (refusal("x", 401, type="AccountInactiveError"), AccountGoneError),
        (refusal("Account suspended", 409), ReauthRequiredError),
    ],
)
def test_a_refused_window_says_whom_it_is_about(
    stub: Stub,
    gocardless: GoCardlessProvider,
    archived: Archived,
    failure: Reply,
    kind: type[Exception],
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), failure)
    with pytest.raises(kind):
        gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert len(stub.received) == 4


FORBIDDEN = refusal("Couldn't update account transactions", 403, type="AccountAccessForbidden")


def test_refused_balances_do_not_keep_transactions_away(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(
        TOKEN_REPLY, Reply(requisition()), FORBIDDEN, Reply(agreement()), transactions(row())
    )
    for _ in range(2):
        with pytest.raises(AccountBlockedError):
            gocardless.fetch_balances(REQUISITION, account(), archive=archived)
        answer = gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
        assert len(answer.transactions) == 1
        stub.plays(FORBIDDEN, transactions(row()))


def test_refused_transactions_do_not_keep_balances_away(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), FORBIDDEN, Reply(BALANCES))
    for _ in range(2):
        with pytest.raises(AccountBlockedError, match="AccountAccessForbidden"):
            gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
        answer = gocardless.fetch_balances(REQUISITION, account(), archive=archived)
        assert len(answer.balances) == 1
    assert [path.split("/")[-2] for path in paths(stub)[3:]] == [
        "transactions",
        "balances",
        "balances",
    ]


def test_a_refusal_is_remembered_of_one_consent(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(agreement()), FORBIDDEN)
    for _ in range(2):
        with pytest.raises(AccountBlockedError):
            gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert len(stub.received) == 4

    stub.plays(
        Reply(requisition(agreement="agreement-2")),
        Reply(metadata()),
        Reply(details()),
        Reply(agreement(id="agreement-2")),
        transactions(row()),
    )
    gocardless.fetch_accounts(REQUISITION, archive=archived)
    answer = gocardless.fetch_window(REQUISITION, account(), window(), archive=archived)
    assert len(answer.transactions) == 1
