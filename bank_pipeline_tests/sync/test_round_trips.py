"""How often a sync asks Postgres, and waits for its disk: bounds, so that they do not creep up."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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

STATEMENTS_MAX: Final = {
    Provider.PLAID: 25,
    Provider.TELLER: 30,
    Provider.GOCARDLESS: 33,
    Provider.ENABLE_BANKING: 33,
}
"""Of a sync that learns nothing new, whatever the number of its accounts and answers."""

COMMITS_MAX: Final = {
    Provider.PLAID: 2,  # that it began, and all that it came to
    Provider.TELLER: 2,
    Provider.GOCARDLESS: 3,  # and, before the first of them, the calls that count
    Provider.ENABLE_BANKING: 3,
}


@dataclass
class Asked:
    """What was asked of Postgres: every statement, and each commit that may wait for the disk."""

    statements: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)


@contextmanager
def counted(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    asked = Asked()
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *args: Any, **named: Any) -> Any:
        text = " ".join(str(query).split())
        asked.statements.append(text)
        if self.connection.autocommit and text.startswith(("INSERT", "UPDATE", "DELETE")):
            asked.commits.append(text)
        return execute(self, query, *args, **named)

    def ended(_: sa.Connection) -> None:
        asked.commits.append("COMMIT")

    sa.event.listen(engine, "commit", ended)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Cursor, "execute", noted)
            yield asked
    finally:
        sa.event.remove(engine, "commit", ended)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_sync_that_learns_nothing_asks_the_database_little(
    case: Case, banks: Banks, engine: sa.Engine, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage_of(case, banks, engine, vault) as stage:
        logins = iter(stage.new_login, None)
        login = next(one for one in logins if len(stage.world.login_accounts(one)) > 1)
        connection = stage.link(login)
        for _ in range(2):
            stage.sync(connection)
            stage.pass_time(timedelta(days=2))
        with counted(engine, monkeypatch) as asked:
            report = stage.sync(connection, SyncReason.SCHEDULE)
    assert report.transactions.inserted == report.transactions.updated == 0
    assert len(asked.statements) <= STATEMENTS_MAX[case.provider], "\n".join(asked.statements)
    assert len(asked.commits) <= COMMITS_MAX[case.provider], asked.commits
