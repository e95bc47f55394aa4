"""The answers of a sync are archived, however it ends, and never held without bound."""

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.errors import PayloadError
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.sync.answer_book import HELD_BYTES_MAX, AnswerBook
from bank_pipeline_tests.sync.ground import SYNC, Ground


def test_what_is_held_goes_when_it_is_too_much(
    ground: Ground, engine: sa.Engine, vault: Vault
) -> None:
    connection = ground.link_ready()
    before = ground.count("raw_payloads")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        run_id = SyncRunId(new_id())
        book = AnswerBook(db, connection, run_id, vault=vault, clock=ground.context.clock)
        for number, size in enumerate((1, HELD_BYTES_MAX, 1)):
            book.keep(RawAnswer("page", bytes(size), b"%d" % number, None))
            assert ground.count("raw_payloads") == before + (2 if number else 0)
        book.write()
        book.write()
    assert ground.count("raw_payloads") == before + 3


def test_the_answers_of_a_sync_that_fails_are_archived(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.sync(connection)
    before = ground.count("raw_payloads")
    ground.fail(SYNC, FaultKind.MISSING_KEY, key="has_more")

    with pytest.raises(PayloadError):
        ground.sync(connection)

    assert ground.count("raw_payloads") == before + 1
