"""
Every column whose content is sealed, and what binds each content to its row.

The one list of them: who seals, who changes keys and who looks for what a key still opens go by
it. A ciphertext that is moved to another row, or another column, does not open there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.errors import SecretError
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.tables import (
    account_questions,
    accounts,
    consents_to_end,
    credentials,
    data_keys,
    link_sessions,
    next_consents,
    notification_targets,
    quarantine,
    raw_payloads,
)

_SMALL: Final = 200  # rows of one transaction that seals anew: some milliseconds
_LARGE: Final = 20  # the same of answers, which may have megabytes

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SealedColumn:
    """
    One column of ciphertexts, the column with the ids of their keys, and what binds them.

    `parts` are the columns that `bound_to` reads. `batch` is how many rows one transaction
    seals anew.
    """

    kind: str
    table: sa.Table
    ciphertext: str
    key_id: str
    parts: tuple[str, ...]
    bound_to: Callable[[Row], str] = field(repr=False)
    batch: int = _SMALL

    @property
    def row_id(self) -> sa.Column[Any]:
        """Return the column that its rows are found by."""
        [column] = self.table.primary_key.columns
        return column


@dataclass(frozen=True)
class Batch:
    """
    What became of some rows. `last` is the id of the last one, None where none was left.

    `unopened` names rows that do not open, which were left as they are.
    """

    resealed: int
    unopened: tuple[str, ...]
    last: object


def account_numbers(account_id: str) -> str:
    """Return what the numbers of an account are bound to."""
    return f"numbers of account {account_id}"


def question_numbers(question_id: str) -> str:
    """Return what the numbers of an account are bound to that a person is asked about."""
    return f"numbers of account question {question_id}"


def told_by(connection_id: str) -> str:
    """Return what is bound to a new consent that came with it."""
    return f"what came with the new consent of {connection_id}"


def notice_target(target_id: str) -> str:
    """Return what the address of a target of notices is bound to."""
    return f"notification target {target_id}"


def answer(connection_id: str, operation: str, digest: bytes) -> str:
    """Return what an archived answer is bound to."""
    return f"answer {digest.hex()} of {operation} of connection {connection_id}"


def unfit_row(connection_id: str, digest: bytes) -> str:
    """Return what the text of a quarantined row is bound to."""
    return f"quarantined row {digest.hex()} of connection {connection_id}"


def data_key(purpose: str) -> str:
    """Return what a stored key is bound to."""
    return f"data key {purpose}"


def _its(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


SEALED: Final[tuple[SealedColumn, ...]] = (
    SealedColumn(
        "data keys",
        data_keys,
        "ciphertext",
        "key_id",
        ("purpose",),
        lambda row: data_key(row["purpose"]),
    ),
    SealedColumn(
        "credentials",
        credentials,
        "ciphertext",
        "key_id",
        ("connection_id",),
        _its("connection_id"),
    ),
    SealedColumn(
        "new consents",
        next_consents,
        "ciphertext",
        "key_id",
        ("connection_id",),
        _its("connection_id"),
    ),
    SealedColumn(
        "accounts of new consents",
        next_consents,
        "told_ciphertext",
        "told_key_id",
        ("connection_id",),
        lambda row: told_by(row["connection_id"]),
    ),
    SealedColumn(
        "consents to end",
        consents_to_end,
        "ciphertext",
        "key_id",
        ("bound_to",),
        _its("bound_to"),
    ),
    SealedColumn(
        "links under way", link_sessions, "state_ciphertext", "key_id", ("id",), _its("id")
    ),
    SealedColumn(
        "notification targets",
        notification_targets,
        "ciphertext",
        "key_id",
        ("id",),
        lambda row: notice_target(row["id"]),
    ),
    SealedColumn(
        "account numbers",
        accounts,
        "numbers_ciphertext",
        "numbers_key_id",
        ("id",),
        lambda row: account_numbers(row["id"]),
    ),
    SealedColumn(
        "questions about accounts",
        account_questions,
        "numbers_ciphertext",
        "numbers_key_id",
        ("id",),
        lambda row: question_numbers(row["id"]),
    ),
    SealedColumn(
        "quarantined rows",
        quarantine,
        "raw_ciphertext",
        "raw_key_id",
        ("connection_id", "digest"),
        lambda row: unfit_row(row["connection_id"], bytes(row["digest"])),
    ),
    SealedColumn(
        "answers",
        raw_payloads,
        "body",
        "key_id",
        ("connection_id", "operation", "digest"),
        lambda row: answer(row["connection_id"], row["operation"], bytes(row["digest"])),
        batch=_LARGE,
    ),
)
"""What is small and everything depends on comes first, what is large last."""


def count_sealed(
    db: sa.Connection, key_ids: Sequence[str] | None = None
) -> dict[str, dict[str, int]]:
    """Count what each key (or each of these) has sealed, by kind: {key id: {kind: count}}."""
    counts: dict[str, dict[str, int]] = {}
    for one in SEALED:
        key_id = one.table.c[one.key_id]
        query = sa.select(key_id, sa.func.count()).where(key_id.is_not(None)).group_by(key_id)
        if key_ids is not None:
            query = query.where(key_id.in_(key_ids))
        for found, count in db.execute(query):
            counts.setdefault(found, {})[one.kind] = count
    return counts


def reseal_batch(
    db: sa.Connection, column: SealedColumn, vault: Vault, *, after: object, waits: bool
) -> Batch:
    """
    Seal some rows with today's key that an older one sealed, those behind `after` (None: all).

    Rows that somebody holds just now are passed over, unless it `waits` for them: then it takes
    one at a time, because who holds one and waits for another may wait for ever. Nobody's newer
    content is overwritten: a row is held from before it is read, and written only as it was.
    """
    content, key_id = column.table.c[column.ciphertext], column.table.c[column.key_id]
    query = (
        sa.select(
            column.row_id.label("row_id"),
            content.label("ciphertext"),
            key_id.label("sealed_by"),
            *(column.table.c[name] for name in column.parts if name != column.row_id.name),
        )
        .where(key_id != vault.key_id)
        .order_by(column.row_id)
        .limit(1 if waits else column.batch)
        .with_for_update(key_share=True, skip_locked=not waits)
    )
    if after is not None:
        query = query.where(column.row_id > after)
    rows = db.execute(query).mappings().all()
    changes, unopened = [], []
    for row in rows:
        bound_to = column.bound_to({**row, column.row_id.name: row["row_id"]})
        before = Sealed(bytes(row["ciphertext"]), row["sealed_by"])
        try:
            fresh = vault.seal(vault.unseal(before, bound_to), bound_to)
        except SecretError as error:
            unopened.append(str(error))
            continue
        changes.append(
            {
                "changed_id": row["row_id"],
                "before": before.ciphertext,
                "after": fresh.ciphertext,
                "sealed_by": fresh.key_id,
            }
        )
    if changes:
        db.execute(
            sa.update(column.table)
            .where(column.row_id == sa.bindparam("changed_id"), content == sa.bindparam("before"))
            .values({content: sa.bindparam("after"), key_id: sa.bindparam("sealed_by")}),
            changes,
        )
    return Batch(len(changes), tuple(unopened), rows[-1]["row_id"] if rows else None)
