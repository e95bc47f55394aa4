"""A login that is linked twice is told of, whatever is known of the first link."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.providers.answers import AccountsAnswer
from bank_pipeline.providers.plaid.provider import PlaidProvider
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_keys import without_key
from bank_pipeline_tests.sync.test_reconnect import AMERICAN, events

stage = staged(AMERICAN)


@pytest.mark.parametrize("stage", AMERICAN, ids=str, indirect=True)
def test_a_login_that_is_linked_again_before_it_was_read_says_so(stage: Stage) -> None:
    """As by a customer whose browser lost our answer: nothing is known of the first one yet."""
    login = stage.new_login()
    first = stage.link(login, AccountKind.CHECKING)

    second = stage.link(login, AccountKind.CHECKING)

    assert second != first
    assert f"looks like the login of connection {first}" in events(stage)


@pytest.mark.parametrize("stage", AMERICAN[:1], ids=str, indirect=True)
def test_a_second_link_waits_for_no_bank_that_does_not_answer(stage: Stage) -> None:
    """Without evidence it is a connection of its own, as if nothing had been asked."""
    login = stage.new_login()
    first = stage.link(login, AccountKind.CHECKING)
    stage.fail("/accounts/get", FaultKind.HTTP_STATUS, status=503, times=None)

    assert stage.link(login, AccountKind.CHECKING) != first


@pytest.mark.parametrize("stage", AMERICAN[:1], ids=str, indirect=True)
def test_a_crowd_that_links_at_once_is_not_asked_for_again_by_each(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those never read a few are: as many calls for the twelfth link as for the eighth."""
    asked: list[object] = []
    fetch = PlaidProvider.fetch_accounts

    def counted(provider: PlaidProvider, *args: Any, **named: Any) -> AccountsAnswer:
        asked.append(args)
        return fetch(provider, *args, **named)

    monkeypatch.setattr(PlaidProvider, "fetch_accounts", counted)
    counts = []
    for _ in range(12):
        before = len(asked)
        stage.link(stage.new_login(), AccountKind.CHECKING)
        counts.append(len(asked) - before)

    assert counts[0] < counts[2] < counts[7] == counts[11], counts


@pytest.mark.parametrize("stage", AMERICAN[:1], ids=str, indirect=True)
def test_a_link_costs_no_more_beside_many_connections_of_its_bank(stage: Stage) -> None:
    statements: list[str] = []
    sa.event.listen(
        stage.context.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    counts = []
    for _ in range(8):
        before = len(statements)
        connection = stage.link(stage.new_login(), AccountKind.CHECKING)
        counts.append(len(statements) - before)
        stage.sync(connection)

    assert counts[1] == counts[7]


@pytest.mark.parametrize("stage", CASES, ids=str, indirect=True)
def test_a_bank_that_is_linked_anew_after_a_key_was_lost_goes_on_as_it_was(stage: Stage) -> None:
    """Of the accounts' numbers nothing but their last digits is left."""
    kinds = AccountKind.CHECKING, AccountKind.SAVINGS
    login, connection = stage.linked(*kinds)
    stage.world.add_booked(stage.account(login), Decimal("-4.50"))
    stage.pass_time(timedelta(days=1))
    stage.sync(connection)
    rows = {row.id for row in stage.live()}
    accounts = stage.query("SELECT id FROM bank.accounts ORDER BY id")
    later = replace(stage, context=without_key(stage.context))

    assert later.link(login, *kinds) == connection

    later.pass_time(timedelta(days=1))
    later.sync(connection)
    assert {row.id for row in later.live()} == rows
    assert later.query("SELECT id FROM bank.accounts ORDER BY id") == accounts
    assert later.differences(connection) == []
