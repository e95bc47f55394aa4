"""Balances that a bank tells of the first account, and what analysts see of them."""

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.balance_choice import save_choices
from bank_pipeline.storage.balances import save_balances
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline_tests.storage.linked import Linked

WHOLE: Final = ("acc-1",)


def told(
    db: sa.Connection,
    linked: Linked,
    *ones: Balance,
    now: datetime,
    whole: tuple[str, ...] = WHOLE,
) -> int:
    """Save balances and choose among them, as a sync does; return how many choices changed."""
    save_balances(
        db,
        linked.connection,
        ones,
        account_ids=linked.account_ids,
        sync_run_id=SyncRunId(new_id()),
        now=now,
        whole=whole,
    )
    return save_choices(db, linked.account_ids.values(), now=now)


def shown(db: sa.Connection, *columns: str) -> tuple[Any, ...]:
    """What analysts see of the first account."""
    query = f"SELECT {', '.join(columns)} FROM analytics.accounts WHERE external_id = 'acc-1'"
    return tuple(db.execute(sa.text(query)).one())
