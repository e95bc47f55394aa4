"""
What the paths of the simulated Teller do.

Source: https://teller.io/docs/api
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.sandbox.teller.accounts import (
    account_to_json,
    balances_to_json,
    details_to_json,
    has_details,
    institutions_to_json,
    owner_to_json,
)
from bank_pipeline.sandbox.teller.enrollments import Enrollment, Grant
from bank_pipeline.sandbox.teller.errors import teller_error
from bank_pipeline.sandbox.teller.state import TellerState
from bank_pipeline.sandbox.teller.transactions import Ledger, Window

_STALE: Final = timedelta(days=3)
_NO_ROW: Final = "No such transaction."


@dataclass
class Progress:
    """How far a request came: what it concerns, what ends it, how long it must wait."""

    subject: str = ""
    fault: Fault | None = None
    pause_s: float = 0.0


@dataclass(frozen=True)
class Call:
    """One accepted request."""

    teller: TellerState
    params: Mapping[str, str]
    query: Mapping[str, str]
    now: datetime
    opened: Enrollment | None
    progress: Progress = field(default_factory=Progress)

    @property
    def enrollment(self) -> Enrollment:
        """The enrollment that the access token opened."""
        assert self.opened is not None, "only endpoints that need a token ask for it"
        return self.opened

    @property
    def grant(self) -> Grant:
        """The open account of the path."""
        book = self.teller.enrollments
        return book.grant_of(self.enrollment, self.params["account_id"], self.now)

    @property
    def base(self) -> str:
        """What links begin with."""
        return self.teller.options.links_base

    def has_fault(self, kind: FaultKind) -> bool:
        """Whether a fault of this kind bends the answer."""
        return self.progress.fault is not None and self.progress.fault.kind is kind


@dataclass(frozen=True)
class Endpoint:
    """
    What a path does. Its answer None is a 204 without a body.

    `works_when_broken` endpoints answer for disconnected enrollments, too.
    """

    operation: str
    method: str
    path: str
    answer: Callable[[Call], Any]
    works_when_broken: bool = False
    needs_token: bool = True


def list_accounts(call: Call) -> list[dict[str, Any]]:
    """List the accounts of the enrollment, closed ones too."""
    return [_account(call, grant) for grant in _grants(call)]


def read_account(call: Call) -> dict[str, Any]:
    """Describe one account."""
    return _account(call, call.grant)


def delete_enrollment(call: Call) -> None:
    """End the enrollment."""
    call.teller.enrollments.remove(call.enrollment, call.now)


def delete_account(call: Call) -> None:
    """Take one account out of the enrollment, a closed one too."""
    for grant in _grants(call):
        if grant.account_id == call.params["account_id"]:
            grant.revoked_at = call.now
            return
    raise teller_error("not_found")


def read_details(call: Call) -> dict[str, Any]:
    """Tell the account's numbers, once they are verified."""
    grant, teller = call.grant, call.teller
    account = teller.enrollments.account(grant)
    if not has_details(account):
        raise teller_error("not_found")
    if grant.verification != "completed":
        raise teller_error(f"account_number_verification_{grant.verification}")
    return details_to_json(grant, account, teller.bank_of(call.enrollment), call.base)


def read_balances(call: Call) -> dict[str, Any]:
    """Tell the balances as the bank knows them now."""
    grant = call.grant
    if not grant.has_balances:
        raise teller_error("not_found")
    truth = call.teller.world.truth(grant.world_account_id, _moment(call))
    return balances_to_json(grant, truth, call.base)


def list_transactions(call: Call) -> list[dict[str, Any]]:
    """List transactions, newest first; without parameters all of them."""
    grant = call.grant
    if not grant.was_read:
        grant.was_read = True
        call.progress.pause_s = call.teller.options.slow_first_s
    ledger = _ledger(call, grant)
    if call.has_fault(FaultKind.CURSOR_REJECTED):
        raise teller_error("not_found", _NO_ROW)
    try:
        rows = ledger.window(_window(call))
    except KeyError as error:
        raise teller_error("not_found", _NO_ROW) from error
    if call.has_fault(FaultKind.EMPTY_PAGE):
        rows = ()
    if call.has_fault(FaultKind.DUPLICATE_ACROSS_PAGES):
        last = [row for row in ledger.rows() if row.transaction_id == call.query.get("from_id")]
        rows = (*last, *rows)
    return ledger.to_json(rows)


def read_transaction(call: Call) -> dict[str, Any]:
    """Describe one transaction."""
    ledger = _ledger(call, call.grant)
    for row in ledger.rows():
        if row.transaction_id == call.params["transaction_id"]:
            return ledger.to_json([row])[0]
    raise teller_error("not_found")


def read_identity(call: Call) -> list[dict[str, Any]]:
    """Tell who owns the open accounts."""
    owner = owner_to_json(call.teller.login_of(call.enrollment))
    book = call.teller.enrollments
    return [
        {"account": _account(call, grant), "owners": [owner]}
        for grant in _grants(call)
        if book.account(grant).closed_at is None
    ]


def list_institutions(call: Call) -> list[dict[str, Any]]:
    """List the banks, for anybody."""
    return institutions_to_json(call.teller.world.banks)


_ACCOUNT: Final = "/accounts/{account_id}"

ENDPOINTS: Final[Sequence[Endpoint]] = (
    Endpoint("accounts", "GET", "/accounts", list_accounts),
    Endpoint("delete_enrollment", "DELETE", "/accounts", delete_enrollment, works_when_broken=True),
    Endpoint("account", "GET", _ACCOUNT, read_account),
    Endpoint("delete_account", "DELETE", _ACCOUNT, delete_account, works_when_broken=True),
    Endpoint("details", "GET", f"{_ACCOUNT}/details", read_details),
    Endpoint("balances", "GET", f"{_ACCOUNT}/balances", read_balances),
    Endpoint("transactions", "GET", f"{_ACCOUNT}/transactions", list_transactions),
    Endpoint("transaction", "GET", f"{_ACCOUNT}/transactions/{{transaction_id}}", read_transaction),
    Endpoint("identity", "GET", "/identity", read_identity),
    Endpoint("institutions", "GET", "/institutions", list_institutions, needs_token=False),
)


def _grants(call: Call) -> Sequence[Grant]:
    grants = call.teller.enrollments.grants(call.enrollment, call.now)
    return [grant for grant in grants if grant.revoked_at is None]


def _account(call: Call, grant: Grant) -> dict[str, Any]:
    account, bank = call.teller.enrollments.account(grant), call.teller.bank_of(call.enrollment)
    return account_to_json(call.enrollment, grant, account, bank, call.base)


def _ledger(call: Call, grant: Grant) -> Ledger:
    return Ledger(call.teller.world, call.teller.options, grant, _moment(call))


def _moment(call: Call) -> datetime:
    """Return the moment that the answer tells of: now, unless a fault has it be stale."""
    return call.now - _STALE if call.has_fault(FaultKind.STALE_DATA) else call.now


def _window(call: Call) -> Window:
    """Read the query. A value that is none is a 422."""
    query = call.query
    try:
        count = int(query["count"]) if "count" in query else None
        start, end = (
            date.fromisoformat(query[name]) if name in query else None
            for name in ("start_date", "end_date")
        )
    except ValueError as error:
        raise teller_error("unprocessable_entity") from error
    if count is not None and count < 1:
        raise teller_error("unprocessable_entity")
    if call.has_fault(FaultKind.HUGE_PAGE):
        count = None
    from_id = None if call.has_fault(FaultKind.ENDLESS_PAGES) else query.get("from_id")
    return Window(count, from_id, start, end)
