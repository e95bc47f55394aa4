"""Teller as the rest of the house sees it."""

import base64

import pytest

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountGoneError,
    ConfigurationError,
    PayloadError,
    ProductUnsupportedError,
    RateLimitedError,
    ReauthRequiredError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.teller.provider import TellerProvider, build_teller
from bank_pipeline_tests.providers.stub import Reply, Stub
from bank_pipeline_tests.providers.teller.builders import (
    CARD,
    CHECKING,
    TOKEN,
    Archived,
    account,
    error_body,
    links,
    settings,
)
from bank_pipeline_tests.providers.teller.conftest import BuildTeller


def balances(stub: Stub, teller: TellerProvider, *replies: Reply, of: Account = CHECKING) -> object:
    stub.plays(*replies)
    return teller.fetch_balances(TOKEN, of, archive=Archived())


def test_teller_is_optional() -> None:
    with pytest.raises(SetupError, match="TELLER_APPLICATION_ID"):
        build_teller(settings(teller_application_id=None))


def test_every_call_says_who_asks_and_which_version(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply([account(1)]))
    teller.fetch_accounts(TOKEN, archive=Archived())
    headers = stub.received[0].headers
    expected = base64.b64encode(b"test_token_hush:").decode()
    assert headers["authorization"] == f"Basic {expected}"
    assert headers["teller-version"] == "2020-10-12"
    assert stub.received[0].method == "GET"


def test_the_institutions_are_asked_without_a_token(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply([{"id": "chase", "name": "Chase", "products": []}, {"id": "x"}]))
    answer = teller.fetch_institutions()
    assert [one.external_id for one in answer.institutions] == ["chase"]
    assert [one.reason for one in answer.unreadable] == ["name: missing"]
    assert "authorization" not in stub.received[0].headers
    assert teller.fetch_institution("chase").provider is Provider.TELLER
    with pytest.raises(ConfigurationError):
        teller.fetch_institution("another")


def test_accounts_are_complete_and_say_whose_bank_it_is(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    stub.plays(Reply([account(1), account(2, type="credit", subtype="credit_card")]))
    answer = teller.fetch_accounts(TOKEN, archive=archived)
    assert [one.external_id for one in answer.accounts] == ["acc_1", "acc_2"]
    assert (answer.is_complete, answer.balances) == (True, ())
    assert answer.status is not None
    assert answer.status.institution_external_id == "chase"
    assert answer.status.institution_name == "Chase"
    assert [one.operation for one in archived] == ["accounts"]
    assert TOKEN.get_secret_value() not in str(archived)


def test_a_closed_account_is_missing_from_a_complete_list(
    stub: Stub, teller: TellerProvider
) -> None:
    stub.plays(Reply([account(1), account(2, status="closed"), account(3, status="new word")]))
    answer = teller.fetch_accounts(TOKEN, archive=Archived())
    assert [one.external_id for one in answer.accounts] == ["acc_1", "acc_3"]
    assert answer.is_complete


@pytest.mark.parametrize("field", ["id", "type"])
def test_an_account_that_cannot_be_read_is_not_gone(
    stub: Stub, teller: TellerProvider, field: str
) -> None:
    stub.plays(Reply([account(1), account(2, **{field: None})]))
    answer = teller.fetch_accounts(TOKEN, archive=Archived())
    assert [one.external_id for one in answer.accounts] == ["acc_1"]
    assert len(answer.quarantined) == 1
    assert not answer.is_complete


def test_an_account_told_twice_is_one(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply([account(1, name="Old"), account(2), account(1)]))
    answer = teller.fetch_accounts(TOKEN, archive=Archived())
    assert [(one.external_id, one.name) for one in answer.accounts] == [
        ("acc_1", "Checking"),
        ("acc_2", "Checking"),
    ]


def test_decoration_of_an_account_may_be_unreadable(stub: Stub, teller: TellerProvider) -> None:
    odd: dict[str, object] = {
        "institution": 5,
        "name": None,
        "links": [],
        "last_four": 6,
        "currency": [],
    }
    stub.plays(Reply([account(1, new="field", **odd)]))
    answer = teller.fetch_accounts(TOKEN, archive=Archived())
    assert [one.external_id for one in answer.accounts] == ["acc_1"]
    assert answer.accounts[0].currency is None


@pytest.mark.parametrize(
    ("reply", "code", "expected"),
    [
        (
            Reply(error_body("enrollment.disconnected.credentials_invalid"), 404),
            "enrollment.disconnected.credentials_invalid",
            ReauthRequiredError,
        ),
        (Reply(error_body("forbidden"), 403), "HTTP_403", AccessRevokedError),
    ],
)
def test_a_broken_connection_still_has_a_status(
    stub: Stub, teller: TellerProvider, reply: Reply, code: str, expected: type[Exception]
) -> None:
    stub.plays(reply)
    status = teller.fetch_status(TOKEN, archive=Archived())
    assert status.error_code == code
    assert type(teller.to_error(code)) is expected
    with pytest.raises(expected):
        teller.fetch_accounts(TOKEN, archive=Archived())


def test_a_working_connection_has_no_error(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply([account(1)]))
    status = teller.fetch_status(TOKEN, archive=Archived())
    assert (status.error_code, status.institution_name) == (None, "Chase")


def test_a_status_that_is_our_own_fault_is_an_error(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(error_body("bad_request"), 400))
    with pytest.raises(ConfigurationError):
        teller.fetch_status(TOKEN, archive=Archived())


def test_balances_are_read_where_the_bank_offers_them(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    stub.plays(Reply([account(1)]), Reply({"ledger": "10.50", "available": None, "new": 1}))
    answer = teller.fetch_balances(TOKEN, CARD, archive=archived)
    assert [(one.provider_type, str(one.amount)) for one in answer.balances] == [
        ("ledger", "-10.5")
    ]
    assert stub.received[1].path == "/accounts/acc_1/balances"
    assert (answer.calls_count, len(archived)) == (2, 2)
    assert teller.fetch_balances(TOKEN, CARD, archive=archived).calls_count == 1


def test_links_are_a_list_of_abilities_and_never_followed(
    stub: Stub, teller: TellerProvider
) -> None:
    elsewhere = dict.fromkeys(("balances", "transactions"), "https://evil.example/x")
    balances(stub, teller, Reply([account(1, links=elsewhere)]), Reply({"ledger": "1"}))
    assert stub.received[1].path == "/accounts/acc_1/balances"


@pytest.mark.parametrize("offered", [links("transactions"), {"balances": None}, {}])
def test_balances_that_are_not_offered_are_not_called(
    stub: Stub, teller: TellerProvider, offered: dict[str, str]
) -> None:
    with pytest.raises(ProductUnsupportedError):
        balances(stub, teller, Reply([account(1, links=offered)]))
    assert len(stub.received) == 1


def test_links_that_cannot_be_read_forbid_nothing(stub: Stub, teller: TellerProvider) -> None:
    balances(stub, teller, Reply([account(1, links=5)]), Reply({"ledger": "1"}))
    assert len(stub.received) == 2


def test_a_balance_that_cannot_be_read_is_set_aside_and_the_other_lands(
    stub: Stub, teller: TellerProvider
) -> None:
    stub.plays(Reply([account(1)]), Reply({"ledger": "much", "available": "5"}))
    answer = teller.fetch_balances(TOKEN, CHECKING, archive=Archived())
    assert [str(one.amount) for one in answer.balances] == ["5"]
    assert [one.reason for one in answer.quarantined] == ["ledger: no amount"]
    stub.plays(Reply({"ledger": None}))
    assert teller.fetch_balances(TOKEN, CHECKING, archive=Archived()).balances == ()
    stub.plays(Reply([1]))
    odd = teller.fetch_balances(TOKEN, CHECKING, archive=Archived())
    assert (odd.balances, len(odd.quarantined)) == ((), 1)


def test_what_is_not_found_of_a_listed_account_is_not_gone(
    stub: Stub, teller: TellerProvider
) -> None:
    with pytest.raises(TransientError):
        balances(
            stub,
            teller,
            Reply([account(1)]),
            Reply(error_body("not_found"), 404),
            Reply([account(1)]),
        )


def test_what_is_not_offered_any_more_is_unsupported(stub: Stub, teller: TellerProvider) -> None:
    with pytest.raises(ProductUnsupportedError):
        balances(
            stub,
            teller,
            Reply([account(1)]),
            Reply(error_body("not_found"), 404),
            Reply([account(1, links=links("transactions"))]),
        )


@pytest.mark.parametrize("listed", [[], [account(2)], [account(1, status="closed")]])
def test_an_account_is_gone_when_the_list_says_so(
    stub: Stub, build: BuildTeller, teller: TellerProvider, listed: list[object]
) -> None:
    with pytest.raises(AccountGoneError):
        balances(stub, teller, Reply(listed))
    with pytest.raises(AccountGoneError):
        balances(
            stub,
            build(stub.url),
            Reply([account(1)]),
            Reply(error_body("not_found"), 404),
            Reply(listed),
        )


def test_a_list_that_cannot_be_read_whole_ends_no_account(
    stub: Stub, teller: TellerProvider
) -> None:
    with pytest.raises(TransientError):
        balances(
            stub,
            teller,
            Reply([account(1)]),
            Reply(error_body("not_found"), 404),
            Reply([account(1, type=None)]),
        )


def test_a_broken_login_is_the_better_reason(stub: Stub, teller: TellerProvider) -> None:
    with pytest.raises(ReauthRequiredError):
        balances(
            stub,
            teller,
            Reply([account(1)]),
            Reply(error_body("not_found"), 404),
            Reply(error_body("enrollment.disconnected"), 404),
        )


def test_accounts_must_be_a_list(stub: Stub, teller: TellerProvider) -> None:
    archived = Archived()
    stub.plays(Reply({"error": "odd"}))
    with pytest.raises(PayloadError):
        teller.fetch_accounts(TOKEN, archive=archived)
    assert len(archived) == 1


def test_brief_failures_are_tried_again(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply({}, 503), Reply(b"<html>"), Reply([account(1)]))
    assert len(teller.fetch_accounts(TOKEN, archive=Archived()).accounts) == 1


def test_a_bank_that_is_down_is_not_waited_for(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(error_body("bank_down"), 502))
    with pytest.raises(TransientError) as caught:
        teller.fetch_accounts(TOKEN, archive=Archived())
    assert (caught.value.retry_after_s, len(stub.received)) == (300, 1)


def test_too_many_calls_say_when_to_come_back(stub: Stub, build: BuildTeller) -> None:
    teller = build(stub.url)
    stub.plays(Reply(error_body("too_many"), 429))
    with pytest.raises(RateLimitedError) as caught:
        teller.fetch_accounts(TOKEN, archive=Archived())
    assert caught.value.retry_after_s is not None
    assert 4 < caught.value.retry_after_s <= 5


def test_disconnecting_deletes_the_enrollment(stub: Stub, teller: TellerProvider) -> None:
    stub.plays(Reply(b"", 204))
    teller.disconnect(TOKEN)
    assert (stub.received[0].method, stub.received[0].path) == ("DELETE", "/accounts")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "not_found"),
        (404, "enrollment.disconnected.x"),
        (410, "account.closed"),
        (403, "forbidden"),
    ],
)
def test_what_is_gone_is_disconnected(
    stub: Stub, teller: TellerProvider, status: int, code: str
) -> None:
    stub.plays(Reply(error_body(code), status))
    teller.disconnect(TOKEN)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(b"<html>", 404), ConfigurationError),
        (Reply(error_body("bad_request"), 400), ConfigurationError),
        (Reply(error_body("x"), 502), TransientError),
    ],
)
def test_a_failure_to_disconnect_is_told(
    stub: Stub, teller: TellerProvider, reply: Reply, expected: type[Exception]
) -> None:
    stub.plays(reply)
    with pytest.raises(expected):
        teller.disconnect(TOKEN)


def test_health_is_the_network_where_no_certificate_is_presented(
    stub: Stub, teller: TellerProvider
) -> None:
    stub.plays(Reply([]))
    teller.check_health()
    assert [one.path for one in stub.received] == ["/institutions"]
    stub.plays(Reply(b"", 404))
    with pytest.raises(ConfigurationError):
        teller.check_health()


def test_what_is_remembered_of_accounts_is_bounded(stub: Stub, teller: TellerProvider) -> None:
    from bank_pipeline.providers.teller.accounts import AccountBook  # noqa: PLC0415 - its test

    book = AccountBook(teller._client, remembered_max=2)  # noqa: SLF001 - nobody else has one
    stub.plays(Reply([account(n, links={}) for n in range(1, 4)]))
    book.fetch(TOKEN, Archived())
    known = [book.lacks(one, "balances") for one in map(named, (1, 2, 3))]
    assert known == [False, True, True]


def named(number: int) -> Account:
    return CHECKING.model_copy(update={"external_id": f"acc_{number}"})
