"""A switch of provider that meets trouble, and looks back at what came before one."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import CredentialsRefusedError, RateLimitedError, RefusedError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.explain import explain
from bank_pipeline.sync.next_consent import TRIES_MAX
from bank_pipeline.sync.renormalise import renormalise
from bank_pipeline.sync.undo import undo
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged_at
from bank_pipeline_tests.sync.test_switch import CASE_OF, switch

DAY: Final = timedelta(days=1)
COFFEE: Final = Decimal("-4.50")

before = staged_at(Provider.GOCARDLESS)
"""The provider that closes."""


@pytest.fixture
def after(before: Stage) -> Stage:
    """The provider that goes on."""
    return Stage(CASE_OF[Provider.ENABLE_BANKING], before.banks, before.context)


def test_keys_that_the_new_provider_refuses_pause_that_one(before: Stage, after: Stage) -> None:
    """Though the old consent has ended, and its connection is still the old provider's."""
    login, connection = before.linked()
    before.pass_time(DAY)
    switch(after, connection, login)
    after.fail("enable_banking:*", "UNAUTHORIZED_ACCESS", times=None)
    before.provider.disconnect(before.credential(connection))

    with pytest.raises(CredentialsRefusedError):
        before.sync(connection)

    paused = "SELECT provider FROM bank.provider_health WHERE state = 'open'"
    assert before.query(paused) == [("enable_banking",)]


@pytest.mark.parametrize("trouble", ["bank down", "we are paused"])
def test_a_new_consent_outlives_a_day_of_trouble_however_often_it_is_tried(
    before: Stage, after: Stage, trouble: str
) -> None:
    login, connection = before.linked()
    before.pass_time(DAY)
    switch(after, connection, login)
    if trouble == "bank down":
        for operation in ("transactions", "balances"):
            after.fail(f"enable_banking:{operation}", FaultKind.HTTP_STATUS, status=503, times=None)
    else:
        after.fail("enable_banking:*", "UNAUTHORIZED_ACCESS", times=None)
    for _ in range(2 * TRIES_MAX):
        with suppress(RateLimitedError):  # the old bank's own limit
            before.sync(connection)
        before.pass_time(timedelta(minutes=30))
    assert [*before.query("SELECT provider FROM bank.next_consents")] == [("enable_banking",)]

    before.pass_time(DAY)
    after.heal()
    before.sync(connection)
    assert after.connection(connection).provider is Provider.ENABLE_BANKING


def test_what_came_before_a_switch_is_read_as_its_own_provider_told_it(
    before: Stage, after: Stage
) -> None:
    login, connection = before.linked()
    before.pass_time(DAY)
    before.world.add_booked(before.account(login), COFFEE)
    before.sync(connection)
    [row] = before.live(amount=COFFEE)
    switch(after, connection, login)
    before.pass_time(DAY)
    after.sync(connection)
    assert after.connection(connection).provider is Provider.ENABLE_BANKING

    told = explain(after.context, row.id)
    found = renormalise(after.context, connection, since=None, applies=False)

    assert told.first.record is not None, told.first.why_none
    assert (found.unread_count, found.failed) == (0, {})


def test_a_switch_is_not_taken_back(before: Stage, after: Stage) -> None:
    """The consent of before has ended, and by its names for rows nothing would come any more."""
    login, connection = before.linked()
    before.pass_time(DAY)
    switch(after, connection, login)
    after.sync(connection)
    run = after.last_run(connection).id
    assert after.connection(connection).provider is Provider.ENABLE_BANKING
    with pytest.raises(RefusedError, match="another provider took over"):
        undo(after.context, run, discards_annotations=True)


def test_a_new_consent_that_shows_no_account_for_a_week_is_given_up(
    before: Stage, after: Stage
) -> None:
    """The bank refuses it, and not us: its customer is asked again once nothing else reads."""
    login, connection = before.linked()
    before.pass_time(DAY)
    switch(after, connection, login)
    after.fail("enable_banking:*", "NO_ACCOUNTS_ADDED", times=None)
    for _ in range(TRIES_MAX + 1):
        before.sync(connection)
        before.pass_time(DAY)
    assert before.query("SELECT provider FROM bank.next_consents") == []
    assert before.connection(connection).provider is Provider.GOCARDLESS


def test_a_provider_that_refuses_our_keys_does_not_keep_its_connections(
    before: Stage, after: Stage
) -> None:
    """It may have closed for good, which is why its connections go on through another one."""
    login, connection = before.linked()
    before.pass_time(DAY)
    before.fail("gocardless:*", "authentication_failed", times=None)
    with pytest.raises(CredentialsRefusedError):
        before.sync(connection)
    switch(after, connection, login)

    before.sync(connection)

    assert after.connection(connection).provider is Provider.ENABLE_BANKING
