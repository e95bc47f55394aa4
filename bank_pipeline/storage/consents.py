"""
Consents beside the one in use: the next one until it has read, and those to be ended.

A ciphertext is bound to its connection wherever it lies, so that it moves between these tables
and `credentials` without being opened; one without a connection is bound to its own row.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.balance import Balance
from bank_pipeline.domain.connection import Connection, Provider
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.errors import ConcurrentSyncError
from bank_pipeline.storage.belonging import team_of_connection
from bank_pipeline.storage.credentials import Sealed, Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.sealed_columns import told_by
from bank_pipeline.storage.tables import connections, consents_to_end, credentials, next_consents

REPLACED: Final = "replaced"
NOT_USED: Final = "not_used"
DISCONNECTED: Final = "disconnected"
ABANDONED: Final = "abandoned"
_FORGOTTEN: Final = (  # a new consent may open more, or less
    *("cursor", "refused_beyond_days", "given_days", "given_at", "last_full_accounts_at"),
)


@dataclass(frozen=True)
class NextConsent:
    """
    A new consent of a connection that has not read an account yet.

    `accounts` and `balances` came with the link; None where nothing did.
    """

    connection_id: ConnectionId
    provider: Provider
    external_id: str = field(repr=False)
    institution_external_id: str | None
    institution_name: str | None
    consent_expires_at: datetime | None
    credential: SecretStr
    accounts: tuple[Account, ...] | None
    balances: tuple[Balance, ...]
    attempts: int
    last_error: str | None
    created_at: datetime

    def applied_to(self, connection: Connection) -> Connection:
        """Return the connection as it is under this consent."""
        return connection.model_copy(
            update={
                "provider": self.provider,
                "external_id": self.external_id,
                "institution_external_id": self.institution_external_id
                or connection.institution_external_id,
                "institution_name": self.institution_name or connection.institution_name,
                "consent_expires_at": self.consent_expires_at,
                **dict.fromkeys(_FORGOTTEN),
            }
        )


@dataclass(frozen=True)
class ConsentToEnd:
    """A consent that nobody uses any more and that the provider has not ended yet."""

    id: str
    connection_id: ConnectionId | None
    provider: Provider
    reason: str
    sealed: Sealed = field(repr=False)
    bound_to: str
    attempts: int


def store_next_consent(  # noqa: PLR0913 - a row, by the names of its columns
    db: sa.Connection,
    connection_id: ConnectionId,
    provider: Provider,
    *,
    external_id: str,
    credential: SecretStr,
    institution: tuple[str | None, str | None],
    consent_expires_at: datetime | None,
    told: tuple[Sequence[Account], Sequence[Balance]] | None,
    vault: Vault,
    now: datetime,
) -> None:
    """
    Keep a new consent until it has read an account; an earlier one that has not is given up.

    `institution` is its external id and its name.
    """
    if _take_next(db, connection_id, external_id) is None:  # the same, told twice, goes on
        drop_next_consent(db, connection_id, now=now)
    sealed = vault.encrypt(credential, connection_id)
    came = None if told is None else vault.seal(_to_json(*told), told_by(connection_id))
    db.execute(
        next_consents.insert().values(
            connection_id=connection_id,
            team_id=team_of_connection(connection_id),
            provider=provider,
            external_id=external_id,
            institution_external_id=institution[0],
            institution_name=institution[1],
            consent_expires_at=consent_expires_at,
            ciphertext=sealed.ciphertext,
            key_id=sealed.key_id,
            told_ciphertext=None if came is None else came.ciphertext,
            told_key_id=None if came is None else came.key_id,
            created_at=now,
        )
    )


def load_next_consent(
    db: sa.Connection, connection_id: ConnectionId, vault: Vault
) -> NextConsent | None:
    """Load the consent that is to be used next; None without one."""
    query = sa.select(next_consents).where(next_consents.c.connection_id == connection_id)
    row = db.execute(query).one_or_none()
    if row is None:
        return None
    told = _open_told(row, vault)
    accounts = told.get("accounts")
    return NextConsent(
        connection_id=connection_id,
        provider=Provider(row.provider),
        external_id=row.external_id,
        institution_external_id=row.institution_external_id,
        institution_name=row.institution_name,
        consent_expires_at=row.consent_expires_at,
        credential=vault.decrypt(Sealed(bytes(row.ciphertext), row.key_id), connection_id),
        accounts=None
        if accounts is None
        else tuple(Account.model_validate(one) for one in accounts),
        balances=tuple(Balance.model_validate(one) for one in told.get("balances", ())),
        attempts=row.attempts,
        last_error=row.last_error,
        created_at=row.created_at,
    )


def has_next_consent(db: sa.Connection, connection_id: ConnectionId) -> bool:
    """Say whether a connection has a new consent that has not read an account yet."""
    query = sa.exists().where(next_consents.c.connection_id == connection_id)
    return db.scalar(sa.select(query)) is True


def set_next_consent_failed(
    db: sa.Connection, consent: NextConsent, *, code: str, next_attempt_at: datetime
) -> bool:
    """
    Note why a new consent is not in use yet, after so many attempts, and have it tried again.

    Return whether it is still the next one: what a newer one has replaced puts off nobody.
    """
    noted = db.execute(
        next_consents.update()
        .where(
            next_consents.c.connection_id == consent.connection_id,
            next_consents.c.external_id == consent.external_id,
        )
        .values(attempts=consent.attempts, last_error=code)
    )
    if not noted.rowcount:
        return False
    db.execute(
        connections.update()
        .where(connections.c.id == consent.connection_id)
        .values(next_attempt_at=next_attempt_at)
    )
    return True


def drop_next_consent(
    db: sa.Connection,
    connection_id: ConnectionId,
    *,
    now: datetime,
    external_id: str | None = None,
) -> bool:
    """Give up a new consent: it is to be ended. Return whether there was one (of this name)."""
    row = _take_next(db, connection_id, external_id)
    if row is None:
        return False
    sealed = Sealed(bytes(row.ciphertext), row.key_id)
    whose = (connection_id, TeamId(row.team_id))
    _insert_to_end(db, whose, Provider(row.provider), sealed, reason=NOT_USED, now=now)
    return True


def adopt_next_consent(
    db: sa.Connection, connection: Connection, consent: NextConsent, *, now: datetime
) -> Connection:
    """
    Put the new consent in use and the old one on the list of those to be ended.

    Raises:
        ConcurrentSyncError: it is not the next one any more, or another connection has it.
    """
    row = _take_next(db, connection.id, consent.external_id)
    if row is None:
        raise ConcurrentSyncError(f"connection {connection.id} was renewed once more meanwhile")
    retire_credential(db, connection, reason=REPLACED, now=now)
    db.execute(
        credentials.insert().values(
            connection_id=connection.id,
            team_id=connection.team_id,
            ciphertext=row.ciphertext,
            key_id=row.key_id,
            updated_at=now,
        )
    )
    after = consent.applied_to(connection)
    told = ("provider", "external_id", "institution_external_id", "institution_name")
    changed = (*told, "consent_expires_at", *_FORGOTTEN)
    values = {name: getattr(after, name) for name in changed}
    db.execute(connections.update().where(connections.c.id == connection.id).values(values))
    return after


def retire_credential(
    db: sa.Connection, connection: Connection, *, reason: str, now: datetime
) -> bool:
    """Take a connection's secret out of use, to be ended; return whether it had one."""
    row = db.execute(
        credentials.delete()
        .where(credentials.c.connection_id == connection.id)
        .returning(credentials.c.ciphertext, credentials.c.key_id)
    ).one_or_none()
    if row is None:
        return False
    sealed = Sealed(bytes(row.ciphertext), row.key_id)
    whose = (connection.id, connection.team_id)
    _insert_to_end(db, whose, connection.provider, sealed, reason=reason, now=now)
    return True


def insert_consent_to_end(
    db: sa.Connection,
    provider: Provider,
    credential: SecretStr,
    *,
    connection_id: ConnectionId | None,
    team_id: TeamId | None,
    reason: str,
    vault: Vault,
    now: datetime,
) -> None:
    """Keep a consent that nobody uses until the provider has ended it."""
    own_id = new_id()
    bound_to = connection_id or own_id
    sealed = vault.encrypt(credential, bound_to)
    whose = (connection_id, team_id)
    _insert_to_end(db, whose, provider, sealed, reason=reason, now=now, own_id=own_id)


def load_due_consents(
    db: sa.Connection,
    *,
    now: datetime,
    limit: int,
    connection_id: ConnectionId | None = None,
) -> list[ConsentToEnd]:
    """Load consents whose next try to end them has come; all of one connection's, due or not."""
    query = sa.select(consents_to_end).where(consents_to_end.c.ended_at.is_(None))
    if connection_id is None:
        query = query.where(consents_to_end.c.next_attempt_at <= now)
    else:
        query = query.where(consents_to_end.c.connection_id == connection_id)
    rows = db.execute(query.order_by(consents_to_end.c.next_attempt_at).limit(limit))
    return [
        ConsentToEnd(
            id=row.id,
            connection_id=row.connection_id,
            provider=Provider(row.provider),
            reason=row.reason,
            sealed=Sealed(bytes(row.ciphertext), row.key_id),
            bound_to=row.bound_to,
            attempts=row.attempts,
        )
        for row in rows
    ]


def load_oldest_due(db: sa.Connection, *, now: datetime) -> datetime | None:
    """Load since when a try to end a consent is due; None when none is."""
    query = sa.select(sa.func.min(consents_to_end.c.next_attempt_at)).where(
        consents_to_end.c.ended_at.is_(None), consents_to_end.c.next_attempt_at <= now
    )
    due_at: datetime | None = db.scalar(query)
    return due_at


def is_any_to_end(db: sa.Connection, connection_id: ConnectionId) -> bool:
    """Say whether a connection has consents that the provider has not ended yet."""
    query = sa.select(consents_to_end.c.id).where(
        consents_to_end.c.connection_id == connection_id, consents_to_end.c.ended_at.is_(None)
    )
    return db.execute(query.limit(1)).one_or_none() is not None


def set_consent_ended(db: sa.Connection, consent_id: str, *, now: datetime) -> bool:
    """Note that a consent has ended, and forget its secret; return whether that is news."""
    values = {"ended_at": now, "next_attempt_at": None, "ciphertext": None, "key_id": None}
    statement = consents_to_end.update().where(
        consents_to_end.c.id == consent_id, consents_to_end.c.ended_at.is_(None)
    )
    return db.execute(statement.values(values)).rowcount == 1


def give_up_consents(db: sa.Connection, connection_id: ConnectionId, *, now: datetime) -> int:
    """Take a connection's consents for ended though no provider said so; return how many."""
    values = {"ended_at": now, "next_attempt_at": None, "ciphertext": None, "key_id": None}
    statement = consents_to_end.update().where(
        consents_to_end.c.connection_id == connection_id, consents_to_end.c.ended_at.is_(None)
    )
    return db.execute(statement.values(values)).rowcount


def set_consent_failed(
    db: sa.Connection, consent_id: str, *, code: str, next_attempt_at: datetime
) -> None:
    """Note why a consent could not be ended, and when it is tried again."""
    db.execute(
        consents_to_end.update()
        .where(consents_to_end.c.id == consent_id, consents_to_end.c.ended_at.is_(None))
        .values(
            attempts=consents_to_end.c.attempts + 1,
            last_error=code,
            next_attempt_at=next_attempt_at,
        )
    )


def _insert_to_end(
    db: sa.Connection,
    whose: tuple[ConnectionId | None, TeamId | None],
    provider: Provider,
    sealed: Sealed,
    *,
    reason: str,
    now: datetime,
    own_id: str | None = None,
) -> None:
    own_id = own_id or new_id()
    connection_id, team_id = whose
    db.execute(
        insert(consents_to_end).values(
            id=own_id,
            connection_id=connection_id,
            team_id=team_id,
            provider=provider,
            reason=reason,
            bound_to=connection_id or own_id,
            ciphertext=sealed.ciphertext,
            key_id=sealed.key_id,
            created_at=now,
            next_attempt_at=now,
        )
    )


def _take_next(
    db: sa.Connection, connection_id: ConnectionId, external_id: str | None
) -> sa.Row[Any] | None:
    statement = next_consents.delete().where(next_consents.c.connection_id == connection_id)
    if external_id is not None:
        statement = statement.where(next_consents.c.external_id == external_id)
    return db.execute(statement.returning(next_consents)).one_or_none()


def _open_told(row: sa.Row[Any], vault: Vault) -> Mapping[str, Any]:
    if row.told_ciphertext is None:
        return {}
    sealed = Sealed(bytes(row.told_ciphertext), row.told_key_id)
    told: Mapping[str, Any] | None = json.loads(vault.unseal(sealed, told_by(row.connection_id)))
    return told or {}  # null: an older release wrote that nothing came, and a migration sealed it


def _to_json(accounts: Sequence[Account], balances: Sequence[Balance]) -> bytes:
    told = {
        "accounts": [one.model_dump(mode="json") for one in accounts],
        "balances": [one.model_dump(mode="json") for one in balances],
    }
    return json.dumps(told).encode()
