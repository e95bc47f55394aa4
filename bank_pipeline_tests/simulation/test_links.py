"""Customers at their banks' pages, where pages break as anything else does."""

import pytest

from bank_pipeline.errors import TransientError
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.links import link
from bank_pipeline_tests.simulation.stages import GOCARDLESS


@pytest.mark.parametrize("kind", [FaultKind.TRUNCATED_BODY, FaultKind.EMPTY_BODY])
def test_a_page_that_leads_nowhere_is_a_link_that_did_not_work_this_time(
    place: Installation, kind: FaultKind
) -> None:
    """A redirect without an address once ended a whole simulated year."""
    login = place.world.add_login(GOCARDLESS.bank_id)
    place.sandbox.faults.add("gocardless:consent_page", Fault(kind, status=302))

    with pytest.raises(TransientError, match="HTTP_302"):
        link(place, GOCARDLESS, login.id)
    assert link(place, GOCARDLESS, login.id).connection_ids
