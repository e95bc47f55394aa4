"""Claims about institutions and agreements: bounds, refusals in all their shapes, acceptance."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bank_pipeline.sandbox.gocardless.bank_table import INSTITUTIONS, ORDINARY
from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline_tests.sandbox.gocardless.caller import GERMAN, Caller


@pytest.fixture(scope="module")
def shared_caller(gocardless: SandboxServer) -> Iterator[Caller]:
    with Caller(gocardless) as one:
        yield one


def refusal(caller: Caller, **terms: object) -> dict[str, object]:
    status, body = caller.refused("POST", "agreements/enduser/", **terms)
    assert (status, body.pop("status_code")) == (400, 400)
    return dict(body)


def test_institutions_tell_numbers_as_texts_and_can_be_filtered(caller: Caller) -> None:
    everywhere = caller.get("institutions/")
    british = caller.get("institutions/", country="gb")
    selecting = caller.get("institutions/", country="DE", account_selection_supported="true")
    once = caller.get("institutions/", separate_continuous_history_consent_supported="true")
    german = caller.get(f"institutions/{GERMAN}/")
    unselecting = caller.get("institutions/", country="DE", account_selection_supported="false")

    assert {one["id"] for one in everywhere} == set(INSTITUTIONS)
    assert ORDINARY["gb-meridian"] in {one["id"] for one in british}
    assert all("GB" in one["countries"] for one in british)
    assert GERMAN in {one["id"] for one in selecting}
    assert GERMAN not in {one["id"] for one in unselecting}
    assert "AMERICAN_EXPRESS_AESUDEF1" in {one["id"] for one in unselecting}
    assert not {one["id"] for one in selecting} & {one["id"] for one in unselecting}
    assert "COOP_EKRDEE22" in {one["id"] for one in once}
    assert (german["transaction_total_days"], german["max_access_valid_for_days"]) == ("730", "180")


def test_refusals_of_institutions(caller: Caller) -> None:
    country = caller.refused("GET", "institutions/?country=US")
    field = caller.refused("GET", "institutions/?trace=1")
    unknown = caller.refused("GET", "institutions/NOBODY_XX/")

    assert country[1]["country"]["detail"] == "US is not a valid choice."
    assert field[1]["detail"] == "Unknown fields {trace} in {query}"
    assert unknown == (404, {"summary": "Not found.", "detail": "Not found.", "status_code": 404})


def test_an_agreement_is_unaccepted_and_has_the_documented_defaults(caller: Caller) -> None:
    made = caller.make("agreements/enduser/", institution_id=GERMAN)

    assert made["accepted"] is None
    assert (made["max_historical_days"], made["access_valid_for_days"]) == (90, 90)
    assert made["access_scope"] == ["balances", "details", "transactions"]
    assert caller.get(f"agreements/enduser/{made['id']}/") == made
    assert caller.get(f"agreements/enduser/{made['id']}") == made


def test_bounds_come_from_the_institution_and_are_told_by_field(caller: Caller) -> None:
    both = refusal(
        caller,
        institution_id="SANDBOXFINANCE_SFIN0000",
        max_historical_days=91,
        access_valid_for_days=181,
    )
    liar = refusal(caller, institution_id="RABOBANK_RABONL2U", access_valid_for_days=180)

    assert both == {
        "max_historical_days": {
            "summary": "Incorrect max_historical_days",
            "detail": "max_historical_days must be > 0 and <= SANDBOXFINANCE_SFIN0000"
            " transaction_total_days (90)",
        },
        "access_valid_for_days": {
            "summary": "Incorrect access_valid_for_days",
            "detail": "access_valid_for_days must be > 0 and <= 180",
        },
    }
    told = caller.get("institutions/RABOBANK_RABONL2U/")
    assert told["max_access_valid_for_days"] == "180"
    assert "<= 90" in str(liar["access_valid_for_days"])
    caller.make("agreements/enduser/", institution_id="RABOBANK_RABONL2U", access_valid_for_days=90)


def test_other_refusals_have_the_shapes_seen_live(caller: Caller, quiet_caller: Caller) -> None:
    assert refusal(caller, max_historical_days=30) == {
        "institution_id": ["This field is required."]
    }
    unknown = refusal(caller, institution_id="NOBODY")
    assert "Unknown Institution ID NOBODY" in str(unknown["institution_id"])
    scope = refusal(caller, institution_id=GERMAN, access_scope=["everything"])
    assert "Unknown value 'everything'" in str(scope["access_scope"])
    together = refusal(caller, institution_id="MBANK_RETAIL_BREXPLPW", access_scope=["details"])
    assert together["summary"] == ["Institution access scope dependencies error"]
    field = refusal(caller, institution_id=GERMAN, trace=1)
    assert field["detail"] == "Unknown fields {trace} in {body}"
    quiet_caller.switch("settings", errors_as_lists=True)
    listed = refusal(quiet_caller, institution_id=GERMAN, access_valid_for_days=999)
    assert isinstance(listed["access_valid_for_days"], list)
    quiet_caller.switch("settings", payment_required=True)
    unpaid = quiet_caller.refused("POST", "agreements/enduser/", institution_id=GERMAN)
    assert unpaid[0] == 402


def test_lists_are_paged(quiet_caller: Caller) -> None:
    made = [quiet_caller.make("agreements/enduser/", institution_id=GERMAN)["id"] for _ in range(5)]

    first = quiet_caller.get("agreements/enduser/", limit="2")
    second = quiet_caller.http.get(first["next"]).json()
    third = quiet_caller.http.get(second["next"]).json()

    pages = [first, second, third]
    assert [one["id"] for page in pages for one in page["results"]] == made[::-1]
    assert (first["count"], first["previous"], third["next"]) == (5, None, None)


def test_most_companies_may_not_accept_and_nobody_twice(quiet_caller: Caller) -> None:
    made = quiet_caller.make("agreements/enduser/", institution_id=GERMAN)
    path, body = (
        f"agreements/enduser/{made['id']}/accept/",
        {"user_agent": "x", "ip_address": "127.0.0.1"},
    )

    assert quiet_caller.refused("PUT", path, **body)[1]["summary"] == "Insufficient permissions"
    quiet_caller.switch("settings", may_accept=True)
    accepted = quiet_caller.http.put(path, json=body)
    assert accepted.json()["accepted"] == "2026-03-02T09:30:00Z"
    assert quiet_caller.refused("PUT", path, **body)[0] == 405


def test_a_deleted_agreement_is_gone(caller: Caller) -> None:
    made = caller.make("agreements/enduser/", institution_id=GERMAN)
    gone = caller.http.delete(f"agreements/enduser/{made['id']}").json()

    assert gone["detail"] == f"End User Agreement {made['id']} deleted"
    assert caller.refused("GET", f"agreements/enduser/{made['id']}/")[0] == 404
    invalid = caller.refused("GET", "agreements/enduser/nonsense/")
    assert invalid[1]["summary"] == "Invalid EndUserAgreement ID"


def test_a_british_consent_lasts_longer_when_it_is_reconfirmed(
    quiet: SandboxServer, quiet_caller: Caller
) -> None:
    terms = {"institution_id": "MONZO_MONZGB2L", "access_valid_for_days": 365}
    too_long = refusal(quiet_caller, **terms)
    too_short = refusal(
        quiet_caller, institution_id="MONZO_MONZGB2L", access_valid_for_days=90, reconfirmation=True
    )
    unsupported = refusal(quiet_caller, institution_id=GERMAN, reconfirmation=True)
    linked = quiet_caller.link(
        "MONZO_MONZGB2L", login="login-3", access_valid_for_days=365, reconfirmation=True
    )
    quiet.advance(timedelta(days=80))
    with Caller(quiet) as later:
        asked = later.make(f"agreements/enduser/{linked.agreement}/reconfirm/")
        assert later.browser.post(asked["reconfirmation_url"]).status_code == 302
        quiet.advance(timedelta(days=80))
    with Caller(quiet) as later:
        assert later.get(f"requisitions/{linked.id}/")["status"] == "LN"
        quiet.advance(timedelta(days=11))
    with Caller(quiet) as later:
        assert later.get(f"requisitions/{linked.id}/")["status"] == "EX"

    assert "<= 90" in str(too_long["access_valid_for_days"])
    assert "Reconfirmation is not allowed" in str(too_short["reconfirmation"])
    assert "not supported" in str(unsupported["reconfirmation"])


@pytest.mark.parametrize("institution_id", sorted(INSTITUTIONS))
def test_every_institution_can_be_agreed_with_at_its_own_bounds(
    caller: Caller, institution_id: str
) -> None:
    one = INSTITUTIONS[institution_id]

    made = caller.make(
        "agreements/enduser/",
        institution_id=institution_id,
        max_historical_days=one.total_days,
        access_valid_for_days=one.access_bound,
    )

    assert made["max_historical_days"] == one.total_days


_ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 800),
    st.floats(0, 9, allow_nan=False),
    st.sampled_from([GERMAN, "http://[", "x://y", "", "EN", "details"]),
    st.text(max_size=8).filter(str.isprintable),
    st.lists(st.sampled_from(["details", "x", 1, None, []]), max_size=2),
    st.just({"a": 1}),
)
_FIELDS = (
    "institution_id", "max_historical_days", "access_valid_for_days", "access_scope",
    "reconfirmation", "redirect", "reference", "agreement", "user_language", "ssn",
    "account_selection", "trace",
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(["agreements/enduser/", "requisitions/", "token/new/", "token/refresh/"]),
    body=st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING, max_size=6),
)
@example(path="requisitions/", body={"redirect": "http://["})
def test_no_request_is_too_odd_for_an_answer_in_json(
    shared_caller: Caller, path: str, body: dict[str, object]
) -> None:
    answer = shared_caller.http.post(path, json=body)

    assert answer.status_code in (201, 400, 401, 404)
    assert isinstance(answer.json(), dict)
