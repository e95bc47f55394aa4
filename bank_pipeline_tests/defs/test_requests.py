"""How connections become runs: what shares a start of a process, and what does not."""

import pytest

from bank_pipeline.defs.requests import (
    BATCH_SIZE,
    ROUTINE_BATCH_SIZE,
    Asked,
    to_run_requests,
)
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.defs.ticks import named_in

PROVIDERS = (Provider.PLAID, Provider.TELLER, Provider.GOCARDLESS, Provider.ENABLE_BANKING)


def asked_for(count: int) -> list[Asked]:
    """Ask for so many connections, of all providers in turn."""
    return [
        Asked(ConnectionId(f"connection-{number:04}"), PROVIDERS[number % 4], "tick")
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "reason", [SyncReason.SCHEDULE, SyncReason.RECOVERY, SyncReason.REFRESH, SyncReason.BACKFILL]
)
def test_what_nobody_waits_for_takes_one_start_of_a_process(reason: SyncReason) -> None:
    """Whatever the providers, and the longest waiting first."""
    asked = asked_for(ROUTINE_BATCH_SIZE + 8)

    runs = [*to_run_requests(asked, reason)]

    assert [len(named_in(run)) for run in runs] == [ROUTINE_BATCH_SIZE, 8]
    assert [id_ for run in runs for id_ in named_in(run)] == [one.connection_id for one in asked]
    assert {run.tags["bank/lane"] for run in runs} == {"routine"}
    assert not any("bank/provider" in run.tags for run in runs)


@pytest.mark.parametrize("reason", [SyncReason.INITIAL, SyncReason.WEBHOOK, SyncReason.MANUAL])
def test_where_somebody_waits_a_run_is_of_one_provider(reason: SyncReason) -> None:
    """So that the limit of runs per provider holds."""
    asked = asked_for(4 * BATCH_SIZE + 4)
    provider_of: dict[str, Provider] = {one.connection_id: one.provider for one in asked}

    runs = [*to_run_requests(asked, reason)]

    for run in runs:
        assert {provider_of[id_] for id_ in named_in(run)} == {run.tags["bank/provider"]}
    assert sorted(len(named_in(run)) for run in runs) == [1] * 4 + [BATCH_SIZE] * 4
    assert {run.tags["bank/lane"] for run in runs} == {"prompt"}


def test_a_shared_run_of_one_provider_says_so() -> None:
    asked = [one for one in asked_for(40) if one.provider is Provider.TELLER]

    [run] = to_run_requests(asked, SyncReason.SCHEDULE)

    assert run.tags["bank/provider"] == Provider.TELLER
