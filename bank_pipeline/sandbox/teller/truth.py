"""
What a pipeline that did everything right would hold now, in Teller's ids.

Computed from the world's own truth, without the list that answers are made of.
"""

from typing import Any

from bank_pipeline.sandbox.ledger import AccountKind, AccountTruth, Entry, EntryState
from bank_pipeline.sandbox.teller.enrollments import Enrollment, Grant
from bank_pipeline.sandbox.teller.ids import derive_transaction_id
from bank_pipeline.sandbox.teller.options import TellerOptions
from bank_pipeline.sandbox.wire import number_text, optional_number_text
from bank_pipeline.sandbox.world import World


def truth_of(world: World, options: TellerOptions, enrollment: Enrollment) -> dict[str, Any]:
    """
    Describe an enrollment as `Wing.truth_of` says.

    `day` is the date that Teller shows. An account that is not `listed` was closed or taken
    out of the enrollment; its transactions stand as they were then.
    """
    grants = enrollment.grants.values()
    return {
        "external_id": enrollment.enrollment_id,
        "login_id": enrollment.login_id,
        "removed": enrollment.removed_at is not None,
        "error_code": None if enrollment.error is None else enrollment.error.code,
        "accounts": {
            grant.account_id: _account(world, options, enrollment, grant) for grant in grants
        },
    }


def _account(
    world: World, options: TellerOptions, enrollment: Enrollment, grant: Grant
) -> dict[str, Any]:
    ended_at = grant.revoked_at or enrollment.removed_at
    shown = world.truth(grant.world_account_id, ended_at or world.clock.now())
    account = shown.account
    return {
        "world_account_id": account.id,
        "listed": grant.revoked_at is None and account.closed_at is None,
        "kind": account.kind.value,
        "name": account.name,
        "currency": account.currency,
        "unofficial_currency": account.unofficial_currency,
        "booked": optional_number_text(shown.booked)
        if _tells_booked(options, grant, shown)
        else None,
        "available": optional_number_text(shown.available) if grant.has_balances else None,
        "transactions": _transactions(options, grant, shown),
    }


def _tells_booked(options: TellerOptions, grant: Grant, shown: AccountTruth) -> bool:
    """Say whether the booked balance can be known: from the endpoint, else from the newest row."""
    if grant.has_balances:
        return True
    is_depository = shown.account.kind in (AccountKind.CHECKING, AccountKind.SAVINGS)
    has_booked = any(entry.state is EntryState.BOOKED for entry in shown.entries)
    return is_depository and has_booked and options.running_balances == "usual"


def _transactions(
    options: TellerOptions, grant: Grant, shown: AccountTruth
) -> list[dict[str, Any]]:
    return [_transaction(options, grant, shown, entry) for entry in shown.entries]


def _transaction(
    options: TellerOptions, grant: Grant, shown: AccountTruth, entry: Entry
) -> dict[str, Any]:
    day = entry.booking_date or entry.transaction_date
    return {
        "external_id": derive_transaction_id(grant.account_id, entry, options.new_id_share),
        "entry_id": entry.id,
        "amount": number_text(entry.amount),
        "currency": shown.account.currency,  # Teller tells no other
        "unofficial_currency": shown.account.unofficial_currency,
        "pending": entry.state is EntryState.PENDING,
        "day": day.isoformat(),
        "description": entry.original_description,
    }
