"""The OpenAPI document as a page: every route with its parameters and answers, and no script."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bank_pipeline.gateway.render import page

router = APIRouter(include_in_schema=False)

_REF: Final = "#/components/schemas/"


@dataclass(frozen=True)
class Field:
    """One parameter, or one field of a body. `where` is path, query or body."""

    name: str
    where: str
    kind: str
    is_required: bool
    told: str


@dataclass(frozen=True)
class Operation:
    """One route as the page shows it. `answers` are what may come: status, words, schema."""

    method: str
    path: str
    told: str
    fields: tuple[Field, ...]
    answers: tuple[tuple[str, str, str], ...]


@router.get("/docs")
def show_reference(request: Request) -> Response:
    """Show every route of the API."""
    document = request.app.openapi()
    schemas = document["components"]["schemas"]
    return page(
        "reference",
        title="The API",
        operations=[*_operations(document)],
        schemas={name: [*_fields_of(one, "field")] for name, one in sorted(schemas.items())},
        described={name: one.get("description", "") for name, one in schemas.items()},
    )


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            parameters = [
                Field(
                    one["name"],
                    one["in"],
                    _kind(one["schema"]),
                    bool(one.get("required")),
                    one.get("description", ""),
                )
                for one in told.get("parameters", ())
            ]
            yield Operation(
                method.upper(),
                path,
                told.get("description", ""),
                (*parameters, *_body(told, document)),
                tuple(_answers(told["responses"])),
            )


def _body(told: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Field]:
    if "requestBody" not in told:
        return
    (content,) = told["requestBody"]["content"].values()
    name = content["schema"]["$ref"].removeprefix(_REF)
    yield from _fields_of(document["components"]["schemas"][name], "body")


def _fields_of(schema: Mapping[str, Any], where: str) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        yield Field(name, where, _kind(one), name in required, one.get("description", ""))


def _answers(responses: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for status, answer in responses.items():
        kinds = [
            _kind(one["schema"]) for one in answer.get("content", {}).values() if "schema" in one
        ]
        yield status, answer["description"], kinds[0] if kinds else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")
