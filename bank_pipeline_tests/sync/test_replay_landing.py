"""A row that a replay brings out of quarantine goes on in the pending one that it booked."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.providers import rows
from bank_pipeline.providers.exact_json import dump_json, parse_json
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.vaults import load_unfit

DAY: Final = timedelta(days=1)
AMOUNT: Final = Decimal("-41.70")

nameless = staged(
    [replace(case, bank_id="fr-soleil") for case in CASES if case.provider is Provider.GOCARDLESS]
)
"""A provider whose bank gives no ids."""


def test_a_booked_row_that_lands_later_is_not_there_beside_its_pending_one(
    nameless: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = nameless
    monkeypatch.setattr(stage, "institution_of", lambda _: "LABORALKUTXA_CLPEES2M")
    login, connection = stage.linked(AccountKind.CHECKING)
    stage.pass_time(DAY)
    entry = stage.world.add_pending(stage.account(login), AMOUNT, description="Blue Cup")
    stage.sync(connection, SyncReason.SCHEDULE)
    [held] = stage.live(amount=AMOUNT)
    stage.pass_time(DAY)
    stage.world.book(entry.id)
    key = stage.case.row_key
    stage.fail(stage.case.transactions, FaultKind.NULL_VALUE, key=key)
    stage.sync(connection, SyncReason.SCHEDULE)
    assert [row.id for row in stage.live(amount=AMOUNT)] == [held.id], "it may be what is unread"
    [unfit] = load_unfit(stage.context.engine)
    read = rows.read_row

    def better(model: Any, row: Any, *, has_odd_text: bool) -> Any:
        if dump_json(row) == unfit.raw:
            amount = '{"amount": "-41.70", "currency": "EUR"}'
            row = parse_json(unfit.raw.replace(f'"{key}": null', f'"{key}": {amount}'))
        return read(model, row, has_odd_text=has_odd_text)

    monkeypatch.setattr(rows, "read_row", better)

    found = renormalise(stage.context, connection, since=None, applies=True)

    [row] = stage.live(amount=AMOUNT)
    assert (row.id, row.status) == (held.id, TransactionStatus.BOOKED)
    assert renormalise(stage.context, connection, since=None, applies=True).is_empty
    assert found.sync_run_id is not None
    undo(stage.context, found.sync_run_id, discards_annotations=False)
    assert [one.status for one in stage.live(amount=AMOUNT)] == [TransactionStatus.PENDING]
    stage.pass_time(DAY)
    stage.sync(connection)
    [row] = stage.live(amount=AMOUNT)
    assert row.id == held.id
    assert stage.differences(connection) == []
