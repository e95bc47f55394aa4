"""A plain client of the simulated Teller, for tests: no client library, money as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from bank_pipeline.sandbox.serve import SandboxServer
from bank_pipeline.sandbox.teller.simulator import Teller

PAGE = 500


@dataclass(frozen=True)
class Linked:
    """An enrollment from its application's side."""

    enrollment_id: str
    token: str


class Caller:
    """Call a sandbox over HTTP."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.http = httpx.Client(base_url=sandbox.url, timeout=10, verify=False)  # noqa: S501 - plain HTTP: saves reading the system's authorities

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    @property
    def wing(self) -> Teller:
        """The simulator behind the sandbox."""
        wing = self.sandbox.wings["teller"]
        assert isinstance(wing, Teller)
        return wing

    def switch(self, path: str, **body: Any) -> dict[str, Any]:
        """Use a switch that must work."""
        answer = self.http.post(f"/_sim/teller{path}", json=body)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    def link(self, login: str = "login-1", **wish: Any) -> Linked:
        """Connect a login."""
        payload = self.switch("/connect", login=login, **wish)
        return Linked(payload["enrollment"]["id"], payload["accessToken"])

    def send(self, linked: Linked, path: str, method: str = "GET", **query: Any) -> httpx.Response:
        """Call the API with an enrollment's token."""
        return self.http.request(
            method, f"/teller{path}", params=query, auth=httpx.BasicAuth(linked.token, "")
        )

    def get(self, linked: Linked, path: str, **query: Any) -> Any:
        """Read from the API what must be there."""
        answer = self.send(linked, path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fail(self, linked: Linked, path: str, method: str = "GET", **query: Any) -> tuple[int, str]:
        """Call the API where it must refuse; return status and error code."""
        answer = self.send(linked, path, method, **query)
        assert answer.status_code >= 400, "the call was expected to fail"
        return answer.status_code, answer.json()["error"]["code"]

    def account(self, linked: Linked, name: str) -> dict[str, Any]:
        """Return one account by its name."""
        accounts: list[dict[str, Any]] = self.get(linked, "/accounts")
        return next(one for one in accounts if one["name"] == name)

    def rows(self, linked: Linked, account_id: str, **query: Any) -> list[dict[str, Any]]:
        """Return one answer's transactions."""
        rows: list[dict[str, Any]] = self.get(
            linked, f"/accounts/{account_id}/transactions", **query
        )
        return rows

    def all_rows(
        self, linked: Linked, account_id: str, *, count: int = PAGE
    ) -> list[dict[str, Any]]:
        """Return all transactions, page by page."""
        rows = page = self.rows(linked, account_id, count=count)
        while len(page) == count:
            page = self.rows(linked, account_id, count=count, from_id=page[-1]["id"])
            rows = [*rows, *page]
        return rows

    def truth(self, linked: Linked) -> dict[str, Any]:
        """Return what the sandbox says is true of an enrollment."""
        answer = self.http.get("/_sim/teller/truth", params={"external_id": linked.enrollment_id})
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read


def by_id(rows: list[dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
    """Return rows by their id, which must be unique."""
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "an id came twice"
    return found
