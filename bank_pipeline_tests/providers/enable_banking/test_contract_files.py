"""Enable Banking's own specification, where it lies beside the project."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from bank_pipeline.providers.enable_banking.provider import EnableBankingProvider
from bank_pipeline.providers.enable_banking.schemas import (
    EbAccount,
    EbAspsp,
    EbBalance,
    EbSession,
    EbSessionAccount,
    EbTransaction,
)
from bank_pipeline.providers.fields import Schema
from bank_pipeline_tests.providers.enable_banking.builders import (
    UID,
    account_json,
    amount,
    aspsp,
    aspsps,
    balance,
    link_request,
    session,
    transaction,
)
from bank_pipeline_tests.providers.stub import Reply, Stub

RESOURCES: list[tuple[str, type[Schema], dict[str, Any]]] = [
    ("Transaction", EbTransaction, transaction(status="PDNG")),
    ("AccountResource", EbAccount, account_json()),
    ("BalanceResource", EbBalance, balance()),
    ("SessionAccount", EbSessionAccount, {"uid": UID, "identification_hash": "h"}),
    ("GetSessionResponse", EbSession, session().body),
    ("ASPSPData", EbAspsp, aspsp()),
]


@pytest.fixture(scope="module")
def spec(contracts: Path) -> Any:
    return yaml.safe_load((contracts / "openapi.yml").read_text())


def schema(spec: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = spec["components"]["schemas"][name]
    return found


@pytest.mark.parametrize(("name", "model", "whole"), RESOURCES, ids=[one[0] for one in RESOURCES])
def test_whatever_is_not_required_may_be_null_or_missing(
    spec: Any, name: str, model: type[Schema], whole: dict[str, Any]
) -> None:
    """The specification declares nothing nullable; the live interface sends nulls all the same."""
    declared = schema(spec, name)
    required = {*declared.get("required", ())}
    kept = {key: value for key, value in whole.items() if key in required}
    nulls = dict.fromkeys({*declared["properties"]} - required)
    for row in (kept | nulls, kept):
        assert model.model_validate(row).model_fields_set <= {*row}


def test_every_status_and_direction_of_the_specification_is_read(spec: Any) -> None:
    for status in schema(spec, "TransactionStatus")["enum"]:
        for indicator in schema(spec, "CreditDebitIndicator")["enum"]:
            row = transaction(
                status=status, credit_debit_indicator=indicator, transaction_amount=amount("1")
            )
            assert EbTransaction.model_validate(row).status == status


def test_what_a_link_sends_fits_the_specification(
    spec: Any, bank: EnableBankingProvider, stub: Stub
) -> None:
    stub.plays(aspsps(), Reply({"url": "https://bank.example/"}))
    bank.start_link(link_request())

    resource = DRAFT202012.create_resource(spec)
    validator = OAS31Validator(
        {"$ref": "spec:#/components/schemas/StartAuthorizationRequest"},
        registry=Registry().with_resource("spec:", resource),
    )
    faults = [fault.message for fault in validator.iter_errors(stub.received[1].body)]
    assert faults == []
    assert not validator.is_valid({**stub.received[1].body, "psu_type": "robot"})
