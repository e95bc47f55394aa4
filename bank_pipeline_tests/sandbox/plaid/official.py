"""The two judges of the simulator's answers: Plaid's client library and Plaid's OpenAPI."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import plaid
import pytest
import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from plaid.api import plaid_api
from referencing import Registry
from referencing.jsonschema import DRAFT4

_SPECIFICATION = (
    Path(__file__).parents[3].parent / "shared" / "contracts" / "plaid" / "openapi-2020-09-14.yml"
)
_URI = "urn:plaid"


def client(url: str) -> tuple[plaid_api.PlaidApi, plaid.ApiClient]:
    """Return Plaid's own client, pointed at a sandbox."""
    keys = {"clientId": "sandbox-client", "secret": "sandbox-secret"}
    inner = plaid.ApiClient(plaid.Configuration(host=url, api_key=keys))
    return plaid_api.PlaidApi(inner), inner


def check_answer(path: str, body: Mapping[str, Any]) -> None:
    """Fail unless `body` fits the official schema of the path's answer; skip without a copy."""
    schema = _specification()["paths"][path]["post"]["responses"]["200"]["content"]
    _check(
        {
            "$ref": f"{_URI}#/paths/{_pointer(path)}/post/responses/200/content/"
            f"{_pointer(next(iter(schema)))}/schema"
        },
        body,
    )


def check_component(name: str, body: Mapping[str, Any]) -> None:
    """Fail unless `body` fits the official schema of this name; skip without a copy."""
    _specification()
    _check({"$ref": f"{_URI}#/components/schemas/{name}"}, body)


@cache
def _read() -> dict[str, Any] | None:
    if not _SPECIFICATION.exists():
        return None
    with _SPECIFICATION.open() as file:
        specification: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    return specification


def _specification() -> dict[str, Any]:
    specification = _read()
    if specification is None:
        pytest.skip("no copy of Plaid's OpenAPI beside the project")
    return specification


@cache
def _registry() -> Registry[Any]:
    resource = DRAFT4.create_resource(_specification())
    return cast(Registry[Any], Registry().with_resource(_URI, resource))


def _check(schema: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    validator = OAS30Validator(schema, registry=_registry(), format_checker=oas30_format_checker)
    errors = [
        f"{list(one.absolute_path)}: {one.message[:200]}" for one in validator.iter_errors(body)
    ]
    assert not errors, errors[:5]


def _pointer(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
