"""Plaid's own examples and specification, where they lie beside the project."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from pydantic import SecretStr
from referencing import Registry
from referencing.jsonschema import DRAFT4

from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.providers.answers import ChangesAnswer, RawAnswer
from bank_pipeline.providers.exact_json import parse_json
from bank_pipeline.providers.plaid.client import parse_model, to_answer
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.providers.plaid.schemas import PlaidInstitutionAnswer, PlaidItemAnswer
from bank_pipeline.providers.plaid.transform import to_institution, to_status
from bank_pipeline_tests.builders import link_request
from bank_pipeline_tests.providers.plaid.builders import TOKEN, Archived, build_provider, page
from bank_pipeline_tests.providers.stub import Reply, Stub

SPEC_NAME = "openapi-2020-09-14.yml"


def documents(contracts: Path, endpoint: str) -> list[bytes]:
    files = [
        *(contracts / "plaid" / "golden").glob(f"{endpoint}.*"),
        *(contracts / "plaid" / "examples").glob(f"{endpoint}.*"),
    ]
    assert files, endpoint
    return [file.read_bytes() for file in files]


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield value


def spelt(value: Any) -> str:
    """One spelling for what is the same: 5 and 5.0, a time with Z and one with an offset."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float | Decimal):
        return format(abs(Decimal(str(value))).normalize(), "f")
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return moment.isoformat() if moment.tzinfo else str(value)


def lost(raw: dict[str, Any], row: Transaction) -> set[str]:
    kept = {spelt(leaf) for leaf in leaves(row.model_dump(mode="json"))}
    kept |= {spelt(raw["amount"]) if row.amount == -raw["amount"] else "", str(raw["pending"])}
    return {spelt(leaf) for leaf in leaves(raw)} - kept


def translated(body: bytes) -> ChangesAnswer:
    plaid = build_provider("http://127.0.0.1:9")
    return plaid.to_changes([RawAnswer("x", body, b"", None)], cursor_before=None)


def test_no_value_of_a_sync_answer_is_lost(contracts: Path) -> None:
    for body in documents(contracts, "transactions__sync"):
        parsed = parse_json(body)
        answer = translated(body)
        assert answer.quarantined == answer.accounts.quarantined == ()
        rows = {row.external_id: row for row in answer.delta.upserts}
        for raw in parsed["added"] + parsed["modified"]:
            assert lost(raw, rows[raw["transaction_id"]]) == set()
        assert {pair[1] for pair in answer.delta.removed} == {
            raw["transaction_id"] for raw in parsed["removed"]
        }
        assert len(answer.accounts.accounts) == len(parsed["accounts"])
        assert (answer.cursor_after or "") == parsed["next_cursor"]


def test_no_value_of_a_transactions_list_is_lost(contracts: Path) -> None:
    for body in documents(contracts, "transactions__get"):
        raws = parse_json(body)["transactions"]
        envelope = page(added=json.loads(body)["transactions"])
        answer = translated(json.dumps(envelope).encode())
        assert answer.quarantined == ()
        for raw, row in zip(raws, answer.delta.upserts, strict=True):
            assert lost(raw, row) == set()


@pytest.mark.parametrize("endpoint", ["accounts__get", "accounts__balance__get"])
def test_accounts_are_read_whole(
    contracts: Path, stub: Stub, plaid: PlaidProvider, endpoint: str
) -> None:
    for body in documents(contracts, endpoint):
        stub.plays(Reply(body))
        answer = plaid.fetch_accounts(TOKEN, archive=Archived())
        raws = parse_json(body)["accounts"]
        assert answer.is_complete
        assert len(answer.accounts) == len(raws)
        stated = [
            raw["balances"][word]
            for raw in raws
            for word in ("current", "available", "limit")
            if raw["balances"][word] is not None
        ]
        assert [abs(balance.amount) for balance in answer.balances] == [abs(n) for n in stated]
        assert answer.status is not None
        item = json.loads(body)["item"]
        assert answer.status.institution_external_id == item["institution_id"]


def test_items_are_read(contracts: Path) -> None:
    for body in documents(contracts, "item__get"):
        answer = to_answer("item/get", body)
        status = to_status(parse_model(PlaidItemAnswer, answer))
        item = answer.body["item"]
        assert status.institution_external_id == item["institution_id"]
        assert (status.error_code is None) == (item["error"] is None)
        assert status.last_refreshed_at is not None


def test_institutions_are_read(contracts: Path) -> None:
    for body in documents(contracts, "institutions__get_by_id"):
        answer = to_answer("institutions/get_by_id", body)
        institution = to_institution(parse_model(PlaidInstitutionAnswer, answer).institution)
        assert institution.name == "Houndstooth Bank"


def test_links_are_read(contracts: Path, stub: Stub, plaid: PlaidProvider) -> None:
    for body in documents(contracts, "link__token__get"):
        stub.plays(Reply(body))
        progress = plaid.fetch_link_progress(SecretStr("link-1"))
        assert progress.is_finished
        assert len(progress.exchange_tokens) == 2
    for body in documents(contracts, "item__public_token__exchange"):
        stub.plays(Reply(body))
        linked = plaid.complete_link(SecretStr("public-1"))
        assert linked.external_id == json.loads(body)["item_id"]


@pytest.fixture(scope="session")
def specification(contracts: Path) -> dict[str, Any]:
    with (contracts / "plaid" / SPEC_NAME).open() as file:
        parsed: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return parsed


def test_every_request_is_valid_by_the_official_specification(
    specification: dict[str, Any], stub: Stub, plaid: PlaidProvider
) -> None:
    created = {"link_token": "l", "expiration": "2026-03-05T16:00:00Z", "hosted_link_url": "u"}
    item = {"item": {"item_id": "i", "error": None}}
    stub.plays(
        Reply(page(has_more=True, next_cursor="next")),
        Reply(page()),
        Reply(item),
        Reply({"accounts": []}),
        Reply({"institution": {"institution_id": "i", "name": "n", "country_codes": []}}),
        Reply({}),
        Reply(created),
        Reply(created),
        Reply({"link_sessions": []}),
        Reply({"access_token": "a", "item_id": "i"}),
        Reply({}),
    )
    plaid.fetch_changes(TOKEN, cursor=None, archive=Archived())
    plaid.fetch_status(TOKEN, archive=Archived())
    plaid.fetch_accounts(TOKEN, archive=Archived())
    plaid.fetch_institution("ins_1")
    plaid.check_health()
    plaid.start_link(link_request("t", renews=None, return_url="https://example.com"))
    plaid.start_link(link_request("t", renews=TOKEN, return_url=None))
    plaid.fetch_link_progress(SecretStr("link-1"))
    plaid.complete_link(SecretStr("public-1"))
    plaid.disconnect(TOKEN)

    resource = DRAFT4.create_resource(specification)
    registry: Registry[Any] = Registry().with_resource("urn:plaid", resource)
    assert len(stub.received) == 11
    for request in stub.received:
        operation = specification["paths"][request.path]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        reference = {"$ref": "urn:plaid" + schema["$ref"]}
        validator = OAS30Validator(reference, registry=registry)
        assert list(validator.iter_errors(request.body)) == [], request.path
        assert list(validator.iter_errors({})), "the specification demands something of each"
        properties = specification["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        assert set(request.body) <= set(properties["properties"]), request.path
