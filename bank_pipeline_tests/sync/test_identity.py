"""Rows whose ids move, and what people say of them: over HTTP, in Postgres."""

from datetime import timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage import transaction_writes
from bank_pipeline.storage.duplicates import (
    DROPPED,
    KEPT,
    SuspectedDuplicate,
    drop_duplicate,
    keep_duplicate,
    list_suspected_duplicates,
)
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged_at

DAY: Final = timedelta(days=1)
NUMBERING: Final = "AT:Nummernbank"
NAMELESS: Final = "DE:Namenlose Bank"
SIXTY_DAYS_ONLY: Final = "PT:Santander Totta"


stage = staged_at(Provider.ENABLE_BANKING)
"""The provider whose banks number their rows."""


def link(stage: Stage, bank: str) -> tuple[ConnectionId, str]:
    """Link a customer's account at a bank; return the connection and the world's account."""
    login = stage.world.add_login("de-mueritz").id
    account = stage.account(login)
    stage.world.add_booked(account, Decimal("7.77"), description="Anchor")
    started = start_link(stage.context, stage.case.provider, team_name="home", institution=bank)
    choice = {"outcome": "approve", "login": login, "account": [account]}
    answer = httpx.post(started.url, data=choice)
    returned = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    [connection] = accept_return(stage.context, stage.case.provider, returned).connection_ids
    return connection, account


def annotate(stage: Stage) -> dict[str, str]:
    """Write on every live row what it is; return the texts by its id."""
    notes = {row.id: row.description for row in stage.live()}
    with stage.context.engine.begin() as db:
        for id_, note in notes.items():
            db.execute(
                sa.text(
                    "INSERT INTO bank.transaction_annotations (transaction_id, team_id, note,"
                    " updated_at) SELECT id, team_id, :note, now() FROM bank.transactions"
                    " WHERE id = :id"
                ),
                {"id": id_, "note": note},
            )
    return notes


def notes_on_others(stage: Stage) -> int:
    found = stage.query(
        "SELECT count(*) FROM bank.transactions t JOIN bank.transaction_annotations n"
        " ON n.transaction_id = t.id WHERE n.note <> t.description"
    )
    return int(found[0][0])


def test_a_bank_that_renumbers_its_references_overwrites_no_history(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and notes stay with their money, also where names are swapped across batches."""
    monkeypatch.setattr(transaction_writes, "UPDATE_BATCH", 1)
    connection, account = link(stage, NUMBERING)
    day = stage.world.today(account)
    entries = [
        stage.world.add_booked(account, Decimal(amount), description=text)
        for amount, text in (("-5.00", "Tram"), ("-5.00", "Cafe"), ("-9.00", "Bread"))
    ]
    stage.sync(connection)
    notes = annotate(stage)
    stage.pass_time(2 * DAY)
    stage.world.add_booked(account, Decimal("-5.00"), description="Late", booking_date=day)

    stage.sync(connection)
    assert stage.differences(connection) == []
    assert {row.id: row.description for row in stage.live() if row.id in notes} == notes

    stage.world.remove(entries[1].id)
    stage.sync(connection)
    assert stage.differences(connection) == []
    stage.world.restore(entries[1].id)
    stage.sync(connection)
    assert stage.differences(connection) == []
    assert {row.id: row.description for row in stage.live() if row.id in notes} == notes
    assert notes_on_others(stage) == 0
    changed = stage.query(
        "SELECT count(*) FROM bank.transaction_revisions"
        " WHERE changes ? 'amount' OR changes ? 'description'"
    )
    assert changed[0][0] == 0

    before = stage.versions()
    stage.sync(connection)
    assert stage.versions() == before


def suspected(stage: Stage) -> list[SuspectedDuplicate]:
    with stage.context.engine.connect() as db:
        return list_suspected_duplicates(db)


def test_an_equal_row_that_comes_late_is_kept_and_flagged_until_somebody_decides(
    stage: Stage,
) -> None:
    """Without ids and balances nobody can tell; equal rows that came together are no question."""
    connection, account = link(stage, NAMELESS)
    entry = stage.world.add_booked(account, Decimal("-5.00"), description="Tram")
    stage.world.add_twin(entry.id)
    stage.sync(connection)
    stage.pass_time(2 * DAY)
    stage.sync(connection)
    assert suspected(stage) == []

    stage.world.add_twin(entry.id)
    stage.sync(connection)
    assert stage.differences(connection) == []
    [one] = suspected(stage)
    live = [row.id for row in stage.live()]
    assert len(live) == 3
    assert (one.id, one.twin_id in live) == (live[2], True)
    shown = stage.query(
        "SELECT transaction_id::text, suspected_duplicate_of::text FROM analytics.transactions"
        " WHERE suspected_duplicate_of IS NOT NULL"
    )
    assert [*map(tuple, shown)] == [(one.id, one.twin_id)]

    with stage.context.engine.begin() as db:
        keep_duplicate(db, one.id, now=stage.sandbox.clock.now())
    stage.sync(connection)
    assert suspected(stage) == []
    assert len(stage.live()) == 3


def test_what_a_person_dropped_no_sync_brings_back_until_they_keep_it(stage: Stage) -> None:
    connection, account = link(stage, NUMBERING)
    entry = stage.world.add_booked(account, Decimal("-5.00"), description="Tram")
    stage.world.add_twin(entry.id)
    stage.sync(connection)
    one, other = (row.id for row in stage.live())
    now = stage.sandbox.clock.now()
    with stage.context.engine.begin() as db:
        for _ in range(2):
            drop_duplicate(db, other, now=now)

    stage.pass_time(DAY)
    day = stage.world.today(account) - DAY
    late = stage.world.add_booked(account, Decimal("-1.00"), booking_date=day)  # renumbers the day
    stage.sync(connection)
    assert [row.id for row in stage.live(amount=Decimal("-5.00"))] == [one]
    before = stage.versions()
    stage.sync(connection)
    assert stage.versions() == before

    with stage.context.engine.begin() as db:
        keep_duplicate(db, other, now=now)
    stage.world.remove(late.id)
    stage.sync(connection)
    assert [row.id for row in stage.live()] == [one, other]
    assert stage.differences(connection) == []
    decided = stage.query(
        "SELECT reason FROM bank.transaction_revisions WHERE sync_run_id IS NULL ORDER BY id"
    )
    assert [row[0] for row in decided] == [DROPPED, KEPT]


def test_only_rows_that_are_there_are_decided_of(stage: Stage) -> None:
    connection, account = link(stage, NAMELESS)
    entry = stage.world.add_booked(account, Decimal("-5.00"), description="Tram")
    stage.sync(connection)
    [row] = stage.live()
    stage.world.remove(entry.id)
    stage.sync(connection)
    now = stage.sandbox.clock.now()
    for id_ in (row.id, "00000000-0000-0000-0000-000000000000", "none"):
        for decide in (drop_duplicate, keep_duplicate):
            with pytest.raises(NotFoundError), stage.context.engine.begin() as db:
                decide(db, id_, now=now)


def test_a_pending_row_that_no_answer_reaches_is_over_and_its_revision_says_why(
    stage: Stage,
) -> None:
    """At a bank that shows sixty days; it stays pending there, and nobody can see it."""
    connection, account = link(stage, SIXTY_DAYS_ONLY)
    stage.world.add_pending(account, Decimal("-5.00"), description="Hotel")
    stage.sync(connection)
    [row] = stage.live()
    for days in (40, 40):
        stage.pass_time(days * DAY)
        stage.world.add_booked(account, Decimal("7.77"))
        stage.sync(connection)

    assert [(one.id, one.status) for one in stage.rows() if one.is_removed] == [
        (row.id, "vanished")
    ]
    reasons = stage.query("SELECT reason FROM bank.transaction_revisions ORDER BY id DESC LIMIT 1")
    assert reasons[0][0] == transaction_writes.OVERDUE
