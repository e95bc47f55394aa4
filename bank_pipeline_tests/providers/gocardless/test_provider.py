"""The provider as the house sees it: archived first, trouble where it belongs, few calls."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    AccountGoneError,
    PayloadError,
    ReauthRequiredError,
    TransientError,
    WebhookRejectedError,
)
from bank_pipeline.providers.base import Scope
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline.providers.metering import metered_by
from bank_pipeline.sync.recording import CallLog
from bank_pipeline_tests.providers.gocardless.builders import (
    REQUISITION,
    TOKEN_REPLY,
    Archived,
    account,
    agreement,
    details,
    institution,
    metadata,
    refusal,
    requisition,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

NOON: Final = datetime(2026, 11, 21, 12, tzinfo=UTC)

LEFT = {
    "http_x_ratelimit_account_success_remaining": "2",
    "http_x_ratelimit_account_success_reset": "3600",
}


def paths(stub: Stub) -> list[str]:
    return [request.path.removeprefix("/api/v2/") for request in stub.received]


def test_quotas_are_four_a_day_of_which_the_schedule_spends_half() -> None:
    quotas = GoCardlessProvider.capabilities.quotas
    assert {(one.scope, one.calls_max, one.scheduled_max) for one in quotas} == {
        (Scope.DETAILS, 4, 1),
        (Scope.BALANCES, 4, 2),
        (Scope.TRANSACTIONS, 4, 2),
    }


def test_a_status_names_what_is_wrong_and_when_the_consent_ends(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition("EX")), Reply(agreement()), Reply(requisition()))
    broken = gocardless.fetch_status(REQUISITION, archive=archived)
    assert broken.error_code == "EX"
    assert type(gocardless.to_error("EX")) is ReauthRequiredError
    assert broken.consent_expires_at is not None
    assert gocardless.fetch_status(REQUISITION, archive=archived).error_code is None
    assert len(stub.received) == 4, "an agreement is read once an hour"
    assert [one.operation for one in archived] == ["requisitions/get", "requisitions/get"]


def test_an_agreement_that_was_not_accepted_yet_is_asked_for_again(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    waiting, linked = Reply(agreement(accepted=None)), Reply(requisition())
    stub.plays(TOKEN_REPLY, linked, waiting, linked, Reply(agreement()))
    assert gocardless.fetch_status(REQUISITION, archive=archived).consent_expires_at is None
    assert gocardless.fetch_status(REQUISITION, archive=archived).consent_expires_at is not None


def test_an_agreement_that_is_gone_has_no_end(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), refusal("Not found.", 404))
    assert gocardless.fetch_status(REQUISITION, archive=archived).consent_expires_at is None


def test_a_requisition_that_is_gone_is_a_consent_that_is_gone(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, refusal("Not found.", 404))
    with pytest.raises(AccessRevokedError):
        gocardless.fetch_accounts(REQUISITION, archive=archived)


def test_details_are_read_once_and_kept(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    linked, free = Reply(requisition()), Reply(metadata())
    stub.plays(TOKEN_REPLY, linked, free, Reply(details()), Reply(agreement()), linked, free)
    first = gocardless.fetch_accounts(REQUISITION, archive=archived)
    stub.received.clear()
    later = gocardless.fetch_accounts(REQUISITION, archive=archived, known=first.accounts)
    assert later.accounts == first.accounts
    assert later.is_complete
    assert paths(stub)[1:] == ["accounts/account-1/"]
    assert (first.calls_count, later.calls_count) == (3, 2)


def test_an_iban_that_comes_after_the_details_is_kept(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    linked, said = Reply(requisition()), Reply(details(bic="REVOLT21", maskedPan="XX4321"))
    stub.plays(TOKEN_REPLY, linked, Reply(metadata(iban="")), said, Reply(agreement()))
    first = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert first.accounts[0].identifiers.iban is None
    stub.plays(linked, Reply(metadata()))
    later = gocardless.fetch_accounts(REQUISITION, archive=archived, known=first.accounts)
    numbers = later.accounts[0].identifiers
    assert (numbers.iban, numbers.bic) == ("GB33BUKB20201555555555", "REVOLT21")
    assert numbers.masked_number == "4321"
    assert later.accounts[0].stable_external_ids == (
        "resource:resource-1",
        "iban:GB33BUKB20201555555555",
    )


def test_details_that_fail_leave_an_account_known_by_its_metadata(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    limited = refusal("Rate limit exceeded", 429, detail="4/day. Please try again in 9 seconds")
    stub.plays(
        TOKEN_REPLY, Reply(requisition()), Reply(metadata()), limited, Reply(agreement()),
        Reply(requisition()), Reply(metadata()), Reply(details()),
    )  # fmt: skip
    first = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert (first.is_complete, dict(first.troubles)) == (True, {})
    assert first.accounts[0].identifiers.iban == "GB33BUKB20201555555555"
    later = gocardless.fetch_accounts(REQUISITION, archive=archived, known=first.accounts)
    assert later.accounts[0].provider_type == "CACC"


def test_a_consent_that_ended_under_the_details_is_told(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    expired = refusal("End User Agreement (EUA) 2dea has expired", 401)
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(metadata()), expired)
    with pytest.raises(ReauthRequiredError):
        gocardless.fetch_accounts(REQUISITION, archive=archived)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("PROCESSING", TransientError),
        ("DISCOVERED", TransientError),
        ("ERROR", AccountBlockedError),
        ("SUSPENDED", AccountBlockedError),
    ],
)
def test_an_account_in_trouble_is_not_asked_and_its_siblings_are(
    stub: Stub,
    gocardless: GoCardlessProvider,
    archived: Archived,
    status: str,
    kind: type[Exception],
) -> None:
    two = requisition(accounts=["account-1", "account-2"])
    stub.plays(
        TOKEN_REPLY, Reply(two), Reply(metadata(status=status)), Reply(metadata()),
        Reply(details()), Reply(agreement()),
    )  # fmt: skip
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert [one.external_id for one in answer.accounts] == ["account-1", "account-2"]
    assert {key: type(value) for key, value in answer.troubles.items()} == {"account-1": kind}
    assert answer.status is not None
    assert answer.status.error_code is None
    assert "accounts/account-1/details/" not in paths(stub)
    if kind is TransientError:
        assert answer.troubles["account-1"].retry_after_s == 120


@pytest.mark.parametrize("status", ["EXPIRED", "SUSPENDED"])
def test_when_no_account_is_left_the_connection_needs_its_owner(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived, status: str
) -> None:
    stub.plays(
        TOKEN_REPLY, Reply(requisition()), Reply(metadata(status=status)), Reply(agreement())
    )
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert answer.status is not None
    assert answer.status.error_code is not None
    assert type(gocardless.to_error(answer.status.error_code)) is ReauthRequiredError


@pytest.mark.parametrize(
    ("failure", "kind", "is_complete"),
    [
        (refusal("Account ID x not found", 404), AccountGoneError, True),
        (refusal("new", 403, type="NewError"), AccountBlockedError, False),
    ],
)
def test_one_account_that_cannot_be_read_stops_no_other(
    stub: Stub,
    gocardless: GoCardlessProvider,
    archived: Archived,
    failure: Reply,
    kind: type[Exception],
    is_complete: bool,
) -> None:
    two = requisition(accounts=["account-1", "account-2"])
    stub.plays(
        TOKEN_REPLY, Reply(two), failure, Reply(metadata()), Reply(details()), Reply(agreement())
    )
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert [one.external_id for one in answer.accounts] == ["account-2"]
    assert type(answer.troubles["account-1"]) is kind
    assert answer.is_complete is is_complete


@pytest.mark.parametrize("failure", [Reply(b"<html>", 502), Reply([])])
def test_the_trouble_of_a_known_account_is_told_with_the_account(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived, failure: Reply
) -> None:
    """Whoever reads the answer goes by its accounts: one that is left out is forgotten."""
    failures = [failure] * (2 if failure.status == 502 else 1)
    stub.plays(TOKEN_REPLY, Reply(requisition()), *failures, Reply(agreement()))
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived, known=[account()])
    assert (answer.accounts, answer.is_complete) == ((account(),), False)
    assert list(answer.troubles) == ["account-1"]


def test_a_requisition_without_any_account_denies_none(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition(accounts=[])), Reply(agreement()))
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert (answer.accounts, answer.is_complete) == ((), False)


@pytest.mark.parametrize(
    "refused",
    [
        refusal("End User Agreement (EUA) access scope error", 403),
        refusal("x", 403, type="AccountResourceUnavailable"),
    ],
)
def test_details_that_a_bank_does_not_give_are_not_asked_for_again(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived, refused: Reply
) -> None:
    linked, free = Reply(requisition()), Reply(metadata())
    stub.plays(TOKEN_REPLY, linked, free, refused, Reply(agreement()), linked, free)
    first = gocardless.fetch_accounts(REQUISITION, archive=archived)
    stub.received.clear()
    gocardless.fetch_accounts(REQUISITION, archive=archived, known=first.accounts)
    assert paths(stub)[1:] == ["accounts/account-1/"]


def test_an_agreement_of_another_shape_costs_no_accounts(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(metadata()), Reply(details()), Reply([]))
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert (len(answer.accounts), answer.status) == (1, None)


def test_an_account_that_is_listed_twice_is_one(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    twice = requisition(accounts=["account-1", "account-1"])
    stub.plays(TOKEN_REPLY, Reply(twice), Reply(metadata()), Reply(details()), Reply(agreement()))
    assert len(gocardless.fetch_accounts(REQUISITION, archive=archived).accounts) == 1


def test_a_requisition_that_ended_lists_no_accounts_as_gone(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition("EX")), Reply(agreement()))
    answer = gocardless.fetch_accounts(REQUISITION, archive=archived)
    assert (answer.accounts, answer.is_complete) == ((), False)
    assert answer.status is not None
    assert answer.status.error_code == "EX"


def test_balances_come_with_what_is_left_of_the_day(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    good = {"balanceAmount": {"amount": "1534.21", "currency": "EUR"}, "balanceType": "expected"}
    bad = {"balanceAmount": {"amount": "?", "currency": "EUR"}, "balanceType": "interimBooked"}
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply({"balances": [good, bad]}, headers=LEFT))
    log = CallLog(lambda: NOON)
    with metered_by(log):
        answer = gocardless.fetch_balances(REQUISITION, account(), archive=archived)
    call, result = log.ended[-1]
    assert call.scope == "balances"
    assert (result.calls_left, result.resets_at) == (2, NOON + timedelta(hours=1))
    assert {one.amount for one in answer.balances} == {Decimal("1534.21")}
    assert len(answer.quarantined) == 1
    assert archived[-1].operation == "accounts/balances?account=account-1"


@pytest.mark.parametrize("amount", [b"1e70", b'"%s.50"' % (b"1" * 60)])
def test_one_absurd_balance_costs_no_other(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived, amount: bytes
) -> None:
    body = (
        b'{"balances": [{"balanceAmount": {"amount": "5.00", "currency": "EUR"},'
        b' "balanceType": "interimBooked"}, {"balanceAmount": {"amount": %s, "currency": "EUR"},'
        b' "balanceType": "information"}]}'
    )
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply(body % amount))
    answer = gocardless.fetch_balances(REQUISITION, account(), archive=archived)
    assert [one.amount for one in answer.balances] == [5]
    assert [row.reason for row in answer.quarantined] == ["balanceAmount.amount: value_error"]


def test_no_balances_are_none_and_never_a_zero(
    stub: Stub, gocardless: GoCardlessProvider, archived: Archived
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition()), Reply({"balances": []}))
    assert gocardless.fetch_balances(REQUISITION, account(), archive=archived).balances == ()


def test_banks_are_listed_once_and_bad_ones_are_set_aside(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, Reply([institution(), institution(), {"id": "X"}, None]))
    answer = gocardless.fetch_institutions()
    assert [one.external_id for one in answer.institutions] == ["REVOLUT_REVOLT21"]
    assert len(answer.unreadable) == 2
    assert paths(stub)[-1] == "institutions/"


def test_a_list_of_banks_that_is_none_is_an_error(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, Reply({"results": []}))
    with pytest.raises(PayloadError):
        gocardless.fetch_institutions()


def test_a_bank_that_cannot_be_read_is_an_error(stub: Stub, gocardless: GoCardlessProvider) -> None:
    stub.plays(TOKEN_REPLY, Reply({"id": "X"}))
    with pytest.raises(PayloadError):
        gocardless.fetch_institution("X")


def test_gocardless_sends_no_webhooks(gocardless: GoCardlessProvider, now: Any) -> None:
    with pytest.raises(WebhookRejectedError):
        gocardless.verify_webhook({}, b"{}", now=now)
