"""Institutions, as the providers describe them."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.storage.tables import institutions


def save_institution(db: sa.Connection, institution: Institution, *, now: datetime) -> None:
    """Store an institution as the provider describes it now; `now` is when it was fetched."""
    row = institution.model_dump() | {
        "countries": [*institution.countries],
        "fetched_at": now,
    }
    statement = insert(institutions).values(row)
    db.execute(
        statement.on_conflict_do_update(index_elements=["provider", "external_id"], set_=row)
    )


def load_institution(
    db: sa.Connection, provider: Provider, external_id: str, *, fetched_since: datetime
) -> Institution | None:
    """Load an institution; None when it is unknown, or was last fetched before that time."""
    columns = [institutions.c[name] for name in Institution.model_fields]
    query = sa.select(*columns).where(
        institutions.c.provider == provider,
        institutions.c.external_id == external_id,
        institutions.c.fetched_at >= fetched_since,
    )
    row = db.execute(query).mappings().one_or_none()
    return None if row is None else Institution.model_validate(dict(row))
