"""Link tokens and the sessions customers had with them. Plain state, guarded by Plaid's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bank_pipeline.sandbox.plaid.errors import plaid_error
from bank_pipeline.sandbox.wire import moment_text


@dataclass(frozen=True)
class AddedItem:
    """An Item that a session brought, as the session's results show it."""

    item_id: str
    public_token: str
    institution: Mapping[str, Any]
    accounts: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return an `item_add_result`."""
        return {
            "accounts": list(self.accounts),
            "institution": dict(self.institution),
            "public_token": self.public_token,
        }


@dataclass(frozen=True)
class LinkSession:
    """One finished visit. `added` None: the customer left without success."""

    session_id: str
    started_at: datetime
    finished_at: datetime
    events: Sequence[Mapping[str, Any]]
    added: AddedItem | None

    def to_json(self) -> dict[str, Any]:
        """Return the session as `/link/token/get` shows it."""
        body: dict[str, Any] = {
            "events": list(self.events),
            "finished_at": moment_text(self.finished_at),
            "link_session_id": self.session_id,
            "started_at": moment_text(self.started_at),
        }
        if self.added is None:
            return {**body, "exit": self._exit(), "on_exit": None, "on_success": None}
        results = {
            "bank_income_results": [],
            "cra_item_add_results": [],
            "cra_update_results": [],
            "document_income_results": None,
            "item_add_results": [self.added.to_json()],
            "payroll_income_results": [],
        }
        return {**body, "on_success": self._success(self.added), "results": results}

    def _success(self, added: AddedItem) -> dict[str, Any]:
        metadata = {
            "accounts": list(added.accounts),
            "institution": dict(added.institution),
            "link_session_id": self.session_id,
            "transfer_status": None,
        }
        return {"metadata": metadata, "public_token": added.public_token}

    def _exit(self) -> dict[str, Any]:
        return {
            "error": None,
            "metadata": {
                "institution": None,
                "link_session_id": self.session_id,
                "request_id": "",
                "status": "requires_credentials",
            },
        }


@dataclass
class LinkToken:
    """What an app asked Link to do. `update_item_id` None links a new Item."""

    token: str
    created_at: datetime
    expires_at: datetime
    client_name: str
    country_codes: Sequence[str]
    language: str
    products: Sequence[str]
    consented_products: Sequence[str]
    days_requested: int
    webhook: str | None
    redirect_uri: str | None
    completion_uri: str | None
    institution_id: str | None
    update_item_id: str | None
    account_selection: bool
    several_items: bool
    hosted: bool
    sessions: list[LinkSession] = field(default_factory=list)

    @property
    def is_spent(self) -> bool:
        """Whether a customer already succeeded with it and may not again."""
        return not self.several_items and any(one.added for one in self.sessions)


class LinkBook:
    """All link tokens. Callers hold the simulator's lock."""

    def __init__(self) -> None:
        self._tokens: dict[str, LinkToken] = {}

    def add(self, token: LinkToken) -> None:
        """Remember a new token."""
        self._tokens[token.token] = token

    def find(self, token: str) -> LinkToken:
        """Return a token, expired ones too. Unknown is an INVALID_LINK_TOKEN."""
        if token not in self._tokens:
            raise plaid_error("INVALID_LINK_TOKEN")
        return self._tokens[token]

    def usable(self, token: str, now: datetime) -> LinkToken:
        """Return a token a customer may go on with."""
        known = self.find(token)
        if now > known.expires_at or known.is_spent:
            raise plaid_error("INVALID_LINK_TOKEN")
        return known
