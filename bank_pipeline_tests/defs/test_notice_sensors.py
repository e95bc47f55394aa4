"""Real ticks of the sensors of notices: exactly the due ones, and one alert per fault."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg
import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import Services, build_services
from bank_pipeline.config import Settings
from bank_pipeline.definitions import defs
from bank_pipeline.defs.notice_sensors import (
    deliver_notices_job,
    notice_sensor,
)
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.storage.connections import ensure_team, insert_or_renew_connection
from bank_pipeline.storage.faults import FaultName, FaultSource
from bank_pipeline.storage.tables import connections
from bank_pipeline.sync.faults import load_faults, note_fault
from bank_pipeline.sync.notice_targets import add_target
from bank_pipeline_tests.defs.operators import Operator
from bank_pipeline_tests.defs.runs import Runs
from bank_pipeline_tests.defs.test_checks import DIFFERENCE, evaluate
from bank_pipeline_tests.installation import Installation
from bank_pipeline_tests.ports import free_ports
from bank_pipeline_tests.sync.receivers import MailServer, WebhookReceiver, mail_server
from bank_pipeline_tests.sync.receivers import webhook_receiver as webhooks

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 200
STEPS: Final = (14, 7, 3, 1, 0)
_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

STILL_THERE: Final = {
    FaultSource.CHECK: (),
    FaultSource.RUN: ("prune_job", "__ASSET_JOB"),
    FaultSource.TICK: ("connection_sensor", "prune_schedule"),
}


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as one:
        yield one


@pytest.fixture
def hook() -> Iterator[WebhookReceiver]:
    with webhooks() as one:
        yield one


@dataclass
class Life:
    """A pipeline over days, which may be restarted; what ticks saw is remembered."""

    instance: dg.DagsterInstance
    services: Services
    now: datetime = BEGIN
    looked: list[tuple[date, dict[str, date]]] = field(default_factory=list)

    def restart(self) -> None:
        """Begin anew with nothing but the database."""
        self.services.close()
        built = build_services(Settings())
        self.services = replace(built, sync=replace(built.sync, clock=lambda: self.now))

    def execute(self, sql: str, **values: Any) -> None:
        with self.services.sync.engine.begin() as db:
            db.execute(sa.text(sql), values)

    def tick(self) -> None:
        """Tick the sensor as the daemon does, and run what it asks for."""
        self.looked.append((self.now.date(), self._ends()))
        for request in self.requests():
            assert request.run_key is not None
            result = deliver_notices_job.execute_in_process(
                instance=self.instance,
                resources={"services": self.services},
                run_config=_QUIET,
            )
            assert result.success

    def requests(self) -> list[dg.RunRequest]:
        """Evaluate one tick."""
        with dg.build_sensor_context(
            instance=self.instance, definitions=defs, resources={"services": self.services}
        ) as context:
            return [*(notice_sensor.evaluate_tick(context).run_requests or [])]

    def _ends(self) -> dict[str, date]:
        query = "SELECT id::text, consent_expires_at FROM bank.connections WHERE status = 'active'"
        with self.services.sync.engine.connect() as db:
            return {row[0]: row[1].astimezone(UTC).date() for row in db.execute(sa.text(query))}

    def due(self) -> Counter[tuple[str, date, int]]:
        """Say what is to be told by what was there to be seen, each once: the plainest way."""
        due: set[tuple[str, date, int]] = set()
        for day, ends in self.looked:
            for connection, end in ends.items():
                steps = [step for step in STEPS if 0 <= (end - day).days <= step]
                due |= {(connection, end, min(steps))} if steps else set()
        return Counter(due)


@pytest.fixture
def life(installation: Installation, instance: dg.DagsterInstance) -> Iterator[Life]:
    one = Life(instance, installation.services)
    one.restart()
    yield one
    one.services.close()


def link(life: Life, number: int, *, days: int) -> str:
    """Store a connection whose consent ends in so many days."""
    with life.services.sync.engine.begin() as db:
        connection_id = insert_or_renew_connection(
            db,
            team_id=ensure_team(db, "home", now=life.now),
            provider=Provider.ENABLE_BANKING,
            external_id=f"session-{number}",
            institution_external_id=None,
            institution_name=f"Bank {number}",
            now=life.now,
            consent_expires_at=life.now + timedelta(days=days, hours=number),
        )
        active = {"status": ConnectionStatus.ACTIVE.value}
        db.execute(connections.update().where(connections.c.id == connection_id).values(**active))
    return connection_id


def test_over_200_days_exactly_the_due_notices_each_once(
    life: Life, mail: MailServer, hook: WebhookReceiver
) -> None:
    """
    Ticks come several times a day or not for a week, processes are restarted, consents are
    renewed early, late and never, and what is delivered to fails at times.
    """
    chance = random.Random(5)
    add_target(life.services.sync, "home", "mail", mail.url)
    add_target(life.services.sync, "home", "hook", hook.url)
    ids = [link(life, number, days=chance.choice((20, 90, 180))) for number in range(8)]
    silent_until = BEGIN
    for day in range(DAYS):
        life.now = BEGIN + timedelta(days=day, minutes=5)
        if day % 20 == 0:
            life.restart()
        if chance.random() < 0.03:
            silent_until = life.now + timedelta(days=chance.randrange(2, 8))
        if chance.random() < 0.1:
            mail.refusals, hook.refusals = chance.randrange(3), chance.randrange(3)
        for connection in ids[:6]:
            if chance.random() < 0.02:
                life.execute(
                    "UPDATE bank.connections SET consent_expires_at = :at WHERE id = :id",
                    at=life.now + timedelta(days=90),
                    id=connection,
                )
        for _ in range(0 if life.now < silent_until else chance.choice((1, 1, 3))):
            life.tick()
            life.now += timedelta(hours=chance.choice((1, 7)))
    mail.refusals = hook.refusals = 0
    life.now += timedelta(days=2)
    life.execute("UPDATE bank.connections SET status = 'disconnected'")
    life.tick()

    keys = life.due()
    assert len(keys) > 25
    with life.services.sync.engine.connect() as db:
        rows = db.execute(
            sa.text(
                "SELECT id::text, dedupe_key, state FROM bank.notifications WHERE kind = 'expiring'"
            )
        ).all()
    written = Counter(row[1] for row in rows)
    assert written == Counter({f"{one}:{end}:{step}": 1 for one, end, step in keys})
    sent = {row[0] for row in rows if row[2] == "sent"}
    assert len(sent) > 0.8 * len(rows)
    assert {row[2] for row in rows} <= {"sent", "suppressed"}
    for arrived in ([str(one["X-Notification-Id"]) for one in mail.mails], hook.ids):
        assert Counter(arrived) == Counter(sent)


def test_one_run_is_asked_for_until_something_was_tried(life: Life, hook: WebhookReceiver) -> None:
    """Repeated ticks repeat the key, so that Dagster drops them; a lost run is asked for again."""
    add_target(life.services.sync, "home", "hook", hook.url)
    assert life.requests() == []
    link(life, 1, days=7)

    [first], [again] = life.requests(), life.requests()
    assert first.run_key == again.run_key
    assert first.job_name in {None, "deliver_notices_job"}
    life.now += timedelta(minutes=10)
    [after_loss] = life.requests()
    assert after_loss.run_key != first.run_key
    life.tick()
    assert life.requests() == []
    assert hook.titles == ["The connection to Bank 1 ends in 7 days"]


def test_connections_that_fail_are_one_fault_per_class(runs: Runs) -> None:
    """However many connections and runs show it; over when none fails with it any more."""
    first, second = runs.linked(2)
    operator = Operator(runs)
    for connection in (first, second):
        runs.break_feed(connection, code="INSTITUTION_DOWN")
    assert not runs.of_config([first, second]).success
    operator.tick()
    assert operator.told() == [("operator_alert", "transient")]
    for connection in (first, second, first):
        assert not runs.of_partition(connection).success
        operator.tick()
    assert operator.told() == [("operator_alert", "transient")]

    runs.installation.sandbox.faults.clear()
    assert runs.of_partition(first).success
    runs.installation.sandbox.advance(timedelta(hours=2))
    operator.tick()
    assert len(operator.told()) == 1, "the second one still fails"
    assert runs.of_partition(second).success
    operator.tick()
    operator.tick()

    assert operator.told()[1:] == [("operator_recovered", "transient")]


def test_what_the_customer_mends_is_no_fault_of_the_operators(runs: Runs) -> None:
    [connection] = runs.linked()
    operator = Operator(runs)
    runs.break_feed(connection)
    assert not runs.of_partition(connection).success

    operator.tick()

    assert operator.told() == []


def test_a_job_that_fails_is_told_once_and_its_next_success_ends_it(runs: Runs) -> None:
    """A run that fails as such: here its table is gone."""
    operator = Operator(runs)

    def deliver() -> bool:
        return deliver_notices_job.execute_in_process(
            instance=runs.instance,
            resources={"services": runs.installation.services},
            run_config=_QUIET,
            raise_on_error=False,
        ).success

    engine = runs.installation.services.sync.engine
    with engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE bank.notifications RENAME TO elsewhere")
    outcomes = [deliver(), deliver()]
    with engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE bank.elsewhere RENAME TO notifications")
    assert outcomes == [False, False]
    operator.tick()
    assert operator.told() == [("operator_alert", "ProgrammingError")]

    assert deliver()
    operator.tick()
    operator.tick()

    assert operator.told()[1:] == [("operator_recovered", "ProgrammingError")]


def test_a_failed_run_is_told_of_though_the_database_was_away(runs: Runs) -> None:
    """Dagster's own tables may be elsewhere, or behind no pooler: it goes on meanwhile."""
    operator = Operator(runs)
    [connection] = runs.linked()
    runs.break_feed(connection, code="INSTITUTION_DOWN")
    assert not runs.of_partition(connection).success
    services = runs.installation.services
    [nobody] = free_ports(1)
    nowhere = sa.create_engine(f"postgresql+psycopg://nobody@127.0.0.1:{nobody}/nothing")
    away = replace(services, sync=replace(services.sync, engine=nowhere))

    for _ in range(2):
        with pytest.raises(dg.DagsterError, match="OperationalError"):
            operator.hear(away)
    operator.tick()

    assert operator.told() == [("operator_alert", "transient")]


def test_a_tick_hears_of_more_failed_runs_than_come_meanwhile(runs: Runs) -> None:
    """Runs fail every few seconds while a bank is down; told late, they would seem new."""
    operator = Operator(runs)
    [connection] = runs.linked()
    runs.break_feed(connection, code="INSTITUTION_DOWN")
    for _ in range(8):
        assert not runs.of_partition(connection).success

    operator.hear(runs.installation.services)

    assert runs.installation.value("SELECT occurrences FROM bank.operator_faults") == 8


def test_a_check_that_fails_is_told_once_and_when_it_passes(runs: Runs) -> None:
    assert runs.of_partition(*runs.linked()).success
    operator = Operator(runs)
    assert evaluate(runs) == {}
    operator.tick()
    assert operator.told() == []
    with runs.installation.services.sync.engine.begin() as db:
        db.execute(sa.text(DIFFERENCE))
    for _ in range(2):
        assert evaluate(runs).keys() == {"balances_go_with_rows"}
        operator.tick()
        operator.tick()
    assert operator.told() == [("operator_alert", "check failed")]

    with runs.installation.services.sync.engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.balance_checks"))
    assert evaluate(runs) == {}
    operator.tick()

    assert operator.told()[1:] == [("operator_recovered", "check failed")]


@pytest.mark.parametrize("source", [FaultSource.CHECK, FaultSource.RUN, FaultSource.TICK])
def test_a_fault_of_what_a_new_release_does_not_have_is_over(
    runs: Runs, source: FaultSource
) -> None:
    """No newest result, run or tick of it would ever say so."""
    operator = Operator(runs)
    context = runs.installation.services.sync
    for subject in ("as it was called before", *STILL_THERE[source]):
        name = FaultName(source, subject, "check failed")
        assert note_fault(context, name, seen_at=context.clock(), facts={"count": 1})

    operator.tick()

    assert [one.name.subject for one in load_faults(context)] == [*STILL_THERE[source]]
