"""Frames for analysts: the views, exact to the last digit."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from bank_pipeline.storage.frames import load_frame
from bank_pipeline_tests.storage.rows import insert_row_everywhere


def test_amounts_in_a_frame_are_exact_and_unknown_ones_are_none(
    engine: sa.Engine, now: datetime
) -> None:
    with engine.begin() as db:
        insert_row_everywhere(db, now)
        db.execute(sa.text("UPDATE bank.transactions SET amount = 0.1000000000000000055"))
        frame = load_frame(db, "transactions")
        db.execute(sa.text("UPDATE bank.transactions SET amount = NULL"))
        unknown = load_frame(db, "transactions")
    assert list(frame["amount"]) == [Decimal("0.1000000000000000055")]
    assert list(unknown["amount"]) == [None]


def test_a_frame_is_bounded_by_inclusive_dates(engine: sa.Engine, now: datetime) -> None:
    with engine.begin() as db:
        insert_row_everywhere(db, now)
        day = db.execute(sa.text("SELECT date FROM analytics.transactions")).scalar_one()
        assert len(load_frame(db, "transactions", first=day, last=day)) == 1
        assert load_frame(db, "transactions", first=date(2100, 1, 1)).empty


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_day_of_balances_is_the_same_wherever_one_looks_from(
    engine: sa.Engine, now: datetime, zone: str
) -> None:
    """It is a day in UTC, as everywhere; a notebook's session may live by another clock."""
    with engine.begin() as db:
        insert_row_everywhere(db, now)
        db.execute(sa.text(f"SET LOCAL TimeZone = '{zone}'"))
        for hour in (0, 23):
            moment = datetime(2026, 6, 16, hour, tzinfo=UTC)
            db.execute(sa.text("UPDATE bank.balances SET observed_at = :at"), {"at": moment})
            assert len(load_frame(db, "balances", first=moment.date(), last=moment.date())) == 1


@pytest.mark.parametrize("view", ["connections", "accounts", "balances"])
def test_every_view_has_a_frame(engine: sa.Engine, now: datetime, view: str) -> None:
    with engine.begin() as db:
        insert_row_everywhere(db, now)
        assert len(load_frame(db, view)) == 1  # type: ignore[arg-type]


def test_bounds_on_a_view_without_dates_are_refused(engine: sa.Engine) -> None:
    with engine.connect() as db, pytest.raises(ValueError, match="no dates"):
        load_frame(db, "accounts", first=date(2026, 1, 1))
