"""A link asks for what the bank gives, settles for less only where that is the trouble."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bank_pipeline.config import Settings
from bank_pipeline.errors import (
    ConfigurationError,
    PayloadError,
    ProviderError,
    ReauthRequiredError,
    SetupError,
)
from bank_pipeline.providers.cache import build_file_cache
from bank_pipeline.providers.gocardless.provider import GoCardlessProvider, build_gocardless
from bank_pipeline_tests.builders import link_request
from bank_pipeline_tests.providers.gocardless.builders import (
    REQUISITION,
    SECRET,
    TOKEN_REPLY,
    agreement,
    build_provider,
    details,
    institution,
    metadata,
    refusal,
    requisition,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

BACK = "https://books.example.com/back"
REQUEST = link_request("team-1", institution="REVOLUT_REVOLT21", return_url=BACK)
AGREED = Reply(agreement(accepted=None), 201)
CREATED = Reply(requisition("CR", accounts=[]), 201)

VALIDITY = {"summary": "Incorrect", "detail": "access_valid_for_days must be > 0 and <= 90"}
HISTORY = {
    "summary": "Incorrect max_historical_days",
    "detail": "max_historical_days must be > 0 and <= SFIN0000 transaction_total_days (90)",
}


def refused(**fields: Any) -> Reply:
    return Reply(fields | {"status_code": 400}, 400)


def asked(stub: Stub, part: str) -> list[Any]:
    return [request.body for request in stub.received if part in request.path and request.body]


def terms(stub: Stub) -> list[tuple[int, int]]:
    return [
        (body["max_historical_days"], body["access_valid_for_days"])
        for body in asked(stub, "agreements")
    ]


def test_a_link_is_an_agreement_and_a_requisition(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, Reply(institution()), AGREED, CREATED)
    start = gocardless.start_link(REQUEST)
    assert start.url.startswith("https://ob.gocardless.com/")
    assert start.external_state == REQUISITION
    assert start.expires_at == REQUEST.now + timedelta(hours=24)
    assert asked(stub, "agreements") == [
        {
            "institution_id": "REVOLUT_REVOLT21",
            "max_historical_days": 730,
            "access_valid_for_days": 180,
            "access_scope": ["balances", "details", "transactions"],
        }
    ]
    assert asked(stub, "requisitions") == [
        {
            "redirect": BACK,
            "institution_id": "REVOLUT_REVOLT21",
            "agreement": "agreement-1",
            "reference": "state-1",
        }
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"transaction_total_days": "540", "max_access_valid_for_days": "90"}, (540, 90)),
        ({"max_access_valid_for_days": None}, (730, 180)),
        ({"transaction_total_days": None}, (90, 180)),
        ({"supported_features": ["separate_continuous_history_consent"]}, (90, 180)),
        (
            {
                "supported_features": ["separate_continuous_history_consent"],
                "transaction_total_days": "60",
            },
            (60, 180),
        ),
    ],
)
def test_a_bank_is_asked_for_the_most_that_it_goes_on_giving(
    stub: Stub, gocardless: GoCardlessProvider, fields: dict[str, Any], expected: tuple[int, int]
) -> None:
    stub.plays(TOKEN_REPLY, Reply(institution(**fields)), AGREED, CREATED)
    gocardless.start_link(REQUEST)
    assert terms(stub) == [expected]


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        ([refused(access_valid_for_days=VALIDITY)], [(730, 180), (730, 90)]),
        ([refused(access_valid_for_days=[VALIDITY])], [(730, 180), (730, 90)]),
        ([refused(access_valid_for_days=["must be <= 90"])], [(730, 180), (730, 90)]),
        ([refused(access_valid_for_days=["too long"])], [(730, 180), (730, 90)]),
        ([refused(max_historical_days=HISTORY)], [(730, 180), (90, 180)]),
        (
            [refused(max_historical_days=HISTORY, access_valid_for_days=VALIDITY)],
            [(730, 180), (90, 90)],
        ),
        (
            6 * [refused(max_historical_days=["no"])],
            [(days, 180) for days in (730, 365, 180, 89, 60, 30)],
        ),
    ],
)
def test_terms_are_lowered_to_what_a_refusal_names_or_step_by_step(
    stub: Stub,
    gocardless: GoCardlessProvider,
    refusals: list[Reply],
    expected: list[tuple[int, int]],
) -> None:
    stub.plays(TOKEN_REPLY, Reply(institution()), *refusals, AGREED, CREATED)
    if len(refusals) > 1:
        with pytest.raises(ConfigurationError):
            gocardless.start_link(REQUEST)
    else:
        gocardless.start_link(REQUEST)
    assert terms(stub) == expected


@pytest.mark.parametrize(
    "refusal_",
    [
        refused(institution_id=["This field is required."], access_valid_for_days=VALIDITY),
        refused(institution_id={"summary": "Unknown Institution ID X"}),
        refused(access_scope=[{"summary": "Unknown value"}]),
        refusal("Payment Required", 402),
        refusal("You do not have permission to enable reconfirmation.", 403),
        refusal("Rate limit exceeded", 429),
        refusal("Institution is not operational", 503, type="ServiceError"),
    ],
)
def test_any_other_refusal_is_told_at_once(
    stub: Stub, gocardless: GoCardlessProvider, refusal_: Reply
) -> None:
    stub.plays(TOKEN_REPLY, Reply(institution()), refusal_)
    with pytest.raises(ProviderError):
        gocardless.start_link(REQUEST)
    assert len(terms(stub)) == 1


def test_a_requisition_whose_answer_was_lost_is_found_by_our_reference(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    taken = {"summary": "Client reference must be unique", "detail": "state-1 already exists"}
    other = requisition("CR", id="other", reference="state-2")
    stub.plays(
        TOKEN_REPLY,
        Reply(institution()),
        AGREED,
        refused(reference=taken),
        Reply({"count": 2, "next": "https://x", "results": [other, None]}),
        Reply({"count": 2, "next": None, "results": [requisition("CR")]}),
    )
    assert gocardless.start_link(REQUEST).external_state == REQUISITION
    assert stub.received[-1].path == "/api/v2/requisitions/?limit=100&offset=100"


def test_a_reference_that_is_taken_and_not_found_is_told(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(
        TOKEN_REPLY,
        Reply(institution()),
        AGREED,
        refused(reference=["This field may not be blank."]),
        Reply({"count": 0, "next": None, "results": []}),
    )
    with pytest.raises(ConfigurationError):
        gocardless.start_link(REQUEST)


def test_a_requisition_without_a_link_is_an_error(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(TOKEN_REPLY, Reply(institution()), AGREED, Reply(requisition("CR", link=None)))
    with pytest.raises(PayloadError, match="NO_LINK"):
        gocardless.start_link(REQUEST)


def test_a_link_needs_a_bank_and_a_way_back(stub: Stub, tmp_path: Path) -> None:
    provider = build_provider(stub.url, tmp_path)
    with pytest.raises(SetupError, match="bank"):
        provider.start_link(link_request("team-1", return_url=BACK))
    with pytest.raises(SetupError, match="GOCARDLESS_REDIRECT_URL"):
        provider.start_link(link_request("team-1", institution="X"))
    assert stub.received == []
    provider.close()


def test_a_bank_that_gocardless_does_not_know_is_named_with_what_to_do(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    unknown = {"summary": "Not found.", "detail": "Not found.", "status_code": 404}
    stub.plays(TOKEN_REPLY, Reply(unknown, 404))
    with pytest.raises(SetupError, match=r"no bank 'NOBODY_X'.*institutions search"):
        gocardless.start_link(link_request("team-1", institution="NOBODY_X", return_url=BACK))


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"GOCARDLESS_REDIRECT_URL": "https://own.example.com/r"}, "https://own.example.com/r"),
        (
            {"gateway_url": "https://gate.example.com/"},
            "https://gate.example.com/link/return/gocardless",
        ),
    ],
)
def test_the_way_back_is_the_settings_unless_a_link_names_one(
    stub: Stub, tmp_path: Path, settings: dict[str, str], address: str
) -> None:
    keys = {"GOCARDLESS_SECRET_ID": "secret-id-1", "GOCARDLESS_SECRET_KEY": SECRET}
    named: dict[str, Any] = {"GOCARDLESS_BASE_URL": stub.url, **keys, **settings}
    configured = Settings(_env_file=None, **named)
    provider = build_gocardless(configured, build_file_cache(tmp_path))
    stub.plays(TOKEN_REPLY, Reply(institution()), AGREED, CREATED)
    provider.start_link(link_request("team-1", institution="REVOLUT_REVOLT21"))
    assert asked(stub, "requisitions")[0]["redirect"] == address
    provider.close()


def test_without_keys_gocardless_is_off_and_says_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Enable Banking"):
        build_gocardless(Settings(_env_file=None), build_file_cache(tmp_path))


@pytest.mark.parametrize("status", ["CR", "GC", "UA", "SA", "GA", "ID", "NEW"])
def test_a_customer_who_is_still_at_it_has_not_finished(
    stub: Stub, gocardless: GoCardlessProvider, status: str
) -> None:
    # It may list accounts already: its status decides, and so does not the address.
    stub.plays(TOKEN_REPLY, Reply(requisition(status)))
    progress = gocardless.fetch_link_progress(REQUISITION, returned={"ref": "state-1"})
    assert (progress.is_finished, progress.exchange_tokens) == (False, ())


@pytest.mark.parametrize("status", ["RJ", "ER", "EX", "SU"])
def test_a_link_that_failed_says_how(
    stub: Stub, gocardless: GoCardlessProvider, status: str
) -> None:
    stub.plays(TOKEN_REPLY, Reply(requisition(status)))
    progress = gocardless.fetch_link_progress(REQUISITION)
    assert (progress.is_finished, progress.exit_reason) == (True, status)
    assert progress.exchange_tokens == ()
    with pytest.raises(ReauthRequiredError):
        gocardless.complete_link(REQUISITION)


def test_a_linked_requisition_is_taken_over_with_its_accounts(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    stub.plays(
        TOKEN_REPLY,
        Reply(requisition()),
        Reply(requisition()),
        Reply(metadata()),
        Reply(details()),
        Reply(agreement()),
        Reply(institution()),
    )
    progress = gocardless.fetch_link_progress(REQUISITION)
    linked = gocardless.complete_link(progress.exchange_tokens[0])
    assert linked.external_id == REQUISITION.get_secret_value()
    assert linked.credential == REQUISITION
    assert linked.institution_external_id == "REVOLUT_REVOLT21"
    assert linked.institution_name == "Revolut"
    assert linked.consent_expires_at is not None
    assert linked.accounts is not None
    assert [one.name for one in linked.accounts.accounts] == ["Private account"]
    assert linked.raw is not None
    assert REQUISITION.get_secret_value().encode() not in linked.raw.body
    assert b'"cashAccountType": "CACC"' in linked.raw.body


def test_a_link_that_is_made_is_not_lost_for_want_of_its_accounts(
    stub: Stub, gocardless: GoCardlessProvider
) -> None:
    limited = refusal("Rate limit exceeded", 429)
    stub.plays(TOKEN_REPLY, Reply(requisition()), limited)
    linked = gocardless.complete_link(REQUISITION)
    assert linked.credential == REQUISITION
    assert (linked.accounts, linked.raw, linked.institution_name) == (None, None, None)


@pytest.mark.parametrize("reply", [Reply({"summary": "deleted"}), refusal("Not found.", 404)])
def test_a_requisition_is_deleted_even_if_it_is_gone(
    stub: Stub, gocardless: GoCardlessProvider, reply: Reply
) -> None:
    stub.plays(TOKEN_REPLY, reply)
    gocardless.disconnect(REQUISITION)
    request = stub.received[-1]
    assert request.method == "DELETE"
    assert request.path == f"/api/v2/requisitions/{REQUISITION.get_secret_value()}/"


def test_a_deletion_that_failed_is_told(stub: Stub, gocardless: GoCardlessProvider) -> None:
    stub.plays(TOKEN_REPLY, refusal("IP address access denied", 403))
    with pytest.raises(ConfigurationError):
        gocardless.disconnect(SecretStr("x"))
