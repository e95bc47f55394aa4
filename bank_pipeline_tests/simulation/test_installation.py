"""The simulated year's installation keeps the rates that a real one keeps."""

from datetime import timedelta

from bank_pipeline.domain.connection import Provider
from bank_pipeline.providers.answers import keep_nothing
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.links import link
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
