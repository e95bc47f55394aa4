"""The answers of one sync: held as they come, and archived together before they are applied."""

import logging
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.raw_payloads import save_raw_payloads
from bank_pipeline.sync.context import Clock

HELD_BYTES_MAX: Final = 2 * 1024 * 1024
"""A day's answers are far smaller; a whole history is not, and must not be held in memory."""

_log: Final = logging.getLogger(__name__)


class AnswerBook:
    """
    Archives the answers of one sync.

    They are written at once when all have come, or with the failure that kept the others from
    coming. Of a process that is killed before, those that it held are lost; they were not applied,
    so they are asked for again. `db` is a session that commits each statement.
    """

    def __init__(
        self,
        db: sa.Connection,
        connection_id: ConnectionId,
        sync_run_id: SyncRunId,
        *,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._db = db
        self._connection_id = connection_id
        self._sync_run_id = sync_run_id
        self._vault = vault
        self._clock = clock
        self._held: list[tuple[RawAnswer, datetime]] = []
        self._size = 0

    def keep(self, answer: RawAnswer) -> None:
        """Keep one answer."""
        self._held.append((answer, self._clock()))
        self._size += len(answer.body)
        if self._size > HELD_BYTES_MAX:
            self.write()

    def write(self) -> None:
        """Archive what is held."""
        self._save(self._db)
        self._held, self._size = [], 0

    def write_after_failure(self, engine: sa.Engine) -> None:
        """Archive what is held in a transaction of its own; the failure counts for more than it."""
        try:
            with engine.begin() as db:
                self._save(db)
        except sa.exc.SQLAlchemyError as error:
            name, count = type(error).__name__, len(self._held)
            _log.warning("%d answers of a failed sync not archived: %s", count, name)

    def _save(self, db: sa.Connection) -> None:
        save_raw_payloads(db, self._connection_id, self._sync_run_id, self._held, vault=self._vault)
