"""GoCardless's own examples and specification, where they lie beside the project."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from bank_pipeline.providers.gocardless.provider import GoCardlessProvider
from bank_pipeline_tests.builders import link_request
from bank_pipeline_tests.providers.gocardless.builders import (
    REQUISITION,
    TOKEN_REPLY,
    Archived,
    account,
    agreement,
    answered,
    institution,
    requisition,
    window,
)
from bank_pipeline_tests.providers.stub import Reply, Stub


@pytest.fixture(scope="module")
def examples(contracts: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((contracts / "mock-responses.json").read_bytes())
    return parsed


def test_two_rows_that_share_an_id_are_both_kept(examples: dict[str, Any]) -> None:
    said = examples["AccountsEndpointMockData"]["GetTransactions"]["transactions"]
    answer = answered(said["booked"], said["pending"], bank="SANDBOXFINANCE_SFIN0000")
    assert answer.quarantined == ()
    assert len(answer.transactions) == 3
    assert len({one.external_id for one in answer.transactions}) == 3


def test_accounts_and_balances_are_read(
    examples: dict[str, Any], stub: Stub, gocardless: GoCardlessProvider
) -> None:
    said = examples["AccountsEndpointMockData"]
    linked = examples["RequisitionsEndpointMockData"]["GetRequisition"] | {"status": "LN"}
    one = linked | {"accounts": linked["accounts"][:1]}
    stub.plays(
        TOKEN_REPLY, Reply(one), Reply(said["GetAccount"]), Reply(said["GetAccountDetails"]),
        Reply(examples["AgreementsEndpointMockData"]["GetAgreement"]),
        Reply(said["GetBalances"]),
    )  # fmt: skip
    answer = gocardless.fetch_accounts(REQUISITION, archive=Archived())
    assert answer.accounts[0].stable_external_ids == ("iban:GL2010440000010445",)
    assert answer.status is not None
    assert answer.status.consent_expires_at is not None
    balances = gocardless.fetch_balances(REQUISITION, answer.accounts[0], archive=Archived())
    assert {one.provider_type for one in balances.balances} >= {
        "closingAvailable",
        "forwardAvailable",
    }


def test_banks_are_read(
    examples: dict[str, Any], stub: Stub, gocardless: GoCardlessProvider
) -> None:
    said = examples["InstitutionsEndpointMockData"]
    stub.plays(TOKEN_REPLY, Reply(said["GetInstitutions"]), Reply(said["GetInstitution"]))
    assert len(gocardless.fetch_institutions().institutions) == 1
    assert gocardless.fetch_institution("N26_NTSBDEB1").history_days_max == 90


def test_every_request_is_valid_by_the_official_specification(
    contracts: Path, stub: Stub, gocardless: GoCardlessProvider
) -> None:
    specification = json.loads((contracts / "openapi.json").read_bytes())
    stub.plays(
        TOKEN_REPLY, Reply(institution()), Reply(agreement()), Reply(requisition("CR")),
        Reply({"balances": []}), Reply(agreement()), Reply({"transactions": {"booked": []}}),
        Reply([]), Reply({}), Reply({}),
    )  # fmt: skip
    request = link_request("t", institution="X", return_url="https://books.example.com")
    gocardless.start_link(request)
    stub.replies.insert(0, Reply(requisition()))
    gocardless.fetch_balances(REQUISITION, account(), archive=Archived())
    gocardless.fetch_window(REQUISITION, account(), window(), archive=Archived())
    gocardless.fetch_institutions()
    gocardless.check_health()
    gocardless.disconnect(REQUISITION)
    registry: Registry[Any] = Registry().with_resource(
        "urn:gc", DRAFT4.create_resource(specification)
    )
    checked = 0
    for sent in stub.received:
        path, _, query = sent.path.partition("?")
        operation = specification["paths"][_template(path)][sent.method.lower()]
        known = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert {part.partition("=")[0] for part in query.split("&") if part} <= known, path
        if sent.body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            validator = OAS30Validator({"$ref": "urn:gc" + schema["$ref"]}, registry=registry)
            # Our ids in these tests are names, not UUIDs: formats are not looked at.
            assert list(validator.iter_errors(sent.body)) == [], path
            name = schema["$ref"].rsplit("/", 1)[1]
            assert set(sent.body) <= set(
                specification["components"]["schemas"][name]["properties"]
            ), path
            checked += 1
    assert checked == 3
    assert len(stub.received) == 11


def _template(path: str) -> str:
    """Return a path as the specification writes it: ids as {id}."""
    parts = path.split("/")
    names = {"api", "v2", "token", "new", "institutions", "agreements", "enduser", "requisitions",
             "accounts", "balances", "transactions", ""}  # fmt: skip
    return "/".join(part if part in names else "{id}" for part in parts)
