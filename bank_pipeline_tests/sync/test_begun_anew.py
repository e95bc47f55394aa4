"""Whoever began a link anew is not connected a second time by what they left behind."""

from datetime import timedelta
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.tables import connections, link_sessions
from bank_pipeline.sync.ending import end_consents
from bank_pipeline.sync.link import expire_links
from bank_pipeline.sync.linked import GRACE
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged_at

DAY: Final = timedelta(days=1)

requisitions = staged_at(Provider.GOCARDLESS)
"""Only GoCardless can be asked for days how a link ended, whoever came back."""


@pytest.mark.parametrize("is_other_login", [False, True])
def test_who_agreed_once_more_is_not_connected_by_their_first_try(
    requisitions: Stage, *, is_other_login: bool
) -> None:
    """They came back from the second: the first is an older consent, or would be a second one."""
    before = {*requisitions.external_ids()}
    login = requisitions.new_login()
    requisitions.agreed(login, AccountKind.CHECKING)
    requisitions.pass_time(GRACE)
    end = requisitions.agreed(login, AccountKind.CHECKING)
    with requisitions.context.engine.begin() as db:
        db.execute(sa.update(link_sessions).values(is_other_login=is_other_login))
    [connection] = end().connection_ids
    requisitions.sync(connection)
    held = requisitions.connection(connection).external_id
    requisitions.pass_time(2 * DAY)

    assert expire_links(requisitions.context) == 1

    assert requisitions.query("SELECT id::text FROM bank.connections") == [(connection,)]
    requisitions.sync(connection)
    assert requisitions.connection(connection).external_id == held
    end_consents(requisitions.context)
    assert {*requisitions.external_ids()} == before | {held}


def test_a_connection_is_not_renewed_by_a_try_before_its_last_renewal(requisitions: Stage) -> None:
    login, connection = requisitions.linked()
    requisitions.agreed(login, AccountKind.CHECKING, renews=connection)
    requisitions.pass_time(GRACE)
    requisitions.consent(login, AccountKind.CHECKING, renews=connection)
    requisitions.sync(connection)
    held = requisitions.connection(connection).external_id
    requisitions.pass_time(2 * DAY)

    assert expire_links(requisitions.context) == 1

    requisitions.sync(connection)
    assert requisitions.connection(connection).external_id == held


def test_who_connected_another_bank_since_is_connected_all_the_same(requisitions: Stage) -> None:
    requisitions.agreed(requisitions.new_login(), AccountKind.CHECKING)
    requisitions.pass_time(GRACE)
    requisitions.linked()
    with requisitions.context.engine.begin() as db:
        db.execute(sa.update(connections).values(institution_external_id="ANOTHER_BANK"))
    requisitions.pass_time(2 * DAY)

    assert expire_links(requisitions.context) == 0

    assert len(requisitions.query("SELECT 1 FROM bank.connections")) == 2
