"""Warnings that a consent ends, told before a new one is given, while that waits, and in vain."""

from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import AccountId, ConnectionId
from bank_pipeline.providers.base import LinkedConnection
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.storage.connections import lock_connection
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline.sync.linked import keep_next_consent
from bank_pipeline.sync.questions import decide_question
from bank_pipeline.sync.webhooks import UNSHARED
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.between import during_a_sync
from bank_pipeline_tests.sync.ground import CHECKING, SAVINGS, Ground
from bank_pipeline_tests.sync.staging import staged
from bank_pipeline_tests.sync.test_reconnect import RENAMING

DAY: Final = timedelta(days=1)


stage = staged(RENAMING)
"""Each provider at which a renewal is another consent."""


def test_a_warning_is_heard_once_the_consent_that_was_to_come_is_given_up(
    announced: Ground,
) -> None:
    """It is not repeated; whoever renewed in vain has a week left to renew again."""
    connection, other = announced.link_ready(), announced.link("login-3")
    announced.add_next_consent(connection, "in-vain", like=other)
    announced.pass_time(timedelta(hours=1))
    announced.fire(connection, "PENDING_DISCONNECT")
    assert announced.connection(connection).status is ConnectionStatus.ACTIVE

    announced.break_item(other)
    announced.sync(connection)

    after = announced.connection(connection)
    assert announced.count("next_consents") == 0
    assert after.status is ConnectionStatus.EXPIRING
    assert after.status_reason == "ITEM/PENDING_DISCONNECT"


@pytest.mark.parametrize("is_mended", [False, True])
def test_a_warning_that_was_renewed_in_vain_stands(announced: Ground, *, is_mended: bool) -> None:
    """Unless the consent in use was mended itself since it was warned of."""
    connection, other = announced.link_ready(), announced.link("login-3")
    announced.fire(connection, "PENDING_DISCONNECT")
    announced.pass_time(timedelta(hours=1))
    if is_mended:
        session_id, url = announced.begin_link(renews=connection)
        announced.decide(url)
        announced.complete(session_id)
        announced.sync(connection)
    for name in ("in-vain", "in-vain-too"):
        renew_in_vain(announced, connection, name, like=other)
        announced.pass_time(timedelta(hours=1))
    assert announced.connection(connection).status is ConnectionStatus.ACTIVE

    announced.break_item(other)
    announced.sync(connection)

    after = announced.connection(connection)
    assert announced.count("next_consents") == 0
    if is_mended:
        assert after.status is ConnectionStatus.ACTIVE
    else:
        assert after.status is ConnectionStatus.EXPIRING
        assert after.status_reason == "ITEM/PENDING_DISCONNECT"


def test_the_end_of_the_old_consent_is_no_news_of_the_new_one(stage: Stage) -> None:
    """Also where the old one was read once more, because the new one could not be at once."""
    login, connection = stage.linked(AccountKind.CHECKING)
    ends_at = stage.connection(connection).consent_expires_at
    assert ends_at is not None
    stage.pass_time(ends_at - stage.sandbox.clock.now() - 7 * DAY)
    stage.sync(connection)
    assert stage.connection(connection).status is ConnectionStatus.EXPIRING
    stage.pass_time(DAY)
    stage.consent(login, AccountKind.CHECKING, renews=connection)
    new = stage.next_account_id(stage.account(login))
    for operation in stage.case.operations.values():
        stage.fail(operation, FaultKind.HTTP_STATUS, subject=new, status=503, times=None)
    stage.sync(connection)
    assert stage.connection(connection).status is ConnectionStatus.EXPIRING
    stage.heal()
    stage.pass_time(DAY)

    stage.sync(connection)

    held = stage.connection(connection)
    assert held.consent_expires_at is not None
    assert held.consent_expires_at > ends_at
    assert (held.status, held.status_reason) == (ConnectionStatus.ACTIVE, None)


def test_a_warning_that_is_mended_during_a_sync_is_over(announced: Ground) -> None:
    """The sync began before, and leaves it as it found it; nobody would take it back."""
    connection = announced.link_ready()
    announced.fire(connection, "PENDING_DISCONNECT")
    session_id, url = announced.begin_link(renews=connection)
    announced.decide(url)

    with during_a_sync(announced.engine, partial(announced.complete, session_id)):
        announced.sync(connection)
    announced.sync(connection)

    held = announced.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ACTIVE, None)


def test_a_warning_stands_though_an_account_is_decided(announced: Ground) -> None:
    """Whoever tells which account it is has not renewed the consent."""
    connection = announced.link_ready()
    announced.execute(
        "UPDATE bank.accounts SET numbers_ciphertext = NULL, numbers_key_id = NULL, "
        "masked_number = NULL, name = 'Old', content_hash = '' WHERE external_id = :id",
        id=announced.account_id(connection, SAVINGS),
    )
    announced.churn(connection, SAVINGS)
    announced.fire(connection, "NEW_ACCOUNTS_AVAILABLE")
    announced.fire(connection, "PENDING_DISCONNECT")
    announced.sync(connection)
    asked = "SELECT id::text, candidate_ids[1]::text FROM bank.account_questions"
    [(question, candidate)] = announced.query(asked)

    decide_question(announced.context, question, same_as=AccountId(candidate))
    announced.sync(connection)

    held = announced.connection(connection)
    assert held.status is ConnectionStatus.EXPIRING
    assert held.status_reason == "ITEM/PENDING_DISCONNECT"
    assert announced.differences(connection) == []


def test_that_the_bank_has_accounts_that_are_not_shared_is_told_with_what_to_do(
    announced: Ground,
) -> None:
    connection = announced.link_ready("login-1", CHECKING)

    announced.fire(connection, "NEW_ACCOUNTS_AVAILABLE")
    announced.sync(connection)

    told = [reason for _, _, reason in announced.events(connection)]
    assert told.count(UNSHARED) == 1
    held = announced.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ACTIVE, None)


def test_of_accounts_that_are_not_shared_nobody_is_told_whose_consent_is_over(
    announced: Ground,
) -> None:
    connection = announced.link_ready("login-1", CHECKING)
    announced.fire(connection, "USER_PERMISSION_REVOKED")

    announced.fire(connection, "NEW_ACCOUNTS_AVAILABLE")

    assert UNSHARED not in [reason for _, _, reason in announced.events(connection)]


def renew_in_vain(
    ground: Ground, connection: ConnectionId, name: str, *, like: ConnectionId
) -> None:
    """Renew a connection by a new consent, which opens what another connection's does."""
    with ground.engine.begin() as db:
        linked = LinkedConnection(
            external_id=name,
            credential=load_credential(db, like, ground.context.vault),
            institution_external_id=None,
            institution_name=None,
        )
        held = lock_connection(db, connection)
        keep_next_consent(ground.context, db, held, Provider.PLAID, linked)
