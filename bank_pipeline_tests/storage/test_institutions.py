"""Institutions: as last described, and as fresh as asked for."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.institution import Institution
from bank_pipeline.storage.institutions import load_institution, save_institution

BANK = Institution(
    provider=Provider.PLAID, external_id="ins_1", name="First Bank", countries=("US", "CA")
)


def test_the_last_description_counts(db: sa.Connection, now: datetime) -> None:
    """Saved twice it is one institution, as described the second time."""
    renamed = BANK.model_copy(update={"name": "First Bank Plc", "is_oauth": True})
    save_institution(db, BANK, now=now)
    save_institution(db, renamed, now=now)

    assert load_institution(db, Provider.PLAID, "ins_1", fetched_since=now) == renamed
    assert load_institution(db, Provider.TELLER, "ins_1", fetched_since=now) is None


def test_a_stale_description_is_as_good_as_none(db: sa.Connection, now: datetime) -> None:
    """Fetching it again makes it fresh, even when nothing changed."""
    tomorrow = now + timedelta(days=1)
    save_institution(db, BANK, now=now)
    stale = load_institution(db, Provider.PLAID, "ins_1", fetched_since=tomorrow)

    save_institution(db, BANK, now=tomorrow)

    assert stale is None
    assert load_institution(db, Provider.PLAID, "ins_1", fetched_since=tomorrow) == BANK
