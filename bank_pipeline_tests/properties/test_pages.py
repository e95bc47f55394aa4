"""How a provider cuts an update into pages, and how often it tells it, does not matter."""

import json
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId, SyncRunId
from bank_pipeline.domain.transaction import TransactionDelta
from bank_pipeline.providers.answers import RawAnswer
from bank_pipeline.providers.base import FeedProvider
from bank_pipeline.storage.accounts import load_account_ids
from bank_pipeline.storage.connections import load_connection
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.sync.reports import StepCounts
from bank_pipeline.sync.update import write_update
from bank_pipeline_tests.properties.life import Deed, Life, deeds
from bank_pipeline_tests.sync.ground import READY, Ground

LISTS: Final = ("added", "modified", "removed")
few: Final = settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.reuse, Phase.generate, Phase.shrink),  # explaining costs minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few
@given(
    st.lists(deeds, min_size=1, max_size=8), st.lists(deeds, min_size=1, max_size=8), st.randoms()
)
def test_an_update_says_the_same_however_it_is_cut_into_pages(
    ground: Ground, before: list[Deed], after: list[Deed], dice: Any
) -> None:
    """In any number of pages, each row on any of them: rows and their ids come out the same."""
    connection, answers = _told_update(ground, before, after)
    shuffled = _cut_anew(answers, dice)

    with ground.engine.connect() as db:
        _apply(db, ground, connection, answers)
        as_told = _state(db, connection)
        db.rollback()
        _apply(db, ground, connection, shuffled)
        as_cut = _state(db, connection)
        db.rollback()

    assert as_cut == as_told


@few
@given(
    st.lists(deeds, min_size=1, max_size=8), st.lists(deeds, min_size=1, max_size=8), st.randoms()
)
def test_an_update_told_again_changes_nothing(
    ground: Ground, before: list[Deed], after: list[Deed], dice: Any
) -> None:
    """As after a crash: the same pages again, cut anew, and once more."""
    connection, answers = _told_update(ground, before, after)

    with ground.engine.connect() as db:
        _apply(db, ground, connection, answers)
        once = _state(db, connection)
        again = [_apply(db, ground, connection, _cut_anew(answers, dice)) for _ in range(2)]
        twice = _state(db, connection)
        db.rollback()

    assert twice == once
    assert [(one.inserted, one.updated, one.removed) for one in again] == [(0, 0, 0)] * 2


def _told_update(
    ground: Ground, before: list[Deed], after: list[Deed]
) -> tuple[ConnectionId, list[RawAnswer]]:
    """Sync a new login's first deeds; return what Plaid tells of the further ones."""
    login = ground.world.add_login("us-harbor")
    life = Life(ground.world, login.account_ids[:2])
    for deed in before:
        life.do(deed)
    connection = ground.link(login.id, *login.account_ids[:2])
    ground.pass_time(READY)
    ground.sync(connection)
    for deed in after:
        life.do(deed)
    answers: list[RawAnswer] = []
    held = ground.connection(connection)
    with ground.engine.connect() as db:
        credential = load_credential(db, connection, ground.context.vault)
    provider = ground.context.provider(Provider.PLAID)
    assert isinstance(provider, FeedProvider)
    provider.fetch_changes(credential, cursor=held.cursor, archive=answers.append)
    return connection, answers


def _cut_anew(answers: list[RawAnswer], dice: Any) -> list[RawAnswer]:
    """Put each row on a page drawn by dice, in an order drawn by dice."""
    bodies = [json.loads(answer.body, parse_float=Decimal) for answer in answers]
    pages = [{**bodies[-1], "has_more": True, **{name: [] for name in LISTS}} for _ in range(3)]
    pages[-1]["has_more"] = False
    for name in LISTS:
        rows = [row for body in bodies for row in body[name]]
        dice.shuffle(rows)
        for row in rows:
            pages[dice.randrange(len(pages))][name].append(row)
    return [
        RawAnswer(answers[0].operation, json.dumps(page, default=float).encode(), b"", None)
        for page in pages
    ]


def _apply(
    db: sa.Connection, ground: Ground, connection_id: ConnectionId, answers: list[RawAnswer]
) -> StepCounts:
    connection = load_connection(db, connection_id)
    provider = ground.context.provider(Provider.PLAID)
    assert isinstance(provider, FeedProvider)
    delta: TransactionDelta = provider.to_changes(answers, cursor_before=connection.cursor).delta
    return write_update(
        db,
        delta,
        team_id=connection.team_id,
        account_ids=load_account_ids(db, connection_id),
        sync_run_id=SyncRunId(new_id()),
        now=ground.context.clock(),
    ).counts


def _state(db: sa.Connection, connection_id: ConnectionId) -> list[Any]:
    """Return every row, under our own id when it was there before, and new ones without."""
    query = sa.text(
        "SELECT t.external_id, t.status, t.amount, t.removed_at IS NULL AS is_live,"
        " CASE WHEN r.ended_at IS NOT NULL THEN t.id END AS known_id"
        " FROM bank.transactions t JOIN bank.accounts a ON a.id = t.account_id"
        " LEFT JOIN bank.sync_runs r ON r.id = t.first_sync_run_id"
        " WHERE a.connection_id = :id ORDER BY t.external_id"
    )
    return [tuple(row) for row in db.execute(query, {"id": connection_id})]
