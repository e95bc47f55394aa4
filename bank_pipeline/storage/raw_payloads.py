"""
What the provider said, as it said it, compressed and sealed, for replay; each answer once.

An answer is found by a digest that only we can compute, and its own is sealed with it: whoever
knows all of an answer but an account's number would find that by trying.
"""

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.reading import AnswerKey
from bank_pipeline.storage.belonging import OF_GIVEN, team_of_connection
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.sealed_columns import answer as bound_to
from bank_pipeline.storage.tables import raw_payloads

REFRESHED_AFTER: Final = timedelta(days=7)
"""An answer that keeps coming is not old; to write that down at every sync would cost."""

_LEVEL: Final = 1  # a quarter of the default's time for nine tenths of its effect

_KNOWN: Final = sa.text(
    """
    SELECT held.id, held.operation, held.digest, held.received_at
    FROM unnest(CAST(:operations AS text[]), CAST(:digests AS bytea[])) AS given (operation, digest)
    JOIN bank.raw_payloads held USING (operation, digest)
    WHERE held.connection_id = :connection_id
    """
)
_INSERT: Final = (
    insert(raw_payloads)
    .values(team_id=team_of_connection(sa.bindparam(OF_GIVEN)))
    .on_conflict_do_nothing()
)


class Answer(Protocol):
    """What is archived of a provider's answer (`providers.base.RawAnswer`)."""

    @property
    def operation(self) -> str:
        """What was asked."""

    @property
    def body(self) -> bytes:
        """The answer, as it came."""

    @property
    def digest(self) -> bytes:
        """Equal for answers that say the same."""

    @property
    def request_id(self) -> str | None:
        """The provider's name of the call."""


@dataclass(frozen=True)
class StoredAnswer:
    """One archived answer, as it came."""

    operation: str
    body: bytes
    digest: bytes
    request_id: str | None
    received_at: datetime


def save_raw_payload(
    db: sa.Connection,
    connection_id: ConnectionId,
    sync_run_id: SyncRunId,
    answer: Answer,
    *,
    vault: Vault,
    now: datetime,
) -> bool:
    """Archive one answer and return whether it is new; see `save_raw_payloads`."""
    return save_raw_payloads(db, connection_id, sync_run_id, [(answer, now)], vault=vault) == 1


def save_raw_payloads(
    db: sa.Connection,
    connection_id: ConnectionId,
    sync_run_id: SyncRunId,
    answers: Sequence[tuple[Answer, datetime]],
    *,
    vault: Vault,
) -> int:
    """
    Archive answers, each with when it came; return how many are new: others write nothing.

    But once a week it is written down that one still comes, since it is kept by its age.

    Holds personal data, so it is kept for a limited time: see `delete_raw_payloads`. Answers
    that carry a credential never come here.
    """
    given: dict[AnswerKey, tuple[Answer, datetime]] = {}
    for answer, came_at in answers:
        given.setdefault((answer.operation, vault.to_keyed(answer.digest)), (answer, came_at))
    if not given:
        return 0
    operations, digests = zip(*given, strict=True)
    asked = {"operations": [*operations], "digests": [*digests], "connection_id": connection_id}
    known = {  # asked first, because even a declined insert writes
        (row.operation, bytes(row.digest)): row for row in db.execute(_KNOWN, asked)
    }
    for key, row in known.items():
        came_at = given[key][1]
        if row.received_at < came_at - REFRESHED_AFTER:
            is_this = raw_payloads.c.id == row.id
            db.execute(raw_payloads.update().where(is_this).values(received_at=came_at))
    new = [
        _to_row(connection_id, sync_run_id, key, *answered, vault=vault)
        for key, answered in given.items()
        if key not in known
    ]
    if new:
        db.execute(_INSERT, new)
    return len(new)


def load_answers(
    db: sa.Connection, connection_id: ConnectionId, keys: Collection[AnswerKey], *, vault: Vault
) -> dict[AnswerKey, StoredAnswer]:
    """
    Load answers by operation and keyed digest; those that were deleted by now are absent.

    Raises:
        SecretError: one does not open.
    """
    if not keys:
        return {}
    query = sa.select(raw_payloads).where(
        raw_payloads.c.connection_id == connection_id,
        sa.tuple_(raw_payloads.c.operation, raw_payloads.c.digest).in_([*keys]),
    )
    return {(row.operation, bytes(row.digest)): _to_answer(row, vault) for row in db.execute(query)}


def load_raw_payloads(
    db: sa.Connection, sync_run_id: SyncRunId, *, vault: Vault
) -> Iterator[StoredAnswer]:
    """
    Load the answers that a sync was first to receive, in their order, one at a time.

    Raises:
        SecretError: one does not open.
    """
    query = sa.select(raw_payloads).where(raw_payloads.c.sync_run_id == sync_run_id)
    for row in db.execute(query.order_by(raw_payloads.c.id)):
        yield _to_answer(row, vault)


def delete_raw_payloads(db: sa.Connection, *, before: datetime, limit: int) -> int:
    """Delete the oldest answers received before a time, at most `limit`; return how many."""
    oldest = (
        sa.select(raw_payloads.c.id)
        .where(raw_payloads.c.received_at < before)
        .order_by(raw_payloads.c.id)
        .limit(limit)
    )
    return db.execute(sa.delete(raw_payloads).where(raw_payloads.c.id.in_(oldest))).rowcount


def to_body(content: bytes) -> bytes:
    """Return the answer in what was sealed: its digest's length, its digest, and itself, packed."""
    return zlib.decompress(content[1 + content[0] :])


def _to_row(
    connection_id: ConnectionId,
    sync_run_id: SyncRunId,
    key: AnswerKey,
    answer: Answer,
    came_at: datetime,
    *,
    vault: Vault,
) -> dict[str, Any]:
    operation, digest = key
    sealed = vault.seal(_to_content(answer), bound_to(connection_id, operation, digest))
    return {
        "connection_id": connection_id,
        OF_GIVEN: connection_id,
        "operation": operation,
        "digest": digest,
        "sync_run_id": sync_run_id,
        "request_id": answer.request_id,
        "received_at": came_at,
        "body": sealed.ciphertext,
        "key_id": sealed.key_id,
    }


def _to_content(answer: Answer) -> bytes:
    return bytes([len(answer.digest)]) + answer.digest + zlib.compress(answer.body, _LEVEL)


def _to_answer(row: sa.Row[Any], vault: Vault) -> StoredAnswer:
    name = bound_to(row.connection_id, row.operation, bytes(row.digest))
    content = vault.unseal(Sealed(bytes(row.body), row.key_id), name)
    return StoredAnswer(
        operation=row.operation,
        body=to_body(content),
        digest=content[1 : 1 + content[0]],
        request_id=row.request_id,
        received_at=row.received_at,
    )
