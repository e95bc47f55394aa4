"""The judge of the simulator's answers: GoCardless's OpenAPI, and errors that were seen live."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

_CONTRACT = Path(__file__).parents[3].parent / "shared" / "contracts" / "gocardless"
_URI = "urn:gocardless"


def complaints(method: str, path: str, status: int, body: Any) -> Sequence[str]:
    """Return where `body` breaks the official schema of an answer; skip without a copy."""
    responses = _specification()["paths"][f"/api/v2/{path}"][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {path} does not document {status}"
    pointer = "/".join(
        _pointer(one)
        for one in ("paths", f"/api/v2/{path}", method.lower(), "responses", str(status))
    )
    schema = {"$ref": f"{_URI}#/{pointer}/content/application~1json/schema"}
    validator = OAS30Validator(schema, registry=_registry(), format_checker=oas30_format_checker)
    return sorted(
        f"{'.'.join('*' if isinstance(part, int) else part for part in one.absolute_path)}:"
        f" {one.validator}"
        for one in validator.iter_errors(body)
    )


def catalogue() -> Sequence[Mapping[str, Any]]:
    """Return the errors as they were seen live; skip without a copy."""
    return cast(Sequence[Mapping[str, Any]], _read("data/gc_error_catalog.json")["errors"])


def _read(name: str) -> dict[str, Any]:
    file = _CONTRACT / name
    if not file.exists():
        pytest.skip("no copy of GoCardless's contract beside the project")
    return cast(dict[str, Any], json.loads(file.read_text()))


@cache
def _parsed() -> dict[str, Any]:
    return _read("openapi.json")


def _specification() -> dict[str, Any]:
    return _parsed()


@cache
def _registry() -> Registry[Any]:
    resource = DRAFT4.create_resource(_specification())
    return cast(Registry[Any], Registry().with_resource(_URI, resource))


def _pointer(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
