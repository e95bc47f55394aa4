"""Status, accounts, balances, present users and health, against a server that plays a part."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.errors import (
    AccessRevokedError,
    AccountBlockedError,
    ConfigurationError,
    ProductUnsupportedError,
    ProviderError,
    ReauthRequiredError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.answers import PresentUser
from bank_pipeline.providers.base import Scope
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.enable_banking.provider import (
    EnableBankingProvider,
    build_enable_banking,
)
from bank_pipeline_tests.providers.enable_banking.builders import (
    SESSION,
    UID,
    USER,
    Archived,
    account,
    account_json,
    amount,
    aspsp,
    aspsps,
    balance,
    build_provider,
    failure,
    session,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

BALANCES = Reply({"balances": [balance()]})
APPLICATION = {"active": True, "redirect_urls": ["https://books.example/return"]}


def test_a_usable_session_has_no_trouble(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session())
    status = bank.fetch_status(SESSION, archive=archived)

    assert (status.institution_external_id, status.institution_name) == ("FI:Nordea", "Nordea")
    assert status.error_code is None
    assert status.consent_expires_at is not None
    assert status.consent_expires_at.isoformat() == "2026-08-30T10:00:00+00:00"
    assert SESSION.get_secret_value() not in str(archived)
    assert stub.received[0].headers["authorization"].startswith("Bearer ey")


@pytest.mark.parametrize(
    ("reply", "code", "kind"),
    [
        (session("EXPIRED"), "EXPIRED", ReauthRequiredError),
        (session("REVOKED"), "REVOKED", AccessRevokedError),
        (session("CLOSED"), "CLOSED", AccessRevokedError),
        (failure("EXPIRED_SESSION", 401), "EXPIRED", ReauthRequiredError),
        (
            failure("SESSION_DOES_NOT_EXIST", 404),
            "SESSION_DOES_NOT_EXIST",
            AccessRevokedError,
        ),
    ],
)
def test_a_session_that_is_gone_says_so_and_takes_no_account_along(
    bank: EnableBankingProvider,
    stub: Stub,
    archived: Archived,
    reply: Reply,
    code: str,
    kind: type[ProviderError],
) -> None:
    stub.plays(reply)
    answer = bank.fetch_accounts(SESSION, archive=archived, known=[account()])

    assert answer.status is not None
    assert answer.status.error_code == code
    assert type(bank.to_error(code)) is kind
    assert (answer.accounts, answer.is_complete) == ((account(),), False)


def test_known_accounts_cost_no_call_to_the_bank(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session())
    unasked = account(external_id="hash-9", stable_external_ids=("hash-9",))
    known = [account(), account(external_id="not-shared-any-more"), unasked]
    answer = bank.fetch_accounts(SESSION, archive=archived, known=known)

    assert answer.accounts == (account(), unasked)
    assert (answer.is_complete, answer.calls_count, len(stub.received)) == (True, 1, 1)
    assert {*answer.troubles} == {"hash-9"}
    assert isinstance(answer.troubles["hash-9"], AccountBlockedError)


@pytest.mark.parametrize("told", [None, "odd"])
def test_a_session_that_does_not_say_what_it_shares_takes_no_account_along(
    bank: EnableBankingProvider, stub: Stub, archived: Archived, told: str | None
) -> None:
    stub.plays(session(accounts=told, accounts_data=told))
    answer = bank.fetch_accounts(SESSION, archive=archived, known=[account()])

    assert (answer.accounts, answer.is_complete) == ((account(),), False)
    assert answer.status is not None
    assert answer.status.error_code is None


def test_an_account_that_can_be_asked_for_again_is_not_listed_twice(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    blocked = account(external_id="hash-of-uid-2", stable_external_ids=("hash-of-uid-2",))
    told = account_json(2, identification_hash="hash-of-uid-2", identification_hashes=None)
    stub.plays(session("AUTHORIZED", UID, "uid-2"), Reply(told))
    answer = bank.fetch_accounts(SESSION, archive=archived, known=[account(), blocked])

    assert [one.external_id for one in answer.accounts] == [UID, "uid-2"]
    assert (answer.is_complete, dict(answer.troubles)) == (True, {})


def test_an_account_that_nobody_told_of_is_asked_for_once(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    details = Reply(account_json(2, uid=None, credit_limit=amount("500")))
    stub.plays(session("AUTHORIZED", UID, "uid-2"), details)
    answer = bank.fetch_accounts(SESSION, archive=archived, known=[account()])

    assert [one.external_id for one in answer.accounts] == [UID, "uid-2"]
    assert [one.kind for one in answer.balances] == [BalanceKind.CREDIT_LIMIT]
    assert stub.received[1].path == "/accounts/uid-2/details"
    assert (answer.is_complete, answer.calls_count) == (True, 2)


def test_an_account_that_cannot_be_asked_for_now_is_left_for_later(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session("AUTHORIZED", UID, "uid-2"), failure("ASPSP_RATE_LIMIT_EXCEEDED", 429))
    later = bank.fetch_accounts(SESSION, archive=archived, known=[account()])
    assert (later.accounts, later.is_complete) == ((account(),), False)

    stub.plays(session("AUTHORIZED", UID, "uid-2"), failure("EXPIRED_SESSION", 401))
    confused = bank.fetch_accounts(SESSION, archive=archived, known=[account()])
    assert (confused.accounts, confused.is_complete) == ((account(),), False)

    stub.plays(session("AUTHORIZED", UID, "uid-2"), failure("ASPSP_ACCOUNT_NOT_ACCESSIBLE"))
    blocked = bank.fetch_accounts(SESSION, archive=archived, known=[account()])
    assert blocked.accounts[1].stable_external_ids == ("hash-of-uid-2",)
    assert (blocked.is_complete, {*blocked.troubles}) == (True, {"uid-2"})


def test_a_bank_that_a_session_did_not_name_is_asked_for_again(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session(aspsp=None), BALANCES, session(), BALANCES)
    for _ in range(3):
        bank.fetch_balances(SESSION, account(), archive=archived)

    asked = [one.path.split("/")[1] for one in stub.received]
    assert asked == ["sessions", "accounts", "sessions", "accounts", "accounts"]


def test_balances_are_archived_and_none_is_none(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session(), Reply({"balances": [balance(), balance("?", "CLBD")]}))
    answer = bank.fetch_balances(SESSION, account(), archive=archived)
    assert [str(one.amount) for one in answer.balances] == ["1234.56"]
    assert [one.external_id for one in answer.quarantined] == ["CLBD"]
    assert [one.operation for one in archived] == ["accounts/balances"]

    stub.plays(Reply({"balances": []}))
    assert bank.fetch_balances(SESSION, account(), archive=archived).balances == ()
    stub.plays(failure("BALANCES_UNAVAILABLE"))
    with pytest.raises(ProductUnsupportedError):
        bank.fetch_balances(SESSION, account(), archive=archived)


def test_a_token_that_is_refused_is_signed_anew_once(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(failure("UNAUTHORIZED_ACCESS", 401), session())
    assert bank.fetch_status(SESSION, archive=archived).error_code is None

    stub.received.clear()
    stub.plays(failure("UNAUTHORIZED_ACCESS", 401))
    with pytest.raises(ConfigurationError):
        bank.fetch_status(SESSION, archive=archived)
    assert len(stub.received) == 2


@pytest.mark.parametrize(
    "code", ["EXPIRED_SESSION", "CLOSED_SESSION", "SESSION_DOES_NOT_EXIST", "WRONG_SESSION_STATUS"]
)
def test_nobody_is_sent_to_their_bank_before_the_session_says_so(
    bank: EnableBankingProvider, stub: Stub, archived: Archived, code: str
) -> None:
    stub.plays(session(), *[failure(code, 401)] * (2 if code[0] == "W" else 1), session())
    with pytest.raises(TransientError) as passing:
        bank.fetch_balances(SESSION, account(), archive=archived)
    assert (passing.value.code, passing.value.operation) == (code, "accounts/balances")

    stub.plays(*[failure(code, 401)] * (2 if code[0] == "W" else 1), session("EXPIRED"))
    with pytest.raises(ReauthRequiredError):
        bank.fetch_balances(SESSION, account(), archive=archived)


def test_without_a_present_user_nobody_is_said_to_be_present(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(session(), BALANCES)
    bank.fetch_balances(SESSION, account(), archive=archived)

    assert [name for one in stub.received for name in one.headers if "psu" in name] == []


@pytest.mark.parametrize(
    ("user", "required", "sent"),
    [
        (USER, None, ["psu-ip-address", "psu-user-agent"]),
        (USER, ["Psu-Ip-Address"], ["psu-ip-address", "psu-user-agent"]),
        (USER, ["Psu-Geo-Location"], []),
        (PresentUser("nowhere", "Browser/1"), None, []),
        (PresentUser("192.0.2.7", "Browser\r\nX: 1"), None, []),
        (
            PresentUser("2001:db8::7", "B", referer="https://a", accept_language="fi"),
            ["Psu-Referer", "Psu-Accept-language"],
            ["psu-accept-language", "psu-ip-address", "psu-referer", "psu-user-agent"],
        ),
    ],
)
def test_a_present_user_is_shown_whole_or_not_at_all(
    bank: EnableBankingProvider,
    stub: Stub,
    archived: Archived,
    user: PresentUser,
    required: list[str] | None,
    sent: list[str],
) -> None:
    stub.plays(session(), aspsps(aspsp(required_psu_headers=required)), BALANCES)
    bank.fetch_balances(SESSION, account(), archive=archived, present_user=user)

    asked = stub.received[2]
    assert asked.path == f"/accounts/{UID}/balances"
    assert sorted(name for name in asked.headers if "psu" in name) == sent
    earlier = [name for one in stub.received[:2] for name in one.headers]
    assert [name for name in earlier if "psu" in name] == []


def test_a_bank_that_fails_on_such_headers_gets_none(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    name = {"name": "HypoVereinsbank", "country": "DE"}
    stub.plays(session(aspsp=name), aspsps(aspsp(**name)), BALANCES)
    bank.fetch_balances(SESSION, account(), archive=archived, present_user=USER)

    assert [header for header in stub.received[2].headers if "psu" in header] == []


def test_the_limit_of_a_card_comes_with_what_is_left_of_it(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    card = account(type=AccountType.CREDIT_CARD)
    left = Reply({"balances": [balance("5900.00", "ITAV")]})
    details = Reply(account_json(cash_account_type="CARD", credit_limit=amount("7500")))
    stub.plays(session(aspsp={"name": "mBank S.A.", "country": "PL"}), left, details, left)

    for _ in range(2):  # the limit is asked for once
        answer = bank.fetch_balances(SESSION, card, archive=archived)
        assert [(one.kind, str(one.amount)) for one in answer.balances] == [
            (BalanceKind.AVAILABLE, "5900"),
            (BalanceKind.CREDIT_LIMIT, "7500"),
        ]
    assert len(stub.received) == 4


def test_the_list_of_banks_is_fetched_once_a_day_and_anew_on_demand(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(aspsp(), aspsp("Mock: ASPSP", beta=None), {"country": "FI"}))
    found = bank.fetch_institutions()
    assert [one.external_id for one in found.institutions] == ["FI:Nordea", "FI:Mock: ASPSP"]
    assert [one.reason for one in found.unreadable] == ["name: missing"]
    assert stub.received[0].path == "/aspsps?service=AIS"

    assert bank.fetch_institution("FI:Mock: ASPSP").name == "Mock: ASPSP"
    with pytest.raises(ConfigurationError, match="WRONG_ASPSP_PROVIDED"):
        bank.fetch_institution("FI:Nobody")
    assert len(stub.received) == 1


def test_health_is_an_active_application_and_links_need_our_address_besides(
    bank: EnableBankingProvider, stub: Stub, tmp_path: Path
) -> None:
    stub.plays(Reply(APPLICATION))
    bank.check_health()
    stub.plays(Reply(APPLICATION | {"active": False}))
    with pytest.raises(SetupError, match="not active"):
        bank.check_health()
    stub.plays(Reply(APPLICATION | {"redirect_urls": []}))
    bank.check_health()
    with pytest.raises(SetupError, match=r"https://books\.example/return"):
        bank.check_links()
    stub.plays(Reply({"code": 403, "message": "Application does not exist"}, 403))
    with pytest.raises(ConfigurationError, match="APPLICATION_DOES_NOT_EXIST"):
        bank.check_health()
    homeless = build_provider(stub.url, tmp_path, redirect_url=None)
    stub.plays(Reply(APPLICATION))
    homeless.check_links()
    homeless.close()


def test_what_it_can_do_is_said_as_data(bank: EnableBankingProvider) -> None:
    can = bank.capabilities
    for scope in (Scope.BALANCES, Scope.TRANSACTIONS):
        quota = can.quota(scope)
        assert quota is not None
        assert (quota.calls_max, quota.scheduled_max, quota.counts_failures) == (4, 2, True)
    assert can.quota(Scope.DETAILS) is None
    assert (can.has_pending, can.has_webhooks) == (True, False)
    assert can.overlap_days >= 14
    assert can.is_institution_chosen_first
    assert can.is_renewed_by_new_connection
    assert can.answers_present_users


def test_without_settings_it_is_off_and_says_how_to_switch_it_on(tmp_path: Path) -> None:
    cache = build_file_cache(tmp_path)
    with pytest.raises(SetupError, match="ENABLE_BANKING_APPLICATION_ID"):
        build_enable_banking(Settings(_env_file=None), cache)
    settings = Settings(
        _env_file=None,
        enable_banking_application_id="app",
        enable_banking_key_base64=SecretStr("bm8="),
    )
    with pytest.raises(SetupError, match="no private key"):
        build_enable_banking(settings, cache)


def test_no_secret_is_in_an_error_or_a_representation(
    bank: EnableBankingProvider, stub: Stub, archived: Archived
) -> None:
    stub.plays(failure("ACCESS_DENIED", 403))
    with pytest.raises(ConfigurationError) as caught:
        bank.fetch_status(SESSION, archive=archived)
    said = f"{caught.value} {caught.value!r} {json.dumps(vars(bank), default=repr)}"
    assert SESSION.get_secret_value() not in said
    assert "PRIVATE" not in said
    assert "Jane" not in said
