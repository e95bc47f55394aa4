"""What people decide on an account's balances: kept, and in effect at once."""

import uuid
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.audit import SYSTEM, Actor, AuditAction
from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.errors import NotFoundError, RefusedError
from bank_pipeline.storage.accounts import load_account
from bank_pipeline.storage.audit import insert_row_audit
from bank_pipeline.storage.balance_checks import (
    forget_checkpoints,
    is_open,
    load_account_of,
    set_resolved,
)
from bank_pipeline.storage.balance_choice import (
    load_rules,
    load_told_types,
    save_choices,
    set_rule,
)
from bank_pipeline.storage.connections import lock_connection

_CHANGED: Final = AuditAction.SETTINGS_CHANGED


def set_balance_rule(
    engine: sa.Engine,
    account_id: AccountId,
    rule: BalanceRule,
    *,
    now: datetime,
    actor: Actor = SYSTEM,
) -> None:
    """
    Decide for one account; what `rule` says nothing of stays as it was decided before.

    Raises:
        NotFoundError: there is no such account, or its bank never told a balance of that type.
    """
    with engine.begin() as db:
        account_id = _lock_account(db, account_id)
        told = load_told_types(db, account_id)
        for word in (rule.booked_type, rule.available_type):
            if word is not None and word not in told:
                types = ", ".join(sorted(told)) or "none"
                raise NotFoundError(f"the bank tells no balance of type {word}; it tells: {types}")
        before = load_rules(db, [account_id]).get(account_id, BalanceRule())
        _decide(db, account_id, before, rule.over(before), now)
        insert_row_audit(db, _CHANGED, actor=actor, now=now, account_id=account_id)


def reset_balance_rule(
    engine: sa.Engine, account_id: AccountId, *, now: datetime, actor: Actor = SYSTEM
) -> None:
    """
    Forget what was decided for an account.

    Raises:
        NotFoundError: there is no such account.
    """
    with engine.begin() as db:
        account_id = _lock_account(db, account_id)
        before = load_rules(db, [account_id]).get(account_id, BalanceRule())
        _decide(db, account_id, before, BalanceRule(), now)
        insert_row_audit(db, _CHANGED, actor=actor, now=now, account_id=account_id)


def resolve_difference(engine: sa.Engine, check_id: int, *, now: datetime) -> None:
    """
    Note that a person has dealt with a difference.

    Raises:
        NotFoundError: there is no such difference, or it is resolved already.
        RefusedError: it is open. It would be told once more, as soon as it is sure.
    """
    with engine.begin() as db:
        account_id = load_account_of(db, check_id)
        if account_id is not None:
            _lock_account(db, account_id)
        if is_open(db, check_id):
            raise RefusedError(
                f"difference {check_id} is not sure yet: later checks find it gone, or confirm it"
            )
        if not set_resolved(db, check_id, now=now):
            raise NotFoundError(f"no unresolved balance difference {check_id}")


def _decide(
    db: sa.Connection, account_id: AccountId, before: BalanceRule, after: BalanceRule, now: datetime
) -> None:
    set_rule(db, account_id, after, now=now)
    save_choices(db, [account_id], now=now)
    if before.is_sign_flipped != after.is_sign_flipped:
        forget_checkpoints(db, account_id)


def _lock_account(db: sa.Connection, account_id: AccountId) -> AccountId:
    """
    Keep syncs from choosing by another rule than the one that is being decided.

    Returns its id as it is stored, however it was written.
    """
    connection_id, _ = load_account(db, account_id)
    lock_connection(db, connection_id)
    load_account(db, account_id)  # whoever held it may have erased it
    return AccountId(str(uuid.UUID(account_id)))
