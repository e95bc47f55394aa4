"""The simulated year's installation keeps the rates that a real one keeps."""

from datetime import timedelta

import pytest

from bank_pipeline.config import Environment
from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.answers import keep_nothing
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.kills import Killer
from bank_pipeline.simulation.links import link
from bank_pipeline.simulation.members import Member
from bank_pipeline.storage.credentials import load_credential
from bank_pipeline_tests.simulation.stages import GOCARDLESS

BUSY = 110
"""More calls than the hundred of a minute that GoCardless allows a company."""


def test_calls_of_many_customers_at_once_are_spread_over_the_companys_minutes(
    place: Installation,
) -> None:
    context, clock = place.context, place.world.clock
    login = place.world.add_login(GOCARDLESS.bank_id)
    (connection_id, *_) = link(place, GOCARDLESS, login.id).connection_ids
    with context.engine.connect() as db:
        credential = load_credential(db, connection_id, context.vault)
    gocardless = context.provider(Provider.GOCARDLESS)
    known = gocardless.fetch_accounts(credential, archive=keep_nothing).accounts
    began_at = clock.now()

    for _ in range(BUSY):
        gocardless.fetch_accounts(credential, archive=keep_nothing, known=known)

    assert clock.now() - began_at > timedelta(minutes=1)
    told = place.gocardless.state.log.to_json()
    assert [one for one in told if one["status"] >= 400] == []


@pytest.fixture
def real_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables as a shell has them in which a real installation is worked at."""
    monkeypatch.setenv("PLAID_ENV", "production")
    monkeypatch.setenv("PLAID_LINK", "embedded")
    monkeypatch.setenv("ENABLE_BANKING_KEY_PATH", "real.pem")
    monkeypatch.setenv("BANK_PIPELINE_ENCRYPTION_KEY_FILE", "real.keys")


def test_the_machines_environment_has_no_say(real_environment: None, place: Installation) -> None:
    """Else a year ends before its first day, or is lived by other settings than the seed's."""
    assert place.settings.plaid_env is Environment.SANDBOX
    assert not place.settings.is_plaid_embedded
    assert place.settings.enable_banking_key_path is None


def test_a_process_that_is_to_be_killed_is_told_the_same(
    real_environment: None, place: Installation, member: Member
) -> None:
    """One that ends at once instead is no kill, and a year without kills proves nothing of them."""
    assert member.connection_id is not None, "who has linked has one"
    with Killer() as killer:
        assert killer.kill(place, member.connection_id, 1)
