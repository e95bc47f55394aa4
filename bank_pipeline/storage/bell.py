"""The inbox's bell: whoever waits for webhooks hears of a new one as soon as it is committed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from bank_pipeline.storage.copying import driver_of

_CHANNEL: Final = "bank_webhooks"


def ring(db: sa.Connection) -> None:
    """Wake whoever waits, once this transaction is committed. Says nothing of what came."""
    db.execute(_NOTIFY)


@contextmanager
def listening(engine: sa.Engine) -> Iterator[Callable[[float], bool]]:
    """
    Listen while the context lasts; yields a function that waits for at most so many seconds.

    It returns whether the bell rang. What rings between two waits is heard by the second.
    It takes a session of its own; a pooler that pools by transaction loses the sound, so that
    whoever waits should look now and then.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(_LISTEN)
        driver = driver_of(session)

        def wait(seconds: float) -> bool:
            return any(True for _ in driver.notifies(timeout=max(seconds, 0), stop_after=1))

        try:
            yield wait
        finally:
            session.invalidate()  # the pool must not keep one that still listens


_NOTIFY: Final = sa.text(f"SELECT pg_notify('{_CHANNEL}', '')")
_LISTEN: Final = sa.text(f"LISTEN {_CHANNEL}")
