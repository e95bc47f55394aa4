"""Raw payloads: what the provider said, byte by byte, once, for a limited time."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.raw_payloads import (
    delete_raw_payloads,
    load_raw_payloads,
    save_raw_payload,
    save_raw_payloads,
)
from bank_pipeline.storage.tables import raw_payloads
from bank_pipeline_tests.storage.linked import Linked
from bank_pipeline_tests.vaults import VAULT


def answer(number: int, *, operation: str = "transactions/sync") -> RawAnswer:
    """A distinct answer, with bytes of every kind."""
    body = bytes(range(256)) * 10 + str(number).encode()
    return RawAnswer(operation, body, digest=f"digest {number}".encode(), request_id="r1")


def test_answers_come_back_as_they_came_in_their_order(
    db: sa.Connection, linked: Linked, sync_run_id: SyncRunId, now: datetime
) -> None:
    """Replaying needs every byte and the order of pages."""
    for number in (3, 1, 2):
        save_raw_payload(
            db, linked.connection.id, sync_run_id, answer(number), now=now, vault=VAULT
        )

    loaded = list(load_raw_payloads(db, sync_run_id, vault=VAULT))

    assert [stored.body for stored in loaded] == [answer(n).body for n in (3, 1, 2)]
    assert {(stored.operation, stored.request_id) for stored in loaded} == {
        ("transactions/sync", "r1")
    }
    assert max(map(len, db.scalars(sa.select(raw_payloads.c.body)))) < len(answer(1).body) / 4


def test_the_same_answer_is_kept_once(
    db: sa.Connection, linked: Linked, sync_run_id: SyncRunId, now: datetime
) -> None:
    """Another operation's or another day's equal answer: only what is new is stored."""
    connection_id = linked.connection.id
    saved = [
        save_raw_payload(db, connection_id, run_id, given, now=now, vault=VAULT)
        for run_id, given in (
            (sync_run_id, answer(1)),
            (SyncRunId(new_id()), answer(1)),
            (sync_run_id, answer(1, operation="accounts/get")),
        )
    ]

    assert saved == [True, False, True]


def test_many_answers_go_in_together_each_once(
    db: sa.Connection, linked: Linked, sync_run_id: SyncRunId, now: datetime
) -> None:
    """Also the one that came twice in one sync, and the one that was there."""
    connection_id, day = linked.connection.id, timedelta(days=1)

    def save(*numbers: int, at: datetime) -> int:
        answers = [(answer(number), at + number * day) for number in numbers]
        return save_raw_payloads(db, connection_id, sync_run_id, answers, vault=VAULT)

    counts = [save(2, at=now), save(3, 1, 2, 3, at=now), save(at=now), save(1, 3, at=now + 6 * day)]

    assert counts == [1, 2, 0, 0]
    loaded = list(load_raw_payloads(db, sync_run_id, vault=VAULT))
    assert [one.body for one in loaded] == [answer(n).body for n in (2, 3, 1)]
    assert [(one.received_at - now) // day for one in loaded] == [2, 3, 1]
    assert save(1, at=now + 8 * day) == 0
    assert now + 9 * day in {
        one.received_at for one in load_raw_payloads(db, sync_run_id, vault=VAULT)
    }


def test_old_answers_are_deleted_in_portions(
    db: sa.Connection, linked: Linked, sync_run_id: SyncRunId, now: datetime
) -> None:
    """Each portion is bounded, the oldest first, and what is young stays."""
    for day in range(5):
        at = now + timedelta(days=day)
        save_raw_payload(db, linked.connection.id, sync_run_id, answer(day), now=at, vault=VAULT)
    before = now + timedelta(days=3)

    counts = [delete_raw_payloads(db, before=before, limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert [a.received_at for a in load_raw_payloads(db, sync_run_id, vault=VAULT)] == [
        before,
        before + timedelta(days=1),
    ]
