"""The judge of the simulator's answers: Enable Banking's own OpenAPI file."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_SPECIFICATION = (
    Path(__file__).parents[3].parent / "shared" / "contracts" / "enable_banking" / "openapi.yml"
)
_CATALOGUE = _SPECIFICATION.parent / "data" / "eb_error_catalog.json"
_URI = "urn:enable-banking"


def check_answer(method: str, path: str, status: int, body: object) -> None:
    """Fail unless `body` fits the official schema of the answer; skip without a copy."""
    errors = deviations(method, path, status, body)
    assert not errors, errors[:5]


def deviations(method: str, path: str, status: int, body: object) -> list[str]:
    """Return what in `body` does not fit, as `place: message`; skip without a copy."""
    _specification()
    pointer = f"#/paths/{_pointer(path)}/{method.lower()}/responses/{status}/content/"
    schema = {"$ref": f"{_URI}{pointer}{_pointer('application/json')}/schema"}
    validator = OAS31Validator(
        schema, registry=_registry(), format_checker=OAS31Validator.FORMAT_CHECKER
    )
    return [
        f"{'/'.join(str(step) for step in one.absolute_path)}: {one.message[:200]}"
        for one in validator.iter_errors(body)
    ]


def catalogue_path() -> Path:
    """Return the list of known errors; skip without a copy."""
    if not _CATALOGUE.exists():
        pytest.skip("no copy of the error catalogue beside the project")
    return _CATALOGUE


@cache
def _read() -> dict[str, Any] | None:
    if not _SPECIFICATION.exists():
        return None
    with _SPECIFICATION.open() as file:
        specification: dict[str, Any] = yaml.load(file, Loader=yaml.CSafeLoader)
    for schema in specification["components"]["schemas"].values():
        _let_optional_be_null(schema)
    return specification


def _let_optional_be_null(schema: dict[str, Any]) -> None:
    """The file forgets `nullable`; the live API answers null for whatever is not required."""
    for name, shape in schema.get("properties", {}).items():
        if name not in schema.get("required", []):
            schema["properties"][name] = {"anyOf": [shape, {"type": "null"}]}


def _specification() -> Mapping[str, Any]:
    specification = _read()
    if specification is None:
        pytest.skip("no copy of Enable Banking's OpenAPI beside the project")
    return specification


@cache
def _registry() -> Registry[Any]:
    resource = DRAFT202012.create_resource(_specification())
    registry: Registry[Any] = Registry().with_resource(_URI, resource)
    return registry


def _pointer(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
