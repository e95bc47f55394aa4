"""Dagster forgets a team that is erased, and goes on with an erasure that waited."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.cli.simulated import TEAM, link_simulated_bank
from bank_pipeline.definitions import defs
from bank_pipeline.defs.audit import audit_sensor
from bank_pipeline.defs.erasing import build_forget, erasure_sensor
from bank_pipeline.defs.partitions import CONNECTIONS
from bank_pipeline.domain.erasure import REMAINDERS
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.sandbox.faults import Fault, FaultKind
from bank_pipeline.storage.retention import DAGSTER_POLICIES
from bank_pipeline.sync.audit import verify_audit
from bank_pipeline.sync.erasing import erase_team
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_housekeeping import execute
from bank_pipeline_tests.installation import HISTORY_IS_READY
from bank_pipeline_tests.scanning import places, scan_cluster, scan_files
from bank_pipeline_tests.sync.leaks import Canaries

OTHERS: Final = "canary-team-of-others"


@dataclass(frozen=True)
class Both:
    """A connection of the team that goes, and one of another team."""

    going: ConnectionId
    staying: ConnectionId


@pytest.fixture
def both(runs: Runs) -> Both:
    one = runs.installation
    going, staying = (
        link_simulated_bank(one.services, one.logins[0]),
        link_simulated_bank(one.services, one.logins[1], team=OTHERS),
    )
    one.sandbox.advance(HISTORY_IS_READY)
    runs.instance.add_dynamic_partitions(CONNECTIONS, [going, staying])
    assert runs.of_partition(going).success
    runs.break_feed(going)
    assert not runs.of_config([going, staying]).success
    one.sandbox.faults.clear()
    execute(runs, "checks_job")
    return Both(going, staying)


def tick(runs: Runs, sensor: dg.SensorDefinition = erasure_sensor) -> dg.RunRequest | None:
    with dg.build_sensor_context(
        instance_ref=runs.instance.get_ref(),
        definitions=defs,
        resources={"services": runs.installation.services},
    ) as context:
        requests = sensor.evaluate_tick(context).run_requests or []
    return requests[0] if requests else None


def canaries_of(runs: Runs, both: Both) -> Canaries:
    canaries = Canaries()
    stored = runs.installation.stored(both.going)
    for name in ("id", "team_id", "external_id"):
        canaries.add(name, getattr(stored, name))
    with runs.installation.services.sync.engine.connect() as db:
        rows = db.execute(
            sa.text(
                "SELECT a.id::text, a.external_id, t.id::text, t.external_id FROM bank.accounts a"
                " JOIN bank.transactions t ON t.account_id = a.id WHERE a.connection_id = :id"
            ),
            {"id": both.going},
        ).all()
    for row in rows:
        for name, text in zip(("account", "their account", "row", "their row"), row, strict=True):
            canaries.add(name, text)
    return canaries


def findings(runs: Runs, canaries: Canaries) -> set[str]:
    url = runs.installation.services.sync.engine.url
    assert url.database is not None
    server = url.render_as_string(hide_password=False)
    scanned = places(scan_cluster(server, canaries, databases=[url.database]))
    found = {place.removeprefix("sample of ") for place in scanned}
    logs = runs.step_logs.parent
    state = runs.installation.services.settings.state_dir
    return found | {
        f"file: {Path(place).suffix}" for place in places(scan_files([logs, state], canaries))
    }


DOCUMENTED: Final = {
    "bank.audit_log.team_id",
    "bank.audit_log.connection_id",
    "bank.audit_log.details",
    "bank.erasures.team_id",
    "bank.erasures.connection_ids",
    "dagster.runs.run_body",
    "file: .err",
    "file: .out",
}


def test_of_an_erased_team_dagster_keeps_what_is_documented(runs: Runs, both: Both) -> None:
    """Ids of connections in the config and the step logs of runs that it shared with others."""
    canaries = canaries_of(runs, both)
    assert {"dagster.event_logs.event", "dagster.run_tags.value"} <= findings(runs, canaries)
    context = runs.installation.services.sync
    forget = build_forget(runs.instance)

    [report] = erase_team(context, TEAM, forget=forget)

    assert report.is_done
    assert findings(runs, canaries) <= DOCUMENTED
    only_ids = Canaries()
    only_ids.add("connection", both.going)
    shared = {"dagster.runs.run_body", "file: .err", "file: .out"}
    assert findings(runs, canaries) & shared == findings(runs, only_ids) & shared
    assert any("dagster.runs" in one.place for one in REMAINDERS)
    assert runs.instance.get_dynamic_partitions(CONNECTIONS) == [both.staying]
    assert runs.installation.differences(both.staying) == []
    assert runs.of_partition(both.staying).success
    execute(runs, "prune_instance_job")  # which looks once more for what came late


def test_an_erasure_that_waits_goes_on_by_itself(runs: Runs, both: Both) -> None:
    """The provider was down; whoever asked has long gone home."""
    one = runs.installation
    fault = Fault(FaultKind.ERROR, code="INTERNAL_SERVER_ERROR")
    one.sandbox.faults.add("/item/remove", fault, times=None)
    assert tick(runs) is None
    [report] = erase_team(one.services.sync, TEAM, forget=build_forget(runs.instance))
    assert not report.is_done
    assert tick(runs) is None

    one.sandbox.faults.clear()
    one.sandbox.advance(timedelta(days=1))
    request = tick(runs)
    assert request is not None
    execute(runs, "erase_teams_job")

    assert one.value("SELECT count(*) FROM bank.teams WHERE name = :name", name=TEAM) == 0
    assert tick(runs) is None
    assert both.going not in runs.instance.get_dynamic_partitions(CONNECTIONS)


def test_a_run_under_way_is_waited_for(runs: Runs, both: Both) -> None:
    context = runs.installation.services.sync
    forget = build_forget(runs.instance)
    with context.engine.begin() as db:
        db.execute(sa.text("UPDATE dagster.runs SET status = 'STARTED'"))
    [report] = erase_team(context, TEAM, forget=forget)
    assert "under way" in (report.waits_for or "")

    with context.engine.begin() as db:
        db.execute(sa.text("UPDATE dagster.runs SET status = 'SUCCESS'"))
    [report] = erase_team(context, TEAM, forget=forget)

    assert report.is_done


def test_the_audit_log_is_chained_by_a_tick(runs: Runs, both: Both) -> None:
    """Runs of Dagster's are named in it by their ids."""
    assert tick(runs, audit_sensor) is None

    count = runs.installation.value("SELECT count(*) FROM bank.audit_seals")
    assert count == runs.installation.value("SELECT count(*) FROM bank.audit_log")
    ids = runs.installation.value(
        "SELECT count(DISTINCT actor_id) FROM bank.audit_log WHERE actor_kind = 'dagster'"
    )
    assert ids == 2
    assert verify_audit(runs.installation.services.sync).is_whole


def test_every_table_of_dagsters_has_a_rule(runs: Runs) -> None:
    with runs.installation.services.sync.engine.connect() as db:
        tables = {
            *db.scalars(
                sa.text("SELECT tablename::text FROM pg_tables WHERE schemaname = 'dagster'")
            )
        }
    assert tables == set(DAGSTER_POLICIES)


def test_backfills_that_have_ended_go_by_their_age(runs: Runs) -> None:
    """Each names all its partitions."""
    with runs.installation.services.sync.engine.begin() as db:
        for key, status in (("old", "COMPLETED_SUCCESS"), ("running", "REQUESTED")):
            db.execute(
                sa.text(
                    "INSERT INTO dagster.bulk_actions (key, status, timestamp, body)"
                    " VALUES (:key, :status, now() - interval '61 days', '{}')"
                ),
                {"key": key, "status": status},
            )
        db.execute(
            sa.text("INSERT INTO dagster.backfill_tags (backfill_id, key) VALUES ('old', 'x')")
        )

    execute(runs, "prune_instance_job")

    with runs.installation.services.sync.engine.connect() as db:
        assert [*db.scalars(sa.text("SELECT key FROM dagster.bulk_actions"))] == ["running"]
        assert db.scalar(sa.text("SELECT count(*) FROM dagster.backfill_tags")) == 0
