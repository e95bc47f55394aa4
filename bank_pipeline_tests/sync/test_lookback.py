"""Undo, replay and lineage, through the use cases, with every provider's simulated bank."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.account import Account
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.errors import ProviderError, RefusedError
from bank_pipeline.providers import rows
from bank_pipeline.providers.answers import ChangesAnswer, RawAnswer, WindowAnswer, WindowRequest
from bank_pipeline.providers.base import FeedProvider, WindowProvider
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.context import SyncContext
from bank_pipeline.sync.explain import READ_ANEW, explain
from bank_pipeline.sync.prune import prune
from bank_pipeline.sync.renormalise import Renormalisation, renormalise
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline.sync.undo import plan_undo, undo
from bank_pipeline_tests.providers.contract import conftest as fixtures
from bank_pipeline_tests.providers.contract.stage import ANCHOR, Stage
from bank_pipeline_tests.sync.between import just_before
from bank_pipeline_tests.sync.lookback import contents, last_run_id
from bank_pipeline_tests.vaults import load_unfit

quiet, stage = fixtures.quiet, fixtures.stage
DAY: Final = timedelta(days=1)
AMOUNT: Final = Decimal("-41.70")
NEW_WORD: Final = "as a better transform reads it"

_VALUES: Final = {
    "plaid": '"2026-06-10"',
    "gocardless": '{"amount": "-41.70", "currency": "EUR"}',
    "enable_banking": '{"amount": "41.70", "currency": "EUR"}',
    "teller": '"-41.70"',
}
"""What was not there, where it is needed, as each provider spells it."""


class BetterFeed:
    """A provider's own transform, which reads one row better."""

    def __init__(self, provider: FeedProvider) -> None:
        self._provider = provider

    def __call__(self, answers: Sequence[RawAnswer], *, cursor_before: str | None) -> ChangesAnswer:
        read = type(self._provider).to_changes(self._provider, answers, cursor_before=cursor_before)
        rows = tuple(map(_better, read.delta.upserts))
        return replace(read, delta=read.delta.model_copy(update={"upserts": rows}))


class BetterWindow:
    """The same of a provider that is asked by dates."""

    def __init__(self, provider: WindowProvider) -> None:
        self._provider = provider

    def __call__(
        self, answers: Sequence[RawAnswer], account: Account, request: WindowRequest
    ) -> WindowAnswer:
        read = type(self._provider).to_window(self._provider, answers, account, request)
        return replace(read, transactions=tuple(map(_better, read.transactions)))


def _better(row: Transaction) -> Transaction:
    if row.amount != AMOUNT:
        return row
    return row.model_copy(update={"check_number": NEW_WORD})


@pytest.fixture
def better(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the provider a better transform from now on."""

    def improve() -> None:
        provider = stage.provider
        if isinstance(provider, FeedProvider):
            monkeypatch.setattr(provider, "to_changes", BetterFeed(provider))
        else:
            assert isinstance(provider, WindowProvider)
            monkeypatch.setattr(provider, "to_window", BetterWindow(provider))

    return improve


def with_a_row(stage: Stage) -> tuple[str, ConnectionId]:
    """Link a login whose checking account has a row of a day later."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    stage.world.add_booked(stage.account(login), AMOUNT, description="Blue Cup")
    stage.sync(connection, SyncReason.SCHEDULE)
    return login, connection


def replay(stage: Stage, connection: ConnectionId, *, applies: bool = False) -> Renormalisation:
    return renormalise(stage.context, connection, since=None, applies=applies)


def execute(context: SyncContext, statement: str, **bound: Any) -> None:
    with context.engine.begin() as db:
        db.execute(sa.text(statement), bound)


def test_what_a_sync_applied_is_named_as_the_archive_names_it(stage: Stage) -> None:
    """An answer's own digest would let whoever knows the rest guess an account's number."""
    stage.linked()
    named = """
        SELECT answer ->> 0 AS operation, decode(answer ->> 1, 'hex') AS digest
        FROM bank.sync_runs, jsonb_path_query(lineage, '$.readings[*].answers[*]') AS answer
    """
    with stage.context.engine.connect() as db:
        assert db.execute(sa.text(named)).all()
        archived = "SELECT operation, digest FROM bank.raw_payloads"
        assert not db.execute(sa.text(f"{named} EXCEPT {archived}")).all()


def test_a_row_is_traced_to_what_the_provider_sent(stage: Stage) -> None:
    """By id or by content, pending first and booked later, with both raw records."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    entry = stage.world.add_pending(stage.account(login), AMOUNT, description="Blue Cup")
    stage.sync(connection, SyncReason.SCHEDULE)
    first = last_run_id(stage, connection)
    stage.pass_time(DAY)
    stage.world.book(entry.id)
    stage.sync(connection, SyncReason.SCHEDULE)
    [row] = stage.live(amount=AMOUNT)

    told = explain(stage.context, row.id)

    assert told.first.run is not None
    assert told.last is not None
    assert told.last.run is not None
    assert (told.first.run.id, told.last.run.id) == (first, last_run_id(stage, connection))
    assert told.first.record is not None
    assert told.last.record is not None
    assert "41.7" in told.first.record.text
    assert "41.7" in told.last.record.text
    assert told.first.record.text != told.last.record.text
    [step] = told.steps
    assert step.changes["status"] == ("pending", "booked")
    assert "content_hash" not in step.changes


def test_a_better_transform_mends_old_rows_once(stage: Stage, better: Any) -> None:
    """It is shown first, written as a run of its own, said in the history, and can be undone."""
    _, connection = with_a_row(stage)
    before = contents(stage)
    better()
    injected = len(stage.sandbox.faults.injected())
    stage.fail(stage.case.calls, FaultKind.HTTP_STATUS, times=None)  # nobody may be asked

    shown = replay(stage, connection)
    assert contents(stage) == before
    [changed] = shown.changed
    assert changed.changes["check_number"][1] == NEW_WORD

    written = replay(stage, connection, applies=True)

    assert written.sync_run_id is not None
    assert stage.last_run(connection).reason == "renormalise"
    assert replay(stage, connection, applies=True).is_empty
    told = explain(stage.context, changed.transaction_id)
    assert [(step.reason, set(step.changes)) for step in told.steps] == [
        ("renormalise", {"check_number"})
    ]
    assert told.last is None
    assert len(stage.sandbox.faults.injected()) == injected
    stage.heal()
    assert stage.differences(connection) == []
    undo(stage.context, written.sync_run_id, discards_annotations=False)
    assert contents(stage) == before


def test_a_replay_never_outranks_a_later_word_of_the_bank(stage: Stage, better: Any) -> None:
    """What the bank changed since stays changed; what it took back stays gone."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    account = stage.account(login)
    changed = stage.world.add_booked(account, AMOUNT, description="Blue Cup")
    gone = stage.world.add_booked(account, AMOUNT, description="Red Cup")
    stage.sync(connection, SyncReason.SCHEDULE)
    stage.pass_time(DAY)
    stage.world.change(changed.id, amount=Decimal("-43.00"))
    stage.world.remove(gone.id)
    stage.sync(connection, SyncReason.SCHEDULE)
    better()

    assert replay(stage, connection, applies=True).is_empty
    assert {row.amount for row in stage.live()} == {Decimal("-43.00")}


def test_a_quarantined_row_lands_once_it_can_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its siblings had landed before; a replay brings it, and it is out of quarantine."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    account = stage.account(login)
    for amount in (AMOUNT, Decimal("-1.10")):
        stage.world.add_booked(account, amount, description="Blue Cup")
    stage.fail(stage.case.transactions, FaultKind.NULL_VALUE, key=stage.case.row_key, times=1)
    stage.sync(connection)
    [unfit] = load_unfit(stage.context.engine)
    quarantine_id, raw = unfit.id, unfit.raw
    assert replay(stage, connection, applies=True).is_empty
    mended = raw.replace(
        f'"{stage.case.row_key}": null', f'"{stage.case.row_key}": {_VALUES[str(stage.case)]}'
    )
    _read_instead(monkeypatch, raw, mended)

    found = replay(stage, connection, applies=True)

    assert (len(found.landed), found.resolved_count) == (1, 1)
    assert found.sync_run_id is not None
    assert stage.query("SELECT 1 FROM bank.quarantine WHERE resolved_at IS NULL") == []
    assert replay(stage, connection, applies=True).is_empty
    [(landed,)] = stage.query("SELECT id::text FROM bank.transactions ORDER BY id DESC LIMIT 1")
    told = explain(stage.context, landed)
    assert (told.first.why_none, told.last and told.last.why_none) == (READ_ANEW, None)
    undo(stage.context, found.sync_run_id, discards_annotations=False)
    [(opened,)] = stage.query("SELECT id FROM bank.quarantine WHERE resolved_at IS NULL")
    assert opened == quarantine_id


def test_an_account_that_was_left_out_grows_by_no_replay(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, connection = stage.linked(AccountKind.CHECKING, AccountKind.SAVINGS)
    stage.pass_time(DAY)
    account = stage.account(login)
    name = stage.account_id(connection, account)
    for amount in (AMOUNT, Decimal("-1.10")):
        stage.world.add_booked(account, amount, description="Blue Cup")
    stage.fail(stage.case.transactions, FaultKind.NULL_VALUE, key=stage.case.row_key, times=1)
    stage.sync(connection)
    [unfit] = load_unfit(stage.context.engine)
    out = "UPDATE bank.accounts SET excluded_at = now() WHERE external_id = :name"
    execute(stage.context, out, name=name)
    mended = unfit.raw.replace(
        f'"{stage.case.row_key}": null', f'"{stage.case.row_key}": {_VALUES[str(stage.case)]}'
    )
    _read_instead(monkeypatch, unfit.raw, mended)

    found = replay(stage, connection, applies=True)

    assert (found.landed, found.resolved_count) == ((), 0)


def test_a_sync_that_a_replayed_row_names_is_not_pruned(stage: Stage, better: Any) -> None:
    """It was a quiet one, and would go; with it would go where the row came from."""
    _, connection = with_a_row(stage)
    for _ in range(2):
        stage.pass_time(DAY)
        stage.sync(connection)
    better()
    assert replay(stage, connection, applies=True).sync_run_id is not None
    stage.pass_time(450 * DAY)
    with suppress(ProviderError):  # the consent has ended by now
        stage.sync(connection)

    prune(stage.context, retention=90 * DAY)

    lost = (
        "SELECT id FROM bank.transactions t WHERE NOT EXISTS "
        "(SELECT FROM bank.sync_runs r WHERE r.id = t.last_sync_run_id)"
    )
    assert stage.query(lost) == []


def _read_instead(monkeypatch: pytest.MonkeyPatch, raw: str, mended: str) -> None:
    """Have rows read as a later version would that knows what to make of this one."""
    read_row = rows.read_row

    def better(model: Any, row: Any, *, has_odd_text: bool) -> Any:
        known = parse_json(mended) if dump_json(row) == raw else row
        return read_row(model, known, has_odd_text=has_odd_text)

    monkeypatch.setattr(rows, "read_row", better)


def test_what_a_sync_archived_and_never_applied_is_not_replayed(stage: Stage, better: Any) -> None:
    """It dies with its rows; the next sync reads the same, and then it counts, once."""
    login, connection = stage.linked()
    stage.pass_time(DAY)
    stage.world.add_booked(stage.account(login), AMOUNT, description="Blue Cup")
    with just_before(stage.context.engine, "lineage=", act=die), pytest.raises(DeathError):
        stage.sync(connection, SyncReason.SCHEDULE)
    assert stage.live() == []
    better()

    assert replay(stage, connection).left_out_count == 0
    stage.pass_time(DAY)
    stage.sync(connection, SyncReason.RECOVERY)
    assert len(stage.live(amount=AMOUNT)) == 1
    assert len(replay(stage, connection, applies=True).changed) <= 1
    assert replay(stage, connection, applies=True).is_empty


class DeathError(Exception):
    """The process ends here."""


def die() -> None:
    raise DeathError


def test_undo_goes_backwards_in_order(stage: Stage) -> None:
    """A sync that others went on from is undone after them; the refusal says which, in order."""
    login, connection = with_a_row(stage)
    first = last_run_id(stage, connection)
    later: list[str] = []
    for amount in (Decimal("-2.20"), Decimal("-3.30")):
        stage.pass_time(DAY)
        stage.world.add_booked(stage.account(login), amount)
        stage.sync(connection, SyncReason.SCHEDULE)
        later.insert(0, last_run_id(stage, connection))

    with pytest.raises(RefusedError, match=f"{later[0]}.*{later[1]}"):
        undo(stage.context, first, discards_annotations=False)

    for run_id in (*later, first):
        undo(stage.context, run_id, discards_annotations=False)
    assert stage.live() == []
    with pytest.raises(RefusedError, match="undone already"):
        plan_undo(stage.context, first)
    stage.sync(connection)
    assert stage.differences(connection) == []


def test_what_people_said_of_rows_is_not_lost_unasked(stage: Stage) -> None:
    _, connection = with_a_row(stage)
    run_id = last_run_id(stage, connection)
    [row] = stage.live(amount=AMOUNT)
    execute(
        stage.context,
        "INSERT INTO bank.transaction_annotations (transaction_id, team_id, note, updated_at)"
        " SELECT id, team_id, 'lunch', now() FROM bank.transactions WHERE id = :id",
        id=row.id,
    )

    assert plan_undo(stage.context, run_id).annotated_ids == (row.id,)
    with pytest.raises(RefusedError, match="--yes"):
        undo(stage.context, run_id, discards_annotations=False)
    assert stage.live(amount=AMOUNT) == [row]

    undo(stage.context, run_id, discards_annotations=True)
    assert stage.live() == []


def test_the_first_sync_can_be_taken_back_with_its_accounts(stage: Stage) -> None:
    """The connection is as it was after the link; the next sync is its first again."""
    login = stage.new_login()
    connection = stage.link(login)
    before = contents(stage)
    stage.sync(connection, SyncReason.INITIAL)
    assert {row.amount for row in stage.rows()} == {ANCHOR}

    undo(stage.context, last_run_id(stage, connection), discards_annotations=False)

    assert contents(stage) == before
    stage.sync(connection)
    assert stage.differences(connection) == []


def test_a_quiet_sync_leaves_one_small_note(stage: Stage) -> None:
    """It says which answers it saw; nothing that moved, nothing more."""
    _, connection = with_a_row(stage)
    stage.sync(connection)
    stage.sync(connection)

    [(size, has_rows)] = stage.query(
        "SELECT pg_column_size(lineage), before ?| ARRAY['cursor', 'accounts', 'coverage']"
        " FROM bank.sync_runs ORDER BY started_at DESC LIMIT 1"
    )
    assert size < 700
    assert not has_rows
