"""Dagster's GraphQL, asked as its UI does."""

from typing import Any, Final

from bank_pipeline.providers.http import build_http

_ANSWER_S: Final = 60
_LAUNCH: Final = """
mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


def ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    """Ask the webserver at `url`; return the data of its answer."""
    with build_http(read_timeout_s=_ANSWER_S) as http:
        body = {"query": query, "variables": variables}
        answer = http.post(f"{url}/graphql", json=body).raise_for_status().json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def launch(url: str, connection_id: str, *, location: str = "bank_pipeline") -> str:
    """Materialise one partition of the three assets, as the button does; return the run's id."""
    asked = {
        "selector": {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": "sync_connections_job",
        },
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": connection_id}]},
    }
    launched = ask(url, _LAUNCH, p=asked)["launchRun"]
    assert "run" in launched, launched
    return str(launched["run"]["runId"])
