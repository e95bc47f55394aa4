"""Which banks there are: the table equals the provider's list, and a bad list changes nothing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.errors import ProviderError, SetupError
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.institutions import (
    InstitutionsReport,
    remember_institution,
    sync_institutions,
)
from bank_pipeline_tests.sync.ground import Ground

LIST: Final = "/institutions/get"


def sync(ground: Ground, **options: bool) -> InstitutionsReport:
    """Read the list, a day after whatever was before."""
    ground.pass_time(timedelta(days=1))
    return sync_institutions(ground.context, Provider.PLAID, **options)


def rows(ground: Ground) -> Sequence[Any]:
    """Return the stored banks, with the version that Postgres gives a row at every write."""
    return ground.query(
        "SELECT external_id, name, removed_at IS NULL, xmin::text FROM bank.institutions "
        "ORDER BY external_id"
    )


def offered(ground: Ground) -> set[str]:
    return {row[0] for row in rows(ground) if row[2]}


def offer(ground: Ground, *, without: Sequence[str] = ()) -> set[str]:
    """Have the provider offer the world's banks but these; return the ids."""
    plaid = ground.sandbox.plaid
    plaid.institutions = {id_: b for id_, b in plaid.institutions.items() if id_ not in without}
    return {*plaid.institutions}


def test_every_bank_is_stored_and_an_unchanged_list_writes_nothing(ground: Ground) -> None:
    banks = ground.sandbox.plaid.institutions

    first = sync(ground)
    stored = rows(ground)
    again = sync(ground)

    count = len(banks)
    assert first == InstitutionsReport(Provider.PLAID, count, count, 0, 0, 0, {})
    assert again == InstitutionsReport(Provider.PLAID, count, 0, 0, 0, count, {})
    assert {row[0]: row[1] for row in stored} == {id_: bank.name for id_, bank in banks.items()}
    assert rows(ground) == stored


def test_a_bank_that_left_is_removed_and_restored_when_it_is_back(ground: Ground) -> None:
    """Its row stays all the while."""
    everything = dict(ground.sandbox.plaid.institutions)
    sync(ground)

    remaining = offer(ground, without=[min(everything)])
    left = sync(ground)
    while_gone = offered(ground)
    ground.sandbox.plaid.institutions = everything
    back = sync(ground)

    assert (left.removed, left.offered) == (1, len(everything) - 1)
    assert while_gone == remaining == {*everything} - {min(everything)}
    assert (back.updated, back.inserted) == (1, 0)
    assert offered(ground) == {*everything}


def test_a_bank_that_cannot_be_read_is_reported_and_stays(ground: Ground) -> None:
    sync(ground)
    stored = rows(ground)
    ground.fail(LIST, FaultKind.MISSING_KEY, key="name")

    report = sync(ground)

    assert report.unreadable == {"name: missing": 1}
    assert (report.unreadable_count, report.removed) == (1, 0)
    assert rows(ground) == stored


def test_beside_a_bank_without_an_id_none_is_thought_gone(ground: Ground) -> None:
    """It may be any of those that are missing."""
    sync(ground)
    stored = rows(ground)
    ground.fail(LIST, FaultKind.MISSING_KEY, key="institution_id")

    report = sync(ground)

    assert report.unreadable == {"institution_id: missing": 1}
    assert report.removed == 0
    assert rows(ground) == stored


def test_a_torn_list_changes_nothing_until_it_is_accepted(ground: Ground) -> None:
    sync(ground)
    stored = rows(ground)
    kept = sorted(ground.sandbox.plaid.institutions)[:2]
    offer(ground, without=[row[0] for row in stored if row[0] not in kept])

    with pytest.raises(SetupError, match="institutions sync plaid --accept-removals"):
        sync(ground)

    assert rows(ground) == stored
    assert sync(ground, accept_removals=True).removed == len(stored) - 2
    assert offered(ground) == {*kept}


def test_an_empty_list_is_a_failure(ground: Ground) -> None:
    sync(ground)
    stored = rows(ground)
    ground.sandbox.plaid.institutions = {}

    with pytest.raises(SetupError, match="no bank"):
        sync(ground, accept_removals=True)

    assert rows(ground) == stored


def test_a_list_that_does_not_come_changes_nothing(ground: Ground) -> None:
    sync(ground)
    stored = rows(ground)
    ground.fail(LIST, FaultKind.HTTP_STATUS, status=503, times=None)

    with pytest.raises(ProviderError):
        sync(ground)

    assert rows(ground) == stored


def test_a_provider_that_is_switched_off_says_so(ground: Ground) -> None:
    with pytest.raises(SetupError, match="teller is not configured"):
        sync_institutions(ground.context, Provider.TELLER)


def test_to_remember_a_bank_that_left_does_not_offer_it(ground: Ground) -> None:
    """Connections to it go on and describe it; only the list says what can be linked."""
    sync(ground)
    gone = min(ground.sandbox.plaid.institutions)
    ground.execute("UPDATE bank.institutions SET removed_at = now(), name = 'Old Name'")

    remember_institution(ground.context, Provider.PLAID, gone)

    assert offered(ground) == set()
    assert dict([row[:2] for row in rows(ground)])[gone] != "Old Name"


def test_remembering_a_known_bank_again_writes_nothing(ground: Ground) -> None:
    """Every sync of every connection does it."""
    sync(ground)
    stored = rows(ground)

    remember_institution(ground.context, Provider.PLAID, stored[0][0])

    assert rows(ground) == stored
