"""
Institutions, as the providers describe them: one row per bank and provider.

Only differences are written, so that reading an unchanged list of 12,000 banks again writes
nothing. `fetched_at` is therefore when a description was first seen or last changed, not when
it was last read. What we learned ourselves, popularity and history, no list touches.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.errors import SetupError
from bank_pipeline.storage.columns import given_rows
from bank_pipeline.storage.tables import institutions

_KEY: Final = ("provider", "external_id")
DAYS_MAX: Final = 36_500  # a limit of none or more is a slip of the bank's: unknown
_DESCRIPTION: Final = tuple(name for name in Institution.model_fields if name not in _KEY)


@dataclass(frozen=True)
class InstitutionCounts:
    """Rows that a list wrote, and those it left alone; `updated` holds what is offered again."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0


@dataclass(frozen=True)
class _Stored:
    description: tuple[Any, ...]
    is_removed: bool


def save_institutions(
    db: sa.Connection,
    provider: Provider,
    listed: Sequence[Institution],
    *,
    now: datetime,
    unreadable: Collection[str | None] = (),
    accept_removals: bool = False,
) -> InstitutionCounts:
    """
    Make the rows of one provider equal to its whole list.

    A bank that the list lacks is removed, softly, and restored when it is back. `unreadable`
    are the external ids of listed banks that could not be read: they stay as they are. One of
    them that we do not know, or None, may be any bank that is missing, so none is removed.
    A torn list must not empty the table: one that lacks more than half of the live banks, and
    is shorter than they are many, is refused unless `accept_removals`. An empty one always is.

    Raises:
        SetupError: the list is refused; nothing was written.
    """
    # One list at a time, so that each compares itself with what the other has written.
    db.execute(_LOCK, {"name": f"bank_pipeline.institutions:{provider}"})
    described = {one.external_id: _to_description(one) for one in listed}
    stored = _load_stored(db, provider)
    live = {external_id for external_id, row in stored.items() if not row.is_removed}
    is_complete = {*unreadable} <= stored.keys()
    gone = live - described.keys() - {*unreadable} if is_complete else set[str]()
    if not described:
        raise SetupError(
            f"{provider} offers no bank that can be read; nothing was changed. Check which "
            "countries and products it is asked for, and allows us"
        )
    if len(gone) * 2 > len(live) > len(described) and not accept_removals:
        raise SetupError(
            f"{provider} offers {len(described)} banks and lacks {len(gone)} of the {len(live)} "
            "it had; nothing was changed. If that is right, as with fewer countries: "
            f"bank-pipeline institutions sync {provider} --accept-removals"
        )
    is_new_or_changed = {
        external_id: description
        for external_id, description in described.items()
        if stored.get(external_id) != _Stored(description, is_removed=False)
    }
    inserted = len(described.keys() - stored.keys())
    _upsert(db, _UPSERT_LISTED, provider, is_new_or_changed, now)
    _remove(db, provider, gone, now)
    return InstitutionCounts(
        inserted=inserted,
        updated=len(is_new_or_changed) - inserted,
        removed=len(gone),
        unchanged=len(described) - len(is_new_or_changed),
    )


def save_institution(db: sa.Connection, institution: Institution, *, now: datetime) -> None:
    """
    Store one institution as the provider describes it now; an equal one is not written.

    Whether it is offered is for the whole list to say: a bank that was removed can still be
    described, for the connections that it has.
    """
    provider, external_id = institution.provider, institution.external_id
    description = _to_description(institution)
    stored = _load_stored(db, provider, external_id).get(external_id)
    if stored is None or stored.description != description:
        _upsert(db, _UPSERT_ONE, provider, {external_id: description}, now)


def load_institution(db: sa.Connection, provider: Provider, external_id: str) -> Institution | None:
    """Load an institution as last described, offered or not; None when it is unknown."""
    stored = _load_stored(db, provider, external_id).get(external_id)
    if stored is None:
        return None
    named = dict(zip(_DESCRIPTION, stored.description, strict=True))
    return Institution(provider=provider, external_id=external_id, **named)


def add_popularity(db: sa.Connection, provider: Provider, external_id: str) -> None:
    """Count one more link to this bank; an unknown bank is left unknown."""
    statement = sa.update(institutions).where(*_is_bank(provider, external_id))
    db.execute(statement.values(popularity=institutions.c.popularity + 1))


def learn_history_days(db: sa.Connection, provider: Provider, external_id: str, days: int) -> bool:
    """
    Remember that this bank gives no more than so many days of history; say if that is news.

    What was learned once is only ever lowered. Of an unknown bank nothing is kept.
    """
    assert days > 0, "a bank that gives no history at all is a failure, not a limit"
    learned = institutions.c.history_days_learned
    statement = sa.update(institutions).where(
        *_is_bank(provider, external_id), sa.or_(learned.is_(None), learned > days)
    )
    return db.execute(statement.values(history_days_learned=days)).rowcount == 1


def load_history_days(db: sa.Connection, provider: Provider, external_id: str) -> int | None:
    """
    Load how many days of history this bank gives: what it states, or less where it gave less.

    None when nobody said, or the bank is unknown.
    """
    query = sa.select(HISTORY_DAYS).where(*_is_bank(provider, external_id))
    days: int | None = db.scalar(query)
    return days


HISTORY_DAYS: Final = sa.func.least(  # which looks past NULL
    institutions.c.history_days_max, institutions.c.history_days_learned
)
_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def _is_bank(provider: Provider, external_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return institutions.c.provider == provider, institutions.c.external_id == external_id


def _to_description(institution: Institution) -> tuple[Any, ...]:
    """Return the values of `_DESCRIPTION`; countries in one order, since none is meant."""
    values = {name: getattr(institution, name) for name in _DESCRIPTION}
    values["countries"] = sorted({*institution.countries})
    values["customer_kinds"] = sorted({*institution.customer_kinds})
    for name in ("history_days_max", "consent_days_max"):
        days = values[name]
        values[name] = days if days is not None and 0 < days <= DAYS_MAX else None
    return tuple(values.values())


def _load_stored(
    db: sa.Connection, provider: Provider, external_id: str | None = None
) -> dict[str, _Stored]:
    """Load one bank of a provider, or all of them, by external id."""
    columns = [institutions.c[name] for name in _DESCRIPTION]
    is_removed = institutions.c.removed_at.is_not(None)
    query = sa.select(institutions.c.external_id, is_removed, *columns)
    query = query.where(institutions.c.provider == provider)
    if external_id is not None:
        query = query.where(institutions.c.external_id == external_id)
    return {row[0]: _Stored(tuple(row[2:]), is_removed=row[1]) for row in db.execute(query)}


def _upsert(
    db: sa.Connection,
    statement: sa.Executable,
    provider: Provider,
    described: dict[str, tuple[Any, ...]],
    now: datetime,
) -> None:
    if not described:
        return
    rows = [
        {
            "provider": provider,
            "external_id": external_id,
            "fetched_at": now.isoformat(),
            **dict(zip(_DESCRIPTION, description, strict=True)),
        }
        for external_id, description in described.items()
    ]
    db.execute(statement, {"rows": json.dumps(rows)})


def _remove(db: sa.Connection, provider: Provider, gone: Collection[str], now: datetime) -> None:
    if not gone:
        return
    are_meant = sa.any_(sa.bindparam("gone", [*gone], type_=ARRAY(sa.Text)))
    statement = sa.update(institutions).where(
        institutions.c.provider == provider, institutions.c.external_id == are_meant
    )
    db.execute(statement.values(removed_at=now))


def _build_upsert(*, restores: bool) -> sa.Executable:
    """Build the INSERT of many rows, or else UPDATE, out of one parameter: an array of JSON."""
    names = (*_KEY, *_DESCRIPTION, "fetched_at")
    rows = given_rows(institutions, names)
    statement = insert(institutions).from_select(names, sa.select(*(rows.c[n] for n in names)))
    updated: dict[str, Any] = {
        name: statement.excluded[name] for name in (*_DESCRIPTION, "fetched_at")
    }
    if restores:
        updated["removed_at"] = sa.null()
    return statement.on_conflict_do_update(index_elements=[*_KEY], set_=updated)


_UPSERT_LISTED: Final = _build_upsert(restores=True)
_UPSERT_ONE: Final = _build_upsert(restores=False)
