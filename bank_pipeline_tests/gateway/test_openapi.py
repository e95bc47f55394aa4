"""Whatever the OpenAPI document allows, and much that it does not, sent to the real gateway."""

from typing import Any, Final

import requests  # noqa: TID251 - what schemathesis sends by
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bank_pipeline.domain.access import KeyScope
from bank_pipeline.gateway.app import API
from bank_pipeline_tests.gateway.conftest import Gate
from bank_pipeline_tests.gateway.test_api import make_key

EXAMPLES: Final = 20
CHECKS: Final[list[Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_no_request_breaks_the_gateway_or_the_document(gate: Gate) -> None:
    """Well-formed ones and broken ones, over a linked bank whose rows are there to be found."""
    gate.ground.link_ready()
    headers = {"Authorization": f"Bearer {make_key(gate, 'home', KeyScope.MANAGE)}"}
    document: Any = schemathesis.openapi.from_url(f"{gate.url}{API}/openapi.json")
    # The one that follows a connection never ends; it is tested by itself.
    operations = [one.ok() for one in document.exclude(path_regex="/events$").get_all_operations()]
    assert len(operations) > 15

    sent: set[int] = set()
    with requests.Session() as session:
        session.headers.update(headers)
        for operation in operations:
            for mode in GenerationMode:
                sent |= _send(operation, mode, session)
    assert {200, 201, 404, 422} <= sent, "the cases reached what they are about"


def _send(operation: Any, mode: GenerationMode, session: requests.Session) -> set[int]:
    statuses: set[int] = set()

    @settings(max_examples=EXAMPLES, suppress_health_check=[*HealthCheck], deadline=None)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(session=session)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()
    return statuses
