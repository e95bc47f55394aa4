"""What cannot be taken back is refused, what people decided stays, the rest comes again."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.depth import Depth
from bank_pipeline.domain.ids import AccountId, SyncRunId
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.errors import RefusedError
from bank_pipeline.providers.base import WindowProvider
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.balance_choice import set_rule
from bank_pipeline.storage.depth import request_deep_pass
from bank_pipeline.storage.sync_runs import SyncOutcome, finish_sync_run, start_sync_run
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline.sync.undo import plan_undo, undo
from bank_pipeline_tests.builders import pending, transaction
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.storage.linked import Linked, apply, link
from bank_pipeline_tests.sync.ground import Ground
from bank_pipeline_tests.sync.lookback import last_run_id
from bank_pipeline_tests.sync.staging import staged, staged_at

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


stage = staged(CASES)
teller = staged_at(Provider.TELLER)


@pytest.mark.parametrize("is_off", [False, True], ids=["on", "off"])
def test_what_is_older_than_any_usual_look_comes_again_after_an_undo(
    stage: Stage, is_off: bool
) -> None:
    """
    A deeper pass brought it; its dates were covered before, and stay so.

    Its provider may be switched off at that moment.
    """
    if not isinstance(stage.provider, WindowProvider):
        pytest.skip("a feed begins where its cursor is put back to")
    login, connection = stage.linked()
    account = stage.account(login)
    stage.pass_time(70 * DAY)
    stage.world.add_booked(account, Decimal(-7))
    stage.sync(connection, SyncReason.SCHEDULE)
    day = stage.context.clock().date() - 60 * DAY
    stage.world.add_booked(account, Decimal(-8), booking_date=day)
    stage.pass_time(DAY)
    with stage.context.engine.begin() as db:
        request_deep_pass(db, connection, now=stage.context.clock())
    assert stage.sync(connection, SyncReason.SCHEDULE).reach.depth is Depth.DEEP
    planned = stage.connection(connection).next_attempt_at
    context = replace(stage.context, providers={}) if is_off else stage.context

    undo(context, last_run_id(stage, connection), discards_annotations=False)

    assert stage.live(amount=Decimal(-8)) == []
    assert stage.connection(connection).next_attempt_at == planned, "nobody is in a hurry"
    stage.pass_time(DAY)
    stage.sync(connection)
    assert stage.differences(connection) == []


@pytest.mark.parametrize("decides", ["left out", "a balance"])
def test_what_people_decided_of_a_new_account_is_not_lost_unasked(
    teller: Stage, decides: str
) -> None:
    stage = teller
    login, connection = stage.linked(AccountKind.CHECKING)
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, AccountKind.SAVINGS, renews=connection)
    stage.sync(connection)
    run = last_run_id(stage, connection)
    [new] = stage.query(
        "SELECT jsonb_array_elements_text(before->'new_accounts') FROM bank.sync_runs "
        "WHERE id = :run",
        run=run,
    )[0]
    with stage.context.engine.begin() as db:
        if decides == "a balance":
            now = stage.context.clock()
            set_rule(db, AccountId(new), BalanceRule(is_sign_flipped=True), now=now)
        else:
            db.execute(sa.text("UPDATE bank.accounts SET excluded_at = now() WHERE id = :id"),
                       {"id": new})  # fmt: skip

    with pytest.raises(RefusedError, match="say --yes if it may"):
        undo(stage.context, run, discards_annotations=False)
    undo(stage.context, run, discards_annotations=True)
    assert stage.query("SELECT id FROM bank.accounts WHERE id = :id", id=new) == []


def test_rows_of_accounts_that_are_not_read_any_more_are_told_of(teller: Stage) -> None:
    """No sync would bring them again: whoever takes them back is to know it before."""
    stage = teller
    kinds = (AccountKind.CHECKING, AccountKind.SAVINGS)
    login, connection = stage.linked(*kinds)
    stage.pass_time(DAY)
    for kind in kinds:
        stage.world.add_booked(stage.account(login, kind), Decimal(-7))
    stage.sync(connection)
    run = last_run_id(stage, connection)
    assert plan_undo(stage.context, run).unread_count == 0
    for column in ("closed_at", "excluded_at"):
        with stage.context.engine.begin() as db:
            out = f"UPDATE bank.accounts SET {column} = now() WHERE external_id = :name"
            db.execute(sa.text(out), {"name": stage.account_id(connection, stage.account(login))})
        plan = plan_undo(stage.context, run)
        assert plan.deleted_count == 2
        assert 2 * plan.unread_count == plan.deleted_count + plan.restored_count, "of one of two"


def test_a_name_that_a_later_sync_gave_to_another_row_is_not_taken_from_it(ground: Ground) -> None:
    now = ground.context.clock()
    with ground.context.engine.begin() as db:
        linked = link(db, now)
    first = pending(7, external_id="p")
    _write(ground, linked, now, first)
    booked = transaction(7, external_id="b", booking_date=first.transaction_date)
    gone = frozenset({("acc-1", "p")})
    second = _write(ground, linked, now + HOUR, booked, removed=gone)
    third = _write(ground, linked, now + 2 * HOUR, pending(7, external_id="p"))

    with pytest.raises(RefusedError, match=third):
        undo(ground.context, second, discards_annotations=False)
    undo(ground.context, third, discards_annotations=False)
    undo(ground.context, second, discards_annotations=False)
    names = "SELECT external_id, status FROM bank.transactions"
    assert ground.query(names) == [("p", "pending")]


def _write(
    ground: Ground,
    linked: Linked,
    at: datetime,
    *rows: Transaction,
    removed: frozenset[tuple[str, str]] = frozenset(),
) -> SyncRunId:
    """Write these rows as a sync of its own would."""
    id_ = linked.connection.id
    with ground.context.engine.begin() as db:
        run = start_sync_run(db, id_, reason="manual", dagster_run_id=None, now=at)
        apply(db, linked, *rows, removed=removed, now=at, sync_run_id=run)
        counts = {"transactions": {"inserted": 1}}
        finish_sync_run(db, run, outcome=SyncOutcome.SYNCED, counts=counts, lineage={}, now=at)
    return run
