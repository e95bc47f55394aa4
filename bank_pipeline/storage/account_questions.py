"""Accounts that a bank shows and that may be known ones, until a person has told."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.account_matching import AskedAccount
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.account_numbers import SEALED_FIELDS, open_numbers, seal_numbers
from bank_pipeline.storage.belonging import team_of_connection
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.sealed_columns import question_numbers
from bank_pipeline.storage.tables import account_questions

NEW: Final = "new"
SAME: Final = "same"
MOOT: Final = "moot"
"""Nobody has to tell any more: the bank shows it no more, or it is known by now."""


@dataclass(frozen=True)
class AccountQuestion:
    """One question. `candidate_ids` are the accounts that the shown one could be."""

    id: str
    connection_id: ConnectionId
    shown: Account
    candidate_ids: tuple[AccountId, ...]
    is_open: bool


@dataclass(frozen=True)
class ListedQuestion:
    """One open question as a person reads it: the candidates' names in the order of their ids."""

    id: str
    connection_id: str
    institution_name: str | None
    account_name: str
    account_type: str
    account_currency: str | None
    candidate_ids: tuple[str, ...]
    candidate_names: tuple[str, ...]
    asked_at: datetime


def save_questions(
    db: sa.Connection,
    connection_id: ConnectionId,
    asked: Sequence[AskedAccount],
    *,
    account_ids: Mapping[str, AccountId],
    vault: Vault,
    now: datetime,
) -> int:
    """
    Make the open questions of a connection those that are `asked`; return how many are new.

    What is no longer asked is moot.
    """
    is_open = (
        account_questions.c.connection_id == connection_id,
        account_questions.c.decided_at.is_(None),
    )
    names = [one.account.external_id for one in asked]
    query = sa.select(account_questions.c.external_id, account_questions.c.id).where(*is_open)
    known: dict[str, str] = {row.external_id: row.id for row in db.execute(query)}
    if set(names) != known.keys():
        db.execute(
            account_questions.update()
            .where(*is_open, account_questions.c.external_id.not_in(names))
            .values(decided_at=now, decision=MOOT)
        )
    for one in asked:
        name = one.account.external_id
        id_ = known.get(name) or new_id()
        values = {
            "shown": one.account.model_dump(mode="json", exclude=set(SEALED_FIELDS)),
            "candidate_ids": sorted(account_ids[name] for name in one.candidates),
            **seal_numbers(one.account, question_numbers(id_), vault),
        }
        if name in known:
            statement = account_questions.update().where(*is_open, account_questions.c.id == id_)
            db.execute(statement.values(values))
        else:
            team_id = team_of_connection(connection_id)
            row = {"connection_id": connection_id, "external_id": name, "asked_at": now}
            added = account_questions.insert().values(id=id_, team_id=team_id)
            db.execute(added.values(**row, **values))
    return len(set(names) - known.keys())


def end_questions(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> None:
    """Take back all questions of a connection: no answer brings anything any more."""
    is_open = account_questions.c.decided_at.is_(None)
    statement = account_questions.update().where(
        account_questions.c.connection_id == connection_id, is_open
    )
    db.execute(statement.values(decided_at=now, decision=MOOT))


def load_question(
    db: sa.Connection, question_id: str, *, vault: Vault, for_update: bool = False
) -> AccountQuestion:
    """
    Load one question, open or decided.

    Raises:
        NotFoundError: there is none of this id, or it is no id at all.
        SecretError: the numbers of its account do not open.
    """
    try:
        own_id = str(uuid.UUID(question_id))
    except ValueError:
        raise NotFoundError(f"{question_id!r} is not the id of a question") from None
    query = sa.select(account_questions).where(account_questions.c.id == own_id)
    found = db.execute(query.with_for_update() if for_update else query).mappings()
    row = found.one_or_none()
    if row is None:
        raise NotFoundError(f"no question {question_id}; see `bank-pipeline accounts questions`")
    numbers = open_numbers(row, question_numbers(row["id"]), vault)
    return AccountQuestion(
        id=row["id"],
        connection_id=row["connection_id"],
        shown=Account.model_validate({**row["shown"], **numbers}),
        candidate_ids=tuple(row["candidate_ids"]),
        is_open=row["decided_at"] is None,
    )


def set_question_decided(
    db: sa.Connection, question_id: str, *, account_id: AccountId, is_new: bool, now: datetime
) -> None:
    """Note what a person decided; an account that is taken is no candidate of others any more."""
    question = account_questions.c
    db.execute(
        account_questions.update()
        .where(question.id == question_id)
        .values(decided_at=now, decision=NEW if is_new else SAME, decided_account_id=account_id)
    )
    taken = sa.cast(account_id, UUID(as_uuid=False))
    db.execute(
        account_questions.update()
        .where(question.decided_at.is_(None), taken == sa.any_(question.candidate_ids))
        .values(candidate_ids=sa.func.array_remove(question.candidate_ids, taken))
    )


def list_questions(
    db: sa.Connection, *, connection_id: ConnectionId | None = None
) -> list[ListedQuestion]:
    """List the open questions of one connection or of all, the oldest first."""
    query = sa.text(
        "SELECT question_id::text AS id, connection_id::text, institution_name, account_name, "
        "account_type, account_currency, candidate_names, asked_at, "
        "ARRAY(SELECT unnest(candidate_ids) ORDER BY 1)::text[] AS candidate_ids "
        "FROM analytics.account_questions WHERE decided_at IS NULL "
        "AND (CAST(:connection_id AS uuid) IS NULL "
        "     OR connection_id = CAST(:connection_id AS uuid)) ORDER BY asked_at, question_id"
    )
    found = db.execute(query, {"connection_id": connection_id})
    rows = [dict(row) for row in found.mappings()]
    for row in rows:
        row["candidate_ids"] = tuple(row["candidate_ids"])
        row["candidate_names"] = tuple(row["candidate_names"])
    return [ListedQuestion(**row) for row in rows]
