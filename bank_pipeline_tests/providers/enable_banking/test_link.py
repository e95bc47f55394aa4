"""Links: the bank first, the state back, the code once, and what is told only then."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.institution import CustomerKind
from bank_pipeline.errors import (
    AccountBlockedError,
    ConfigurationError,
    PayloadError,
    RateLimitedError,
    SetupError,
    TransientError,
)
from bank_pipeline.providers.base import LinkProgress
from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline_tests.providers.enable_banking.builders import (
    NOW,
    SESSION,
    UID,
    account_json,
    amount,
    aspsp,
    aspsps,
    build_provider,
    failure,
    link_request,
    new_session,
    session,
)
from bank_pipeline_tests.providers.stub import Reply, Stub, resets, truncates, unreachable

STARTED = Reply(
    {"url": "https://bank.example/welcome", "authorization_id": "a", "psu_id_hash": "h"}
)
STATE = SecretStr("state-1")
CODE = SecretStr("code-1")


def test_a_link_asks_for_the_banks_longest_consent(bank: EnableBankingProvider, stub: Stub) -> None:
    stub.plays(aspsps(), STARTED)
    start = bank.start_link(link_request(return_url="https://else.example/"))

    asked = stub.received[1]
    assert (asked.method, asked.path) == ("POST", "/auth")
    assert asked.body == {
        "access": {
            "valid_until": "2026-09-01T09:29:00+00:00",
            "balances": True,
            "transactions": True,
        },
        "aspsp": {"name": "Nordea", "country": "FI"},
        "state": "state-1",
        "redirect_url": "https://books.example/return",
        "psu_type": "personal",
        "psu_id": "team-42",
    }
    assert start.url == "https://bank.example/welcome"
    assert (start.external_state, start.expires_at) == (STATE, NOW + timedelta(hours=1))


def test_a_bank_for_businesses_alone_is_asked_for_as_one(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(aspsp(psu_types=["business"])), STARTED)
    bank.start_link(link_request())

    assert stub.received[1].body["psu_type"] == "business"


def test_a_bank_for_both_is_asked_for_whose_login_it_is(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(), STARTED)
    bank.start_link(link_request(customer_kind=CustomerKind.BUSINESS))

    assert stub.received[1].body["psu_type"] == "business"


def test_a_kind_of_login_that_a_bank_does_not_have_is_refused(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(aspsp(psu_types=["personal"])))
    with pytest.raises(SetupError, match="Nordea for personal logins only"):
        bank.start_link(link_request(customer_kind=CustomerKind.BUSINESS))
    assert [one.path for one in stub.received] == ["/aspsps?service=AIS"]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (session(psu_type="business"), "business"),
        (session(status="EXPIRED", psu_type="business"), "business"),
        (session(psu_type="personal"), "personal"),
        (session(psu_type=None), "personal"),
        (failure("SESSION_DOES_NOT_EXIST", 404), "personal"),
        (failure("EXPIRED_SESSION", 401), "personal"),
    ],
    ids=["business", "business, expired", "personal", "unsaid", "gone", "expired"],
)
def test_a_renewal_is_of_the_kind_that_its_session_was(
    bank: EnableBankingProvider, stub: Stub, told: Reply, kind: str
) -> None:
    stub.plays(aspsps(), told, STARTED)

    bank.start_link(link_request(renews=SESSION))

    assert stub.received[-1].path == "/auth"
    assert stub.received[-1].body["psu_type"] == kind


def test_a_renewal_does_not_begin_while_its_session_cannot_be_asked_whose_it_is(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    """Whoever has a company's login could do nothing at the page for persons."""
    stub.plays(aspsps(), Reply({}, status=503))

    with pytest.raises(TransientError):
        bank.start_link(link_request(renews=SESSION))

    assert "/auth" not in [one.path for one in stub.received]


def test_the_address_to_come_back_to_is_set_asked_for_or_the_gateways(
    stub: Stub, tmp_path: Path
) -> None:
    stub.plays(aspsps(), STARTED)
    gateway = build_provider(
        stub.url, tmp_path, redirect_url=None, gateway_url="https://gate.example/"
    )
    gateway.start_link(link_request())
    gateway.start_link(link_request(return_url="https://asked.example/"))
    homeless = build_provider(stub.url, tmp_path, redirect_url=None)
    with pytest.raises(SetupError, match="ENABLE_BANKING_REDIRECT_URL"):
        homeless.start_link(link_request())
    gateway.close()
    homeless.close()

    assert [one.body["redirect_url"] for one in stub.received[1:]] == [
        "https://gate.example/link/return/enable_banking",
        "https://asked.example/",
    ]


def test_without_a_bank_there_is_no_link(bank: EnableBankingProvider, stub: Stub) -> None:
    with pytest.raises(SetupError, match="bank-pipeline institutions search"):
        bank.start_link(link_request(None))
    assert stub.received == []
    stub.plays(aspsps())
    with pytest.raises(SetupError, match="FI:Gone"):
        bank.start_link(link_request("FI:Gone"))
    assert len(stub.received) == 2  # the list at hand might be old


def test_a_renamed_bank_makes_the_list_of_banks_be_fetched_anew(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(), failure("WRONG_ASPSP_PROVIDED", 422), aspsps(), STARTED)
    with pytest.raises(SetupError, match=r"change their names.*--institution"):
        bank.start_link(link_request())
    bank.start_link(link_request())

    assert [one.path for one in stub.received] == [
        "/aspsps?service=AIS",
        "/auth",
        "/aspsps?service=AIS",
        "/auth",
    ]


@pytest.mark.parametrize(
    ("returned", "progress"),
    [
        (None, LinkProgress(is_finished=False)),
        ({}, LinkProgress(is_finished=False)),
        ({"code": "code-1"}, LinkProgress(is_finished=False)),
        ({"code": "code-1", "state": "state-2"}, LinkProgress(is_finished=False)),
        ({"code": "code-1", "state": "stäte"}, LinkProgress(is_finished=False)),
        ({"state": "state-1"}, LinkProgress(is_finished=False)),
        (
            {"code": "code-1", "state": "state-1"},
            LinkProgress(is_finished=True, exchange_tokens=(CODE,)),
        ),
        (
            {"error": "access_denied", "error_description": "x", "state": "state-1"},
            LinkProgress(is_finished=True, exit_reason="access_denied"),
        ),
        (
            {"error": "<b>odd</b>", "code": "code-1", "state": "state-1"},
            LinkProgress(is_finished=True, exit_reason="EXITED"),
        ),
    ],
)
def test_only_who_was_sent_away_comes_back(
    bank: EnableBankingProvider,
    stub: Stub,
    returned: dict[str, str] | None,
    progress: LinkProgress,
) -> None:
    assert bank.fetch_link_progress(STATE, returned=returned) == progress
    assert stub.received == []


def test_the_exchange_yields_the_session_and_its_accounts(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    raws = [account_json(1, credit_limit=amount("2000.00")), account_json(2, uid=None)]
    stub.plays(new_session(*raws))
    linked = bank.complete_link(CODE)

    assert stub.received[0].body == {"code": "code-1"}
    assert (linked.external_id, linked.credential) == (SESSION.get_secret_value(), SESSION)
    assert (linked.institution_external_id, linked.institution_name) == ("FI:Nordea", "Nordea")
    assert linked.consent_expires_at == datetime(2026, 8, 30, 10, tzinfo=UTC)
    assert linked.accounts is not None
    assert [one.external_id for one in linked.accounts.accounts] == [UID, "hash-2"]
    assert [(one.kind, str(one.amount)) for one in linked.accounts.balances] == [
        (BalanceKind.CREDIT_LIMIT, "2000")
    ]
    assert linked.accounts.is_complete
    assert isinstance(linked.accounts.troubles["hash-2"], AccountBlockedError)
    assert linked.raw is not None
    assert b"hash-2" in linked.raw.body
    assert SESSION.get_secret_value().encode() not in linked.raw.body


def test_the_session_is_not_lost_for_what_comes_with_it(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    bad = account_json(1, identification_hash=None)
    stub.plays(new_session(bad, aspsp=None, access="odd", psu_type=3))
    linked = bank.complete_link(CODE)
    assert linked.credential == SESSION
    assert linked.institution_external_id is None
    assert linked.accounts is not None
    assert [one.external_id for one in linked.accounts.quarantined] == [UID]
    assert not linked.accounts.is_complete

    stub.plays(new_session(session_id=None))
    with pytest.raises(PayloadError, match="session_id"):
        bank.complete_link(CODE)


def test_an_exchange_whose_answer_is_lost_is_not_tried_again(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    for lost in (resets, truncates, Reply(b"", 502), Reply(b"<html>")):
        stub.received.clear()
        stub.plays(lost)
        with pytest.raises(ConfigurationError, match="CODE_SPENT"):
            bank.complete_link(CODE)
        assert len(stub.received) == 1


def test_an_exchange_that_was_never_sent_may_be_tried_again(tmp_path: Path) -> None:
    nowhere = build_provider("http://127.0.0.1:9", tmp_path)
    with pytest.raises(TransientError):
        nowhere.complete_link(CODE)
    nowhere.close()


def test_an_exchange_that_found_no_connection_in_time_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unreachable(monkeypatch) as url:
        nowhere = build_provider(url, tmp_path)
        with pytest.raises(TransientError):
            nowhere.complete_link(CODE)
        nowhere.close()


def test_a_refused_exchange_says_why(bank: EnableBankingProvider, stub: Stub) -> None:
    for code in ("ALREADY_AUTHORIZED", "EXPIRED_AUTHORIZATION_CODE", "NO_ACCOUNTS_ADDED"):
        stub.plays(failure(code, 422))
        with pytest.raises(ConfigurationError, match=code):
            bank.complete_link(CODE)
    stub.plays(failure("ASPSP_RATE_LIMIT_EXCEEDED", 429))
    with pytest.raises(RateLimitedError):
        bank.complete_link(CODE)


def test_a_disconnect_ends_the_session_or_finds_it_ended(
    bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(Reply({"message": "OK"}))
    bank.disconnect(SESSION)
    asked = stub.received[0]
    assert (asked.method, asked.path) == ("DELETE", f"/sessions/{SESSION.get_secret_value()}")
    for gone in (
        failure("SESSION_DOES_NOT_EXIST", 404),
        failure("CLOSED_SESSION", 401),
        failure("EXPIRED_SESSION", 401),
        failure("REVOKED_SESSION", 401),
        Reply({"message": "Not found"}, 404),
    ):
        stub.plays(gone)
        bank.disconnect(SESSION)
    stub.plays(failure("ACCESS_DENIED", 403))
    with pytest.raises(ConfigurationError, match="ACCESS_DENIED"):
        bank.disconnect(SESSION)
