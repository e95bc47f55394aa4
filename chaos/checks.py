"""Ask the checkers of the simulation, and what only a whole installation can break."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import HistoryStage, Provider
from bank_pipeline.sandbox.delivery import Outbox
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE
from bank_pipeline.simulation.troubles import Span, Troubles
from bank_pipeline.simulation.watcher import Watcher
from chaos.inbox import LOST, WAITING, check_inbox
from chaos.life import load_members
from chaos.runs import under_way
from chaos.stage import Stage
from chaos.written import search_files, search_instance

ENDLESS_RUN: Final = "Dagster run without an end"
ENDED: Final = "connection that ended by itself"
_STRANGE: Final = sa.text(
    "SELECT error_code, count(*) AS times FROM bank.sync_runs "
    "WHERE error_class = 'unexpected' GROUP BY 1"
)
_FAILED: Final = sa.text("SELECT count(*) FROM bank.sync_runs WHERE error_class IS NOT NULL")
_DISCONNECTED: Final = sa.text("SELECT id FROM bank.connections WHERE status = 'disconnected'")


class Checks:
    """What was looked at beside the simulation's checkers, and what was found."""

    def __init__(self, stage: Stage, watcher: Watcher, findings: Findings) -> None:
        self._stage = stage
        self._watcher = watcher
        self._findings = findings
        self.looked: dict[str, int] = {}
        self.found: list[str] = []

    def conclude(self, *, killed_max: int) -> None:
        """
        Look at everything.

        `killed_max` is how many syncs the blows can have killed at most.
        """
        members = load_members(self._stage)
        for member in members:
            if _is_comparable(self._stage, member):
                self._watcher.look_at(member, is_last=True)
        clock = self._stage.place.world.clock
        span = Span(clock.start, clock.now())
        troubles = Troubles(self._stage.place, Agenda(), seed=0, plan=NONE, span=span)
        self._watcher.conclude(members, troubles, kills=killed_max)
        with self._stage.services.sync.engine.connect() as db:
            self._check_failures(db)
            self._check_runs(db)
            self._check_inbox(db)
            search_instance(db, self._stage.place, self._findings)
        search_files(
            self._stage.place,
            self._findings,
            logs=self._stage.logs,
            state_dir=self._stage.state_dir,
        )

    def _add(self, what: str, words: str) -> None:
        self.found.append(f"{what}: {words}")

    def _check_failures(self, db: sa.Connection) -> None:
        self._findings.look(Checker.STRANGE_FAILURE, int(db.scalar(_FAILED) or 0))
        for one in db.execute(_STRANGE):
            words = f"{one.error_code}, {one.times} times"
            self._findings.add(Checker.STRANGE_FAILURE, "syncs", words)

    def _check_runs(self, db: sa.Connection) -> None:
        self.looked[ENDLESS_RUN] = int(db.scalar(sa.text("SELECT count(*) FROM dagster.runs")) or 0)
        for words in under_way(db):
            self._add(ENDLESS_RUN, words)
        self.looked[ENDED] = 1
        for connection_id in db.scalars(_DISCONNECTED):
            self._add(ENDED, str(connection_id))

    def _check_inbox(self, db: sa.Connection) -> None:
        for provider, outbox in _outboxes(self._stage):
            acknowledged = [one for one in outbox.log() if one.delivered]
            for what in (LOST, WAITING):
                self.looked[f"{what}: {provider}"] = len(acknowledged)
            self.found += check_inbox(db, provider, acknowledged)


def _is_comparable(stage: Stage, member: Member) -> bool:
    connection = member.connection(stage.place)
    return (
        connection.status.is_syncable
        and connection.last_success_at is not None
        and connection.history_stage is HistoryStage.COMPLETE
    )


def _outboxes(stage: Stage) -> Iterator[tuple[Provider, Outbox]]:
    yield Provider.PLAID, stage.place.sandbox.plaid.webhooks
    teller = stage.place.sandbox.wings["teller"]
    assert isinstance(teller, Teller)
    yield Provider.TELLER, teller.webhooks
