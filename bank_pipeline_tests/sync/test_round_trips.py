"""How often a sync waits for Postgres: a bound, so that it does not creep up."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.banks import Banks
from bank_pipeline_tests.providers.contract.cases import CASES, Case
from bank_pipeline_tests.providers.contract.stage import stage_of

WAITS_MAX: Final = 56
"""Of a sync as such: its lock, its start, what it begins with, and the transaction of its end."""

WAITS_EACH: Final = {
    Provider.PLAID: 0,  # whatever the number of accounts
    Provider.TELLER: 4,
    Provider.GOCARDLESS: 8,
    Provider.ENABLE_BANKING: 8,
}
"""For each account: its counted calls before they are made, and its answers as they come."""


@contextmanager
def counted_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count what is sent to Postgres: statements, and what begins and ends transactions."""
    waits: list[str] = []
    wait = psycopg.Connection.wait

    def counted(self: Any, *args: Any, **named: Any) -> Any:
        waits.append(str(getattr(args[0], "__qualname__", "?")))
        return wait(self, *args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "wait", counted)
        yield waits


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_unchanged_sync_asks_the_database_little(
    case: Case, banks: Banks, engine: sa.Engine, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage_of(case, banks, engine, vault) as stage:
        login = stage.new_login()
        connection = stage.link(login)
        stage.sync(connection)
        stage.pass_time(timedelta(days=2))
        stage.sync(connection)
        stage.pass_time(timedelta(days=2))
        with counted_waits(monkeypatch) as waits:
            stage.sync(connection, SyncReason.SCHEDULE)
        accounts = len(stage.truth(connection)["accounts"])
    assert len(waits) <= WAITS_MAX + WAITS_EACH[case.provider] * accounts
