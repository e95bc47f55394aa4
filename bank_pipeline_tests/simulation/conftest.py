"""A simulation of one's own on the session's PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.simulation.customers import Customer, customers
from bank_pipeline.simulation.driver import Driver
from bank_pipeline.simulation.installation import Installation, installation
from bank_pipeline.simulation.links import link
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE
from bank_pipeline.simulation.run import build_world
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.simulation.stages import GOCARDLESS


@pytest.fixture
def place(tmp_path: Path, server_url: str) -> Iterator[Installation]:
    world = build_world(1, NONE)
    with installation(
        world, seed=1, folder=tmp_path, server_url=server_url, faults=FaultPlan()
    ) as one:
        yield one


@pytest.fixture
def member(place: Installation) -> Member:
    """A customer of Teller who linked their bank."""
    customer = next(
        one
        for one in customers(1, count=4, days=1, has_odd_banks=False)
        if one.provider == "teller"
    )
    return _linked(place, customer)


@pytest.fixture
def renewed(place: Installation) -> Member:
    """A customer of GoCardless whose new consent took the old one's place with a sync."""
    member = _linked(place, GOCARDLESS)
    assert member.connection_id is not None
    driver = Driver(place, lambda _, __: None)
    driver.sync(member.connection_id, SyncReason.INITIAL)
    place.world.clock.advance(timedelta(days=1))
    link(place, member.customer, member.login_id, renews=member.connection_id)
    assert not member.note_external_id(place), "the old one is in use until the new one was read"
    driver.sync(member.connection_id, SyncReason.SCHEDULE)
    assert member.external_ids != [member.connection(place).external_id]
    return member


def _linked(place: Installation, customer: Customer) -> Member:
    login = place.world.add_login(customer.bank_id)
    state = link(place, customer, login.id)
    member = Member(customer, login.id, connection_id=state.connection_ids[0])
    member.linked_at = place.world.clock.now()
    member.note_external_id(place)
    return member
