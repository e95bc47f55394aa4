"""Troubles strike who they are drawn for, and what never struck is not counted."""

from datetime import timedelta

import pytest

from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.driver import Driver
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import Plan, Trouble
from bank_pipeline.simulation.troubles import Span, Troubles
from bank_pipeline.sync.reports import SyncReason

ALWAYS = 2 * 365.0


def draw(place: Installation, member: Member, kind: Trouble) -> Troubles:
    """Draw one trouble for a member, and let it begin."""
    now = place.world.clock.now()
    agenda = Agenda()
    plan = Plan("one", rates={kind: ALWAYS})
    troubles = Troubles(
        place, agenda, seed=1, plan=plan, span=Span(now, now + timedelta(days=2, hours=12))
    )
    troubles.draw_own(member, lambda _, __: None)
    begins = agenda.next_at()
    assert begins is not None
    place.world.clock.advance_to(begins)
    for act in agenda.take_due(begins):
        act()
    return troubles


def test_trouble_after_a_renewal_strikes_the_new_consent(
    place: Installation, renewed: Member
) -> None:
    assert renewed.connection_id is not None
    troubles = draw(place, renewed, Trouble.BANK_OUT_FOR_DAYS)

    report = Driver(place, lambda _, __: None).sync(renewed.connection_id, SyncReason.SCHEDULE)

    assert report is None
    assert troubles.injected[Trouble.BANK_OUT_FOR_DAYS] == 1


@pytest.mark.parametrize("kind", [Trouble.SLOW_DRIP, Trouble.BANK_OUT_FOR_DAYS])
def test_a_trouble_is_counted_when_it_strikes_a_call(
    place: Installation, member: Member, kind: Trouble
) -> None:
    assert member.connection_id is not None
    troubles = draw(place, member, kind)
    assert troubles.injected[kind] == 0

    Driver(place, lambda _, __: None).sync(member.connection_id, SyncReason.INITIAL)

    assert troubles.injected[kind] == 1
    troubles.end()
    assert troubles.injected[kind] == 1
