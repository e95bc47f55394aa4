"""The inbox's bell: heard at the commit, by everybody who listens, and by nobody afterwards."""

from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.base import EventKind, ProviderEvent
from bank_pipeline.storage.bell import listening, ring
from bank_pipeline.storage.webhook_events import insert_event

SOON: float = 0.05
LATEST: float = 10


def event(kind: EventKind = EventKind.SYNC) -> ProviderEvent:
    return ProviderEvent(
        provider=Provider.PLAID, kind=kind, code="CODE", external_id="item", event_key="key"
    )


def test_an_event_is_heard_once_it_is_committed(engine: sa.Engine, now: datetime) -> None:
    """Not before: whoever looked then would not see it."""
    with listening(engine) as wait:
        with engine.begin() as db:
            insert_event(db, event(), needs_sync=True, now=now)
            assert not wait(SOON)
        assert wait(LATEST)
        assert not wait(SOON)


def test_equal_news_is_heard_again(engine: sa.Engine, now: datetime) -> None:
    """It asks for another sync, since one under way does not cover it."""
    with engine.begin() as db:
        insert_event(db, event(), needs_sync=True, now=now)
    with listening(engine) as wait:
        with engine.begin() as db:
            insert_event(db, event(), needs_sync=True, now=now)
        assert wait(LATEST)


def test_an_event_that_needs_no_sync_wakes_nobody(engine: sa.Engine, now: datetime) -> None:
    """It is handled by being stored."""
    with listening(engine) as wait:
        with engine.begin() as db:
            insert_event(db, event(EventKind.EXPIRING), needs_sync=False, now=now)
        assert not wait(SOON)


def test_what_rings_between_two_waits_is_heard(engine: sa.Engine) -> None:
    """The server keeps it for the session."""
    with listening(engine) as wait:
        assert not wait(0)
        with engine.begin() as db:
            ring(db)
        assert wait(LATEST)


def test_no_session_goes_on_listening(engine: sa.Engine) -> None:
    """A pooled session that listens would collect sounds that nobody reads."""
    with listening(engine):
        pass
    with engine.connect() as db:
        assert db.scalars(sa.text("SELECT pg_listening_channels()")).all() == []
