"""The asset `institutions`: a provider per partition, read every day, each failing alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from bank_pipeline.definitions import defs
from bank_pipeline.defs.jobs import institutions_job
from bank_pipeline.defs.schedules import institutions_schedule
from bank_pipeline.domain.connection import Provider
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.ticks import Ticks
from bank_pipeline_tests.installation import SECRET

LIST: Final = "/institutions/get"
NIGHT: Final = datetime(2026, 3, 2, 3, 40, tzinfo=UTC)
WORDS: Final = "canary of a provider's message"
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run(runs: Runs, provider: Provider) -> dg.ExecuteInProcessResult:
    """Run one provider's partition, as a click on it does."""
    return defs.resolve_job_def(institutions_job.name).execute_in_process(
        instance=runs.instance,
        resources={"services": runs.installation.services},
        partition_key=provider.value,
        run_config=_QUIET,
        raise_on_error=False,
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = [e for e in result.all_events if e.is_step_materialization]
    assert event.partition == Provider.PLAID
    return {name: value.value for name, value in event.materialization.metadata.items()}


def reason(result: dg.ExecuteInProcessResult) -> str:
    """Return what the run's failure says."""
    [failed] = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None, "the run ended with a Failure of ours"
    return str(data.description)


def test_a_partition_holds_the_banks_of_one_provider(runs: Runs) -> None:
    """And says what the day's list changed: everything at first, then nothing."""
    first, again = run(runs, Provider.PLAID), run(runs, Provider.PLAID)

    count = runs.installation.value("SELECT count(*) FROM bank.institutions")
    assert first.success
    assert again.success
    assert metadata(first) == {
        "banks_offered": count,
        "rows_new": count,
        "rows_changed": 0,
        "rows_removed": 0,
        "rows_unchanged": 0,
        "rows_unreadable": 0,
    }
    assert metadata(again) == metadata(first) | {"rows_new": 0, "rows_unchanged": count}


def test_rows_that_cannot_be_read_are_counted_and_explained(runs: Runs) -> None:
    fault = Fault(FaultKind.MISSING_KEY, key="name")
    runs.installation.sandbox.faults.add(LIST, fault, times=1)

    told = metadata(run(runs, Provider.PLAID))

    assert told["rows_unreadable"] == 1
    assert told["unreadable"] == {"name: missing": 1}


def test_a_provider_that_is_switched_off_says_what_to_do(runs: Runs) -> None:
    """A click on its partition fails; the other's rows are its own."""
    result = run(runs, Provider.TELLER)

    assert not result.success
    assert reason(result).startswith("SetupError: teller is not configured: set its variables")


def test_a_failure_is_told_in_our_words_only(runs: Runs) -> None:
    """Neither the provider's text nor a secret reaches the event log."""
    fault = Fault(FaultKind.ERROR, code="INVALID_FIELD", message=WORDS)
    runs.installation.sandbox.faults.add(LIST, fault, times=None)

    result = run(runs, Provider.PLAID)

    assert not result.success
    assert "INVALID_FIELD" in reason(result)
    logged = str([runs.instance.all_logs(r.dagster_run.run_id) for r in _records(runs)])
    assert "INVALID_FIELD" in logged
    assert WORDS not in logged
    assert SECRET not in logged
    assert len(_records(runs)) == 1, "nothing was tried again"


def test_the_schedule_asks_for_the_configured_providers_once_a_day(ticks: Ticks) -> None:
    """A late tick asks for the same runs; tomorrow's are others."""
    two = configured(ticks, Provider.TELLER, Provider.PLAID)

    asked, again = tick(two, NIGHT), tick(two, NIGHT)
    tomorrow = tick(two, NIGHT + timedelta(days=1))

    assert [request.partition_key for request in asked] == ["plaid", "teller"]
    assert keys(asked) == keys(again)
    assert {*keys(asked)}.isdisjoint(keys(tomorrow))


def test_without_providers_the_schedule_asks_for_nothing(ticks: Ticks) -> None:
    assert tick(configured(ticks), NIGHT) == []


def configured(ticks: Ticks, *providers: Provider) -> Ticks:
    """Have just these providers switched on; who answers for them is not asked here."""
    services = ticks.installation.services
    clients = dict.fromkeys(providers, services.sync.provider(Provider.PLAID))
    switched = replace(services, sync=replace(services.sync, providers=clients))
    return replace(ticks, installation=replace(ticks.installation, services=switched))


def keys(requests: list[dg.RunRequest]) -> list[str | None]:
    return [request.run_key for request in requests]


def tick(ticks: Ticks, at: datetime) -> list[dg.RunRequest]:
    """Evaluate the schedule's tick, which validates the partition keys."""
    with dg.build_schedule_context(
        instance=ticks.instance,
        scheduled_execution_time=at,
        resources={"services": ticks.installation.services},
        repository_def=defs.get_repository_def(),
    ) as context:
        return [*(institutions_schedule.evaluate_tick(context).run_requests or [])]


def _records(runs: Runs) -> list[dg.RunRecord]:
    return [*runs.instance.get_run_records()]
