"""What one request is to the simulated GoCardless, and what an endpoint is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from bank_pipeline.sandbox.faults import Fault
from bank_pipeline.sandbox.gocardless.errors import gc_error
from bank_pipeline.sandbox.gocardless.quotas import Level
from bank_pipeline.sandbox.gocardless.state import GoCardlessState, LinkedAccount, Reply

_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass
class Call:
    """
    One request that was let in.

    `account_level` is how full the account's daily limit is, set by the endpoint that checks
    it. `fault` is one that concerns the meaning of the answer.
    """

    state: GoCardlessState
    now: datetime
    base_url: str
    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    account: LinkedAccount | None = None
    fault: Fault | None = None
    company_check: Callable[[], None] = field(default=lambda: None)
    account_level: Level | None = None

    @property
    def root(self) -> str:
        """Where pages and lists are, without a slash at the end."""
        return self.state.options.public_url or self.base_url


@dataclass(frozen=True)
class Endpoint:
    """
    What a method on a path does. `query` and `fields` are all that it knows.

    `bucket` is the company's limit it counts for. `subject` names the path's id that faults go
    by: account, requisition or agreement.
    """

    operation: str
    bucket: str
    answer: Callable[[Call], Reply]
    query: frozenset[str] = frozenset()
    fields: frozenset[str] | None = frozenset()
    subject: str | None = None
    is_open: bool = False


def check_uuid(text: str, code: str) -> None:
    """Refuse what is no UUID with the error of this code."""
    if not _UUID.fullmatch(text):
        raise gc_error(code, account_id=text, agreement_id=text, id=text)


def root_of(request: Request) -> str:
    """Return where the provider is mounted, without a slash at the end."""
    mount = request.scope.get("root_path", "")
    return f"{request.url.scheme}://{request.url.netloc}{mount}"


def is_uuid(text: str) -> bool:
    """Whether this is a UUID."""
    return _UUID.fullmatch(text) is not None


def page_of(call: Call, path: str, rows: list[dict[str, Any]]) -> Reply:
    """Return the part of a list that `limit` and `offset` ask for."""
    limit = _whole(call.query.get("limit"), 100, least=1)
    offset = _whole(call.query.get("offset"), 0, least=0)
    end = offset + limit
    before = max(0, offset - limit)

    def url(start: int) -> str:
        return f"{call.root}/api/v2/{path}/?limit={limit}&offset={start}"

    return Reply(
        {
            "count": len(rows),
            "next": url(end) if end < len(rows) else None,
            "previous": url(before) if offset > 0 else None,
            "results": rows[offset:end],
        }
    )


def _whole(text: str | None, usual: int, *, least: int) -> int:
    """Read a number as Django REST framework does: what makes no sense is the usual one."""
    if text is None or not text.isascii() or not text.isdigit() or int(text) < least:
        return usual
    return int(text)
