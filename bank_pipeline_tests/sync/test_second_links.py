"""A login that is linked twice is told of, whatever is known of the first link."""

import pytest

from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.staging import staged
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
