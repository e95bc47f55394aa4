"""The migration that gave lineage the digests of the archive, also where their key is lost."""

from datetime import datetime
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.domain.reading import Lineage, Reading
from bank_pipeline.errors import SetupError
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.providers.calls import to_digest
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.storage.encryption_keys import register_key, store_fingerprint_key
from bank_pipeline.storage.migrate import downgrade, load_revision, migrate
from bank_pipeline.storage.raw_payloads import save_raw_payload
from bank_pipeline.storage.sync_runs import (
    SyncOutcome,
    finish_sync_run,
    load_lineage,
    start_sync_run,
)
from bank_pipeline.storage.tables import data_keys, raw_payloads
from bank_pipeline_tests.storage.linked import link
from bank_pipeline_tests.vaults import VAULT

BEFORE: Final = "0018"
READING: Final = Reading((("transactions", b"16 bytes of one."),))


def test_lineage_names_answers_as_the_archive_does_after_the_way_down_and_up(
    empty: sa.Engine, now: datetime
) -> None:
    """Older releases named them by digests of their own, of which a number can be guessed."""
    migrate(empty, VAULT)
    raw = RawAnswer("transactions", b'{"iban": "..."}', to_digest(b"that one"), None)
    with empty.begin() as db:
        store_fingerprint_key(db, VAULT)
        connection = link(db, now).connection
        run_id = start_sync_run(db, connection.id, reason="manual", dagster_run_id=None, now=now)
        save_raw_payload(db, connection.id, run_id, raw, now=now, vault=VAULT)
        reading = Reading(((raw.operation, raw.digest), ("not kept", b"16 bytes of one.")))
        lineage = Lineage({}, (reading,)).keyed(VAULT.to_keyed).to_json()
        outcome = SyncOutcome.SYNCED
        finish_sync_run(db, run_id, outcome=outcome, lineage=lineage, now=now)
    gone = VAULT.to_keyed(b"16 bytes of one.").hex()

    downgrade(empty, "0018", VAULT)

    assert named_answers(empty, run_id) == [
        [raw.operation, raw.digest.hex()],
        ["not kept", gone],  # nobody can tell its own any more, and nobody finds it
    ]
    migrate(empty, VAULT)
    [kept, _] = named_answers(empty, run_id)
    assert kept == [raw.operation, VAULT.to_keyed(raw.digest).hex()]
    with empty.connect() as db:
        [key] = [(row.operation, bytes(row.digest)) for row in db.execute(sa.select(raw_payloads))]
    assert (key[0], key[1].hex()) == (*kept,)


def named_answers(engine: sa.Engine, run_id: SyncRunId) -> list[list[str]]:
    with engine.connect() as db:
        record = load_lineage(db, run_id)
    assert record is not None
    answers: list[list[str]] = record["readings"][0]["answers"]
    return answers


def with_lineage_of_before(engine: sa.Engine, now: datetime) -> SyncRunId:
    """Go to the revision before, with a run that names an answer in clear and without a key."""
    migrate(engine, VAULT)
    with engine.begin() as db:
        connection = link(db, now).connection
        run_id = start_sync_run(db, connection.id, reason="manual", dagster_run_id=None, now=now)
        lineage = Lineage({}, (READING,)).to_json()
        finish_sync_run(db, run_id, outcome=SyncOutcome.SYNCED, lineage=lineage, now=now)
    downgrade(engine, BEFORE, VAULT)
    with engine.begin() as db:
        db.execute(sa.delete(data_keys))  # as `keys forget` does
    return run_id


def test_lineage_tells_nothing_after_the_key_of_digests_was_given_up(
    empty: sa.Engine, now: datetime
) -> None:
    """`keys forget` gave it up, with all answers, and no start since has made another."""
    run_id = with_lineage_of_before(empty, now)

    migrate(empty, VAULT)

    [[operation, digest]] = named_answers(empty, run_id)
    assert operation == "transactions"
    assert digest not in (b"16 bytes of one.".hex(), VAULT.to_keyed(b"16 bytes of one.").hex())


def test_a_lost_key_of_digests_is_asked_for_by_its_id_and_nothing_is_changed(
    empty: sa.Engine, now: datetime
) -> None:
    run_id = with_lineage_of_before(empty, now)
    lost = Vault([b"another key, of thirty-two bytes"])
    with empty.begin() as db:
        register_key(db, lost.key_id, now=now)
        store_fingerprint_key(db, lost)

    with pytest.raises(SetupError, match=rf"{lost.key_id}, which is missing.*keys forget"):
        migrate(empty, VAULT)

    assert named_answers(empty, run_id) == [["transactions", b"16 bytes of one.".hex()]]
    with empty.connect() as db:
        assert load_revision(db) == BEFORE
