"""One account's details and balances, and what stands before anything a bank is asked."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from bank_pipeline.sandbox.enable_banking.account_json import currency_of
from bank_pipeline.sandbox.enable_banking.errors import api_error
from bank_pipeline.sandbox.enable_banking.profiles import Balances
from bank_pipeline.sandbox.enable_banking.quota import is_attended
from bank_pipeline.sandbox.enable_banking.session_endpoints import describe
from bank_pipeline.sandbox.enable_banking.sessions import Grant, Session
from bank_pipeline.sandbox.enable_banking.simulator import Call, Endpoint
from bank_pipeline.sandbox.enable_banking.words import amount_text
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, EntryState
from bank_pipeline.sandbox.wire import moment_text

Json = dict[str, Any]
OVERDRAFT: Final = Decimal(500)  # what some banks add to what is available
STALE_BY: Final = timedelta(days=2)
_NAMES: Final = {
    "ITBD": "Booked balance",
    "ITAV": "Available balance",
    "CLBD": "Closing booked balance",
    "OPBD": "Opening booked balance",
    "XPCD": "Expected balance",
    "CLAV": "Closing available balance",
    "VALU": "Value-date balance",
    "OTHR": "Balance",
}
_INTERIM: Final = (("ITBD", "booked"), ("ITAV", "available"))
_CLOSING: Final = (
    ("CLBD", "booked"),
    ("OPBD", "opening"),
    ("XPCD", "expected"),
    ("CLAV", "available"),
)
_STYLES: Final = {
    Balances.INTERIM: _INTERIM,
    Balances.CLOSING: _CLOSING,
    Balances.VALUED: (*_INTERIM, ("VALU", "booked")),
    Balances.CARD_ZERO: _CLOSING,
    Balances.OVERDRAFT: (("ITBD", "booked"), ("ITAV", "spendable")),
    Balances.REMAINING: _INTERIM,
    Balances.EMPTY: (),
}
_CARD_STYLES: Final = {
    Balances.CLOSING: (("CLBD", "booked"), ("OPBD", "opening")),
    Balances.CARD_ZERO: (("OTHR", "nothing"),),
    Balances.REMAINING: (("ITAV", "available"),),
}


def read_details(call: Call) -> Json:
    """Tell the account again, as the exchange of the code did; it costs an access."""
    session, grant = call.account()
    ask_bank(call, session, grant, "details")
    return describe(call.wing, session, grant)


def read_balances(call: Call) -> Json:
    """Tell the account's balances, in the types its bank has."""
    session, grant = call.account()
    if not session.access["balances"]:
        raise api_error("ACCESS_DENIED")
    ask_bank(call, session, grant, "balances")
    at = seen_at(call)
    shown = call.wing.world.truth(grant.world_account_id, at)
    opening = call.wing.world.truth(grant.world_account_id, _midnight(at)).booked
    amounts = _amounts(session.aspsp.profile.balances, shown, opening)
    return {
        "balances": [
            {
                "name": _NAMES[kind],
                "balance_amount": {
                    "currency": currency_of(shown.account),
                    "amount": amount_text(amount, shown.account.currency),
                },
                "balance_type": kind,
                "last_change_date_time": moment_text(at),
                "reference_date": at.date().isoformat(),
                "last_committed_transaction": None,
            }
            for kind, amount in amounts
            if amount is not None
        ]
    }


def ask_bank(call: Call, session: Session, grant: Grant, endpoint: str, *, cost: int = 1) -> None:
    """
    Pass a request on to the bank.

    Raises:
        EnableBankingError: headers about the customer are incomplete, too many accesses today,
            or the bank no longer shows the account.
    """
    attended = is_attended(session.aspsp.profile, call.headers)
    key = (*session.aspsp.key, grant.world_account_id, endpoint)
    if not attended and cost:
        call.wing.quota.admit(key, call.now, cost=cost)
    closed_at = call.wing.world.accounts[grant.world_account_id].closed_at
    if closed_at is not None and closed_at <= call.now:
        raise api_error("ASPSP_ACCOUNT_NOT_ACCESSIBLE")


def seen_at(call: Call) -> datetime:
    """Return the moment whose state is told: now, or an earlier one when a fault says so."""
    is_stale = call.fault is not None and call.fault.kind is FaultKind.STALE_DATA
    return call.now - STALE_BY if is_stale else call.now


def _amounts(
    style: Balances, shown: AccountTruth, opening: Decimal | None
) -> list[tuple[str, Decimal | None]]:
    """Return balances by type; None where there is none to tell."""
    booked, available = shown.booked, shown.available
    pending = (one.amount for one in shown.entries if one.state is EntryState.PENDING)
    has_overdraft = shown.account.kind is AccountKind.CHECKING and available is not None
    amounts = {
        "booked": booked,
        "available": available,
        "expected": None if booked is None else booked + sum(pending, Decimal(0)),
        "opening": opening,
        "nothing": Decimal(0),
        "spendable": (available or Decimal(0)) + OVERDRAFT if has_overdraft else available,
    }
    is_card = shown.account.kind is AccountKind.CREDIT_CARD
    told = _CARD_STYLES.get(style) if is_card else None
    return [(kind, amounts[name]) for kind, name in told or _STYLES[style]]


def _midnight(at: datetime) -> datetime:
    return datetime.combine(at.date(), time.min, UTC) - timedelta(microseconds=1)


ENDPOINTS: Final = (
    Endpoint("details", "GET", "/accounts/{account_id}/details", read_details),
    Endpoint("balances", "GET", "/accounts/{account_id}/balances", read_balances),
)
