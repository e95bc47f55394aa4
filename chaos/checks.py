"""Ask the checkers of the simulation, and what only a whole installation can break."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import HistoryStage, Provider
from bank_pipeline.sandbox.delivery import Delivery, Outbox
from bank_pipeline.sandbox.teller.simulator import Teller
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.logs import CANARY, Listener, LogChecker
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE
from bank_pipeline.simulation.troubles import Span, Troubles
from bank_pipeline.simulation.watcher import Watcher
from chaos.life import load_members
from chaos.runs import under_way
from chaos.stage import Stage

LOST_WEBHOOK: Final = "acknowledged webhook lost"
WAITING_WEBHOOK: Final = "acknowledged webhook that no sync covered"
ENDLESS_RUN: Final = "Dagster run without an end"
ENDED: Final = "connection that ended by itself"
_BLOCK: Final = 2_000_000  # characters of a log that are searched at once
_STRANGE: Final = sa.text(
    "SELECT error_code, count(*) AS times FROM bank.sync_runs "
    "WHERE error_class = 'unexpected' GROUP BY 1"
)
_FAILED: Final = sa.text("SELECT count(*) FROM bank.sync_runs WHERE error_class IS NOT NULL")
_DISCONNECTED: Final = sa.text("SELECT id FROM bank.connections WHERE status = 'disconnected'")
_EVENT: Final = sa.text(
    "SELECT w.handled_at, c.id AS connection_id FROM bank.webhook_events w "
    "LEFT JOIN bank.connections c ON c.provider = w.provider "
    "AND c.external_id = w.connection_external_id "
    "WHERE w.provider = :provider AND w.event_key = ANY(:keys)"
)
_INSTANCE: Final = sa.text("SELECT event FROM dagster.event_logs ORDER BY id")
_TICKS: Final = sa.text("SELECT tick_body FROM dagster.job_ticks ORDER BY id")


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
        self._check_logs()

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
            delivered = [one for one in outbox.log() if one.delivered]
            for what in (LOST_WEBHOOK, WAITING_WEBHOOK):
                self.looked[f"{what}: {provider}"] = len(delivered)
            for delivery in delivered:
                self._check_delivery(db, provider, delivery)

    def _check_delivery(self, db: sa.Connection, provider: Provider, delivery: Delivery) -> None:
        where = f"{provider} {delivery.code} number {delivery.number}"
        bound = {"provider": provider, "keys": _keys_of(provider, delivery)}
        stored = db.execute(_EVENT, bound).all()
        if not stored:
            self._add(LOST_WEBHOOK, where)
        elif any(one.handled_at is None and one.connection_id is not None for one in stored):
            self._add(WAITING_WEBHOOK, where)

    def _check_logs(self) -> None:
        listener = Listener()
        checker = LogChecker(listener, self._findings)
        (self._stage.logs / "planted.log").write_text(f"here stands a {CANARY}\n")
        was_heard = False
        for block in _blocks(_written(self._stage)):
            was_heard = was_heard or any(CANARY in line for line in block)
            listener.lines = block
            checker.search(self._stage.place)
        if not was_heard:
            words = "the search did not find what was planted"
            self._findings.add(Checker.SECRET_IN_LOG, "canary", words)


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


def _keys_of(provider: Provider, delivery: Delivery) -> list[str]:
    """
    Return the names under which a delivery may stand in the inbox.

    Teller's bodies carry an id. Plaid's are named by what was signed: the second, which may have
    ended between the attempt's time and its signature, and the body.
    """
    if provider is Provider.TELLER:
        return [str(json.loads(delivery.body)["id"])]
    second = int(delivery.attempts[-1].at.timestamp())
    body = hashlib.sha256(delivery.body.encode()).hexdigest()
    named = [f"{one!r} {body}" for one in (second, second + 1)]
    return [hashlib.sha256(name.encode()).hexdigest() for name in named]


def _written(stage: Stage) -> Iterator[str]:
    """Yield all that any process wrote: its output, steps' logs, the server's, Dagster's events."""
    for path in _files(stage):
        with path.open(errors="replace") as lines:
            for line in lines:
                yield f"{path.name} {line}"
    with stage.services.sync.engine.connect() as db:
        for query in (_INSTANCE, _TICKS):
            for event in db.scalars(query):
                yield f"dagster {event}"


def _files(stage: Stage) -> list[Path]:
    compute = stage.state_dir / "dagster" / "logs"
    return [
        *sorted(stage.logs.glob("*.log")),
        *(path for path in sorted(compute.rglob("*")) if path.is_file()),
        *sorted((stage.state_dir / "pg").glob("server*.log")),
    ]


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size > _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block
