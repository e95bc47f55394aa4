"""Live through one seed's year, or through many at once, and report."""

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bank_pipeline.sandbox.clock import VirtualClock
from bank_pipeline.sandbox.ledger import EntryState
from bank_pipeline.sandbox.world import World
from bank_pipeline.simulation.customers import SMALL_OFFERS, Customer, customers
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.installation import Installation, database_server, installation
from bank_pipeline.simulation.kills import Killer
from bank_pipeline.simulation.logs import Listener, LogChecker, listening
from bank_pipeline.simulation.plan import BY_THE_BANKS, TEMPERS, Plan, Trouble
from bank_pipeline.simulation.report import Report, command_of
from bank_pipeline.simulation.troubles import chances
from bank_pipeline.simulation.year import Year

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY_DAYS: Final = 60
SPENDING: Final = 0.5
_LATE_DAYS: Final = 2
_ROWS: Final = sa.text("SELECT count(*) FROM bank.transactions")
_REVISIONS: Final = sa.text("SELECT count(*) FROM bank.transaction_revisions")
_QUARANTINED: Final = sa.text("SELECT count(*) FROM bank.quarantine")


def live(
    seed: int,
    *,
    days: int,
    connections: int,
    plan: Plan,
    server_url: str | None = None,
    listens: bool = True,
    people: Sequence[Customer] | None = None,
) -> Report:
    """
    Live through a year and check it.

    `server_url` is that of a superuser on a PostgreSQL; without one a server is started for
    the purpose. Without `listens` no logs are heard, and none are searched. `people` come
    instead of those whom the seed brings.
    """
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bank-simulation-") as name:
        folder = Path(name)
        server: AbstractContextManager[str] = (
            database_server(folder / "server") if server_url is None else nullcontext(server_url)
        )
        findings = Findings()
        faults = chances(seed, plan)
        with (
            server as url,
            listening() if listens else nullcontext(Listener()) as listener,
            installation(
                build_world(seed, plan), seed=seed, folder=folder, server_url=url, faults=faults
            ) as place,
            Killer() as killer,
        ):
            if plan.rate(Trouble.KILLED):
                killer.warm_up()
            logs = LogChecker(listener, findings)
            year = Year(
                place,
                killer,
                seed=seed,
                days=days,
                plan=plan,
                customers=customers(
                    seed, count=connections, days=days, has_odd_banks=plan.has_odd_banks
                )
                if people is None
                else [*people],
                findings=findings,
                on_day=(lambda: logs.search(place)) if listens else None,
            )
            year.live()
            if listens:
                logs.prove(place)
            return _report(
                place, year, seed=seed, days=days, connections=connections, plan=plan,
                findings=findings, kills=killer.kills, began_s=began_s,
            )  # fmt: skip


def live_many(
    seeds: Iterable[int],
    *,
    days: int,
    connections: int,
    plan: Plan,
    jobs: int,
    on_report: Callable[[Report], None] = lambda _: None,
) -> list[Report]:
    """Live through the years of many seeds, `jobs` at once, over one server."""
    wanted = [*seeds]
    with (
        tempfile.TemporaryDirectory(prefix="bank-simulation-") as name,
        database_server(Path(name)) as url,
    ):
        return sorted(
            _each(wanted, days, connections, plan, jobs, url, on_report),
            key=lambda one: one.seed,
        )


def _each(
    seeds: list[int],
    days: int,
    connections: int,
    plan: Plan,
    jobs: int,
    url: str,
    on_report: Callable[[Report], None],
) -> Iterator[Report]:
    spawn = multiprocessing.get_context("spawn")  # a fork would take over our threads' locks
    with ProcessPoolExecutor(max_workers=jobs, mp_context=spawn) as pool:
        futures = [
            pool.submit(live, seed, days=days, connections=connections, plan=plan, server_url=url)
            for seed in seeds
        ]
        for future in as_completed(futures):
            report = future.result()
            on_report(report)
            yield report


def build_world(seed: int, plan: Plan) -> World:
    """Build a world without people, in which customers will come."""
    return World(
        seed,
        clock=VirtualClock(START),
        logins=0,
        history_days=HISTORY_DAYS,
        temper=TEMPERS[plan.temper],
        offers=SMALL_OFFERS,
        spending=SPENDING,
    )


def _report(  # noqa: PLR0913 - as above
    place: Installation,
    year: Year,
    *,
    seed: int,
    days: int,
    connections: int,
    plan: Plan,
    findings: Findings,
    kills: int,
    began_s: float,
) -> Report:
    with place.context.engine.connect() as db:
        rows, revisions, quarantined = (
            int(db.scalar(query) or 0) for query in (_ROWS, _REVISIONS, _QUARANTINED)
        )
    tally = year.driver.tally
    findings.look(Checker.STRANGE_FAILURE, sum(tally.failures.values()))
    for words in tally.strange:
        findings.add(Checker.STRANGE_FAILURE, "sync", words)
    counted = year.injected + count_by_banks(place.world)
    return Report(
        seed=seed,
        days=days,
        connections=connections,
        plan=plan.name,
        injected={kind.value: counted[kind] for kind in Trouble if counted[kind]},
        syncs=dict(tally.syncs),
        calls=dict(tally.calls),
        failures=dict(tally.failures),
        webhooks=year.mailbox.delivered,
        kills=kills,
        rows=rows,
        revisions=revisions,
        quarantined=quarantined,
        looked={checker.value: count for checker, count in findings.looked.items()},
        violations=[str(one) for one in findings.violations()],
        known=dict(findings.known()),
        seconds=time.monotonic() - began_s,
        command=command_of(seed, days=days, connections=connections, plan=plan.name),
    )


def count_by_banks(world: World) -> Counter[Trouble]:
    """Count what the banks did by themselves since the start, account by account."""
    counted: Counter[Trouble] = Counter()
    now = world.clock.now()
    for account_id in world.accounts:
        seen: set[tuple[object, ...]] = set()
        for event in world.events(account_id, until=now):
            if event.at < world.clock.start:
                continue
            entry, before = event.entry, event.before
            if entry.state is EntryState.VANISHED:
                counted[Trouble.VANISHED] += 1
            elif entry.state is EntryState.REMOVED:
                counted[Trouble.REMOVED] += 1
            elif entry.state is EntryState.BOOKED:
                is_booked = before is not None and before.state is EntryState.BOOKED
                if before is not None and before.state is EntryState.REMOVED:
                    counted[Trouble.RESTORED] += 1
                elif is_booked and before is not None and not event.noop:
                    counted[Trouble.CORRECTED] += before.amount != entry.amount
                if not is_booked and entry.booking_date is not None:
                    age = (event.at.date() - entry.booking_date).days
                    counted[Trouble.LATE] += age >= _LATE_DAYS
                    counted[Trouble.FUTURE] += age < -1
                    counted[Trouble.UNLINKED] += before is not None and not entry.linked
                    content = (entry.amount, entry.booking_date, entry.description)
                    counted[Trouble.TWINS] += content in seen
                    seen.add(content)
    assert set(counted) <= set(BY_THE_BANKS)
    return counted
