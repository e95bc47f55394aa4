"""What the operator is told of runs, checks and ticks that fail."""

from dataclasses import dataclass
from typing import Final

import dagster as dg
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.bootstrap import Services
from bank_pipeline.definitions import defs
from bank_pipeline.defs.notice_sensors import failed_run_sensor, fault_sensor
from bank_pipeline.sync.notice_targets import add_target, change_wishes
from bank_pipeline_tests.defs.runs import Runs

NOBODY: Final = SecretStr("json://127.0.0.1:9/nobody")


@dataclass
class Operator:
    """Ticks the sensors that watch Dagster, and reads what the operator is told."""

    runs: Runs
    cursor: str | None = None

    def __post_init__(self) -> None:
        sync = self.runs.installation.services.sync
        add_target(sync, "operators", "nobody", NOBODY)
        change_wishes(sync, "operators", kinds="all", large={}, low={})
        self.tick()

    def tick(self) -> None:
        services = self.runs.installation.services
        self.hear(services)
        self._evaluate(fault_sensor, services)

    def hear(self, services: Services) -> None:
        """Tick the sensor of failed runs; Dagster keeps how far it came if it did not raise."""
        self.cursor = self._evaluate(failed_run_sensor, services, self.cursor)

    def _evaluate(
        self, sensor: dg.SensorDefinition, services: Services, cursor: str | None = None
    ) -> str | None:
        with dg.build_sensor_context(
            instance=self.runs.instance,
            cursor=cursor,
            definitions=defs,
            resources={"services": services},
        ) as context:
            return sensor.evaluate_tick(context).cursor

    def told(self) -> list[tuple[str, str]]:
        query = (
            "SELECT kind, payload->>'cause' FROM bank.notifications "
            "WHERE kind LIKE 'operator%' ORDER BY id"
        )
        with self.runs.installation.services.sync.engine.connect() as db:
            return [(row[0], row[1]) for row in db.execute(sa.text(query))]
