"""What has been pending for long is found without reading the history of its account."""

from datetime import date, datetime

import sqlalchemy as sa

from bank_pipeline.storage.transactions import PENDING_BEFORE
from bank_pipeline_tests.builders import transaction
from bank_pipeline_tests.storage.linked import Linked, apply


def test_what_is_pending_for_long_is_found_by_the_index_of_unbooked_rows(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Every sync asks it of closed accounts, which may have a history of years."""
    apply(db, linked, *(transaction(number) for number in range(2_000)), now=now)
    db.execute(sa.text("ANALYZE bank.transactions"))
    accounts = [*linked.account_ids.values()]
    given = {"accounts": accounts, "days": [date(2026, 1, 1)] * len(accounts)}

    plan = "\n".join(db.scalars(sa.text(f"EXPLAIN {PENDING_BEFORE.text}"), given))

    assert "transactions_unbooked_idx" in plan
