"""Quarantine: a bad row is kept once, with its text, until somebody resolves it."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.providers.answers import QuarantinedRow
from bank_pipeline.storage.quarantine import load_open_quarantine, save_quarantined, set_resolved
from bank_pipeline_tests.storage.linked import Linked, link
from bank_pipeline_tests.vaults import VAULT

BAD = QuarantinedRow("transactions/sync", "txn-1", '{"amount": "NaN"}', "amount: not finite")


def save(db: sa.Connection, linked: Linked, *rows: QuarantinedRow, now: datetime) -> int:
    """Quarantine rows as a sync does."""
    run_id = SyncRunId("01a1fc2e-72cd-7695-ab7e-0be78356b05e")
    return save_quarantined(
        db, linked.connection.id, rows, sync_run_id=run_id, now=now, vault=VAULT
    )


def test_the_same_bad_row_is_kept_once(db: sa.Connection, linked: Linked, now: datetime) -> None:
    """In one answer and day after day; the first sight stays."""
    later = now + timedelta(days=1)

    counts = (save(db, linked, BAD, BAD, now=now), save(db, linked, BAD, now=later))

    assert counts == (1, 0)
    (row,) = load_open_quarantine(db, connection_id=linked.connection.id, limit=10, vault=VAULT)
    assert (row.external_id, row.raw, row.reason, row.at) == ("txn-1", BAD.raw, BAD.reason, now)


def test_a_resolved_row_that_comes_again_is_open_again(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Whoever resolved it has not: it must show."""
    save(db, linked, BAD, now=now)
    (row,) = load_open_quarantine(db, connection_id=None, limit=10, vault=VAULT)

    resolved = [set_resolved(db, row.id, now=now) for _ in range(2)]
    open_after = load_open_quarantine(db, connection_id=None, limit=10, vault=VAULT)
    again_count = save(db, linked, BAD, now=now)

    assert (resolved, open_after, again_count) == ([True, False], [], 1)
    assert len(load_open_quarantine(db, connection_id=None, limit=10, vault=VAULT)) == 1


def test_each_connection_has_its_own(db: sa.Connection, linked: Linked, now: datetime) -> None:
    """Equal rows of two connections are two; nothing to keep is nothing done."""
    other = link(db, now, external_id="item-2")
    save(db, linked, BAD, now=now)
    save(db, other, BAD, now=now)

    assert save(db, other, now=now) == 0
    assert len(load_open_quarantine(db, connection_id=None, limit=10, vault=VAULT)) == 2
    assert (
        len(load_open_quarantine(db, connection_id=other.connection.id, limit=10, vault=VAULT)) == 1
    )
