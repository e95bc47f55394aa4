"""A plain client of the simulated Enable Banking, for tests: no client library, exact numbers."""

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self

import httpx

from bank_pipeline.sandbox.enable_banking.options import REDIRECT_URLS, SANDBOX
from bank_pipeline.sandbox.enable_banking.tokens import signed_token
from bank_pipeline.sandbox.enable_banking.wing import EnableBanking
from bank_pipeline.sandbox.serve import SandboxServer

NOT_MONEY = ("SCHD", "CNCL", "RJCT")
PENDING = ("PDNG", "HOLD")
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Linked:
    """A session from its owner's side: what the exchange of its code told, once."""

    told: Mapping[str, Any]

    @property
    def session_id(self) -> str:
        return str(self.told["session_id"])

    @property
    def uids(self) -> Sequence[str]:
        return [one["uid"] for one in self.told["accounts"] if one.get("uid")]


class Caller:
    """Call a sandbox over HTTP with the right token."""

    def __init__(self, sandbox: SandboxServer, application_id: str = "") -> None:
        self.sandbox = sandbox
        wing = sandbox.wings["enable_banking"]
        assert isinstance(wing, EnableBanking)
        self.wing = wing
        self.http = _client(f"{sandbox.url}/enable_banking")
        self.switches = _client(f"{sandbox.url}/_sim/enable_banking")
        self.sign(application_id or SANDBOX.application_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.switches.close()

    def sign(self, application_id: str, **claims: Any) -> None:
        """Sign the calls from now on."""
        key = self.wing.private_key_pem
        token = signed_token(key, application_id, now_s=time.time(), **claims)
        self.http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, path: str, **query: Any) -> dict[str, Any]:
        """Read what must be there."""
        return succeeded(self.http.get(path, params=query))

    def fail(self, path: str, **query: Any) -> tuple[int, str | None]:
        """Read what must be refused; return status and code."""
        return refused(self.http.get(path, params=query))

    def auth_body(self, name: str, country: str, **changes: Any) -> dict[str, Any]:
        """Return the body of a good `POST /auth`."""
        until = self.sandbox.clock.now() + timedelta(days=80)
        return {
            "access": {"valid_until": until.isoformat()},
            "aspsp": {"name": name, "country": country},
            "state": "state-1",
            "redirect_url": REDIRECT_URLS[0],
            **changes,
        }

    def begin(self, name: str, country: str, **changes: Any) -> str:
        """Start a consent; return where its customer must go."""
        body = self.auth_body(name, country, **changes)
        return str(succeeded(self.http.post("/auth", json=body))["url"])

    def decide(self, url: str, outcome: str, **wish: Any) -> Mapping[str, str]:
        """Decide on the page; return what it sends back."""
        answer = self.http.post(url, data={"outcome": outcome, **wish})
        assert answer.status_code == 302, answer.text
        return dict(httpx.URL(answer.headers["location"]).params)

    def link(
        self, name: str = "Nordea", country: str = "FI", login: str = "login-2", **wish: Any
    ) -> Linked:
        """Link a login at a bank."""
        back = self.decide(self.begin(name, country), "approve", login=login, **wish)
        answer = self.http.post("/sessions", json={"code": back["code"]})
        return Linked(succeeded(answer))

    def pages(self, uid: str, **query: Any) -> list[dict[str, Any]]:
        """Return all pages of one listing."""
        pages = [self.ask(f"/accounts/{uid}/transactions", **query)]
        while key := pages[-1]["continuation_key"]:
            again = {**query, "continuation_key": key}
            pages.append(self.ask(f"/accounts/{uid}/transactions", **again))
        return pages

    def rows(self, uid: str, **query: Any) -> list[dict[str, Any]]:
        """Return all rows of one listing."""
        return [row for page in self.pages(uid, **query) for row in page["transactions"]]

    def whole(self, uid: str, **query: Any) -> list[dict[str, Any]]:
        """Return all rows that the account ever had."""
        return self.rows(uid, date_from="2023-01-01", **query)

    def truth(self, linked: Linked) -> dict[str, Any]:
        """Return what the sandbox says is true of a session."""
        return succeeded(self.switches.get("/truth", params={"external_id": linked.session_id}))

    def ago(self, days: int) -> str:
        """Return a date so many days before today, UTC."""
        return (self.sandbox.clock.now() - timedelta(days=days)).date().isoformat()


def _client(base_url: str) -> httpx.Client:
    """Return a client that trusts nobody: it speaks plain HTTP, and certificates take long."""
    return httpx.Client(base_url=base_url, timeout=10, verify=_NO_TLS)


def succeeded(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of an answer that must be a success."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response) -> tuple[int, str | None]:
    """Return status and code of an answer that must be a refusal."""
    assert answer.status_code >= 400, "the call was expected to fail"
    return answer.status_code, answer.json().get("error")


def signed(row: Mapping[str, Any]) -> Decimal:
    """Return a row's amount, positive for money in."""
    size = abs(Decimal(row["transaction_amount"]["amount"]))
    return size if row["credit_debit_indicator"] == "CRDT" else -size


def text(row: Mapping[str, Any]) -> str:
    """Return a row's remittance information as one text."""
    lines = row["remittance_information"]
    lines = [lines] if isinstance(lines, str) else lines
    return " ".join(line for line in lines if line.strip())


def comparable(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a row in the form of `comparable_truth`."""
    is_pending = row["status"] in PENDING
    dates = [row[name] for name in ("booking_date", "value_date", "transaction_date")]
    day = dates[2] if is_pending else next(one for one in dates if one)
    currency = row["transaction_amount"]["currency"]
    return (signed(row), None if currency == "XXX" else currency, is_pending, day, text(row))


def comparable_truth(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a true row in the form of `comparable`."""
    return (
        Decimal(row["amount"]),
        row["currency"],
        row["pending"],
        row["day"],
        row["description"],
    )
