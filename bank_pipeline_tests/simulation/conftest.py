"""A simulation of one's own on the session's PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_pipeline.sandbox.faults import FaultPlan
from bank_pipeline.simulation.customers import customers
from bank_pipeline.simulation.installation import Installation, installation
from bank_pipeline.simulation.links import link
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE
from bank_pipeline.simulation.run import build_world


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
    login = place.world.add_login(customer.bank_id)
    state = link(place, customer, login.id)
    member = Member(customer, login.id, connection_id=state.connection_ids[0])
    member.linked_at = place.world.clock.now()
    member.note_external_id(place)
    return member
