"""A plain client of the simulated Plaid, for tests: no client library, exact numbers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self

import httpx

from bank_pipeline.sandbox.serve import SandboxServer

READY = timedelta(minutes=2)


@dataclass
class Folded:
    """What a client holds that applies the feed: rows by transaction_id, and its cursor."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursor: str = ""

    def apply(self, pages: Sequence[Mapping[str, Any]]) -> None:
        """Apply a whole update."""
        for page in pages:
            for row in page["removed"]:
                self.rows.pop(row["transaction_id"], None)
        for page in pages:
            for row in [*page["added"], *page["modified"]]:
                self.rows[row["transaction_id"]] = row
        self.cursor = pages[-1]["next_cursor"]


@dataclass(frozen=True)
class Linked:
    """An Item from its owner's side."""

    item_id: str
    access_token: str


class Caller:
    """Call a sandbox over HTTP with the right credentials."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.http = httpx.Client(
            base_url=sandbox.url,
            headers={"PLAID-CLIENT-ID": "sandbox-client", "PLAID-SECRET": "sandbox-secret"},
            timeout=10,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        """Call an endpoint that must succeed."""
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return read(answer)

    def fail(self, path: str, **body: Any) -> tuple[int, str]:
        """Call an endpoint that must not succeed; return status and error code."""
        answer = self.http.post(path, json=body)
        assert answer.status_code != 200, "the call was expected to fail"
        return answer.status_code, read(answer)["error_code"]

    def link(self, login: str = "login-1", **options: Any) -> Linked:
        """Link a login without Link."""
        world = self.sandbox.world
        bank_id = world.logins[login].bank_id
        made = self.ask(
            "/sandbox/public_token/create",
            institution_id=self.sandbox.plaid.institution_id_of(bank_id),
            initial_products=["transactions"],
            options={"override_username": login, **options},
        )
        opened = self.ask("/item/public_token/exchange", public_token=made["public_token"])
        return Linked(opened["item_id"], opened["access_token"])

    def link_ready(self, login: str = "login-1", **options: Any) -> Linked:
        """Link a login and wait until its whole history is there."""
        linked = self.link(login, **options)
        self.sandbox.advance(READY)
        return linked

    def pages(
        self, linked: Linked, cursor: str = "", *, count: int = 500, **options: Any
    ) -> list[dict[str, Any]]:
        """Return all pages of one update."""
        pages: list[dict[str, Any]] = []
        while not pages or pages[-1]["has_more"]:
            pages.append(
                self.ask(
                    "/transactions/sync",
                    access_token=linked.access_token,
                    cursor=cursor,
                    count=count,
                    options=options,
                )
            )
            cursor = pages[-1]["next_cursor"]
        return pages

    def truth(self, linked: Linked) -> dict[str, Any]:
        """Return what the sandbox says is true of an Item."""
        answer = self.http.get("/_sim/truth", params={"item_id": linked.item_id})
        assert answer.status_code == 200, answer.text
        return read(answer)

    def true_rows(self, linked: Linked) -> dict[str, tuple[Any, ...]]:
        """Return the true transactions in the form of `comparable`."""
        return {
            row["transaction_id"]: (
                account_id,
                Decimal(row["amount"]),
                row["pending"],
                row["date"],
                row["authorized_date"],
                row["iso_currency_code"],
                row["unofficial_currency_code"],
                row["name"],
            )
            for account_id, account in self.truth(linked)["accounts"].items()
            for row in account["transactions"].values()
        }


def comparable(folded: Folded) -> dict[str, tuple[Any, ...]]:
    """Return a client's rows in a form that compares with the truth."""
    return {
        transaction_id: (
            row["account_id"],
            Decimal(row["amount"]),
            row["pending"],
            row["date"],
            row["authorized_date"],
            row["iso_currency_code"],
            row["unofficial_currency_code"],
            row["name"],
        )
        for transaction_id, row in folded.rows.items()
    }


def read(answer: httpx.Response) -> dict[str, Any]:
    """Read an answer's JSON exactly."""
    body: dict[str, Any] = json.loads(answer.content, parse_float=Decimal)
    return body


def without_request_id(body: Mapping[str, Any]) -> str:
    """Return an answer's text without what differs in every answer."""
    return json.dumps({**body, "request_id": ""}, default=str)
