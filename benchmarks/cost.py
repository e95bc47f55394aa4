"""
Calls to providers per connection and day, counted in the simulated providers' own logs.

Some calm weeks of a few customers of each provider, lived through twice: once with the webhooks
that banks send, and once with all of them lost, so that only the schedule asks. Links and first
syncs are not counted: the days begin when everybody has been there for two. Nor is what is asked
once for all connections (lists of banks, keys, our own token): a few customers would seem to pay
much for it.
"""

import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.simulation.customers import Customer, customers
from bank_pipeline.simulation.findings import Findings
from bank_pipeline.simulation.installation import Installation, database_server, installation
from bank_pipeline.simulation.kills import Killer
from bank_pipeline.simulation.plan import NONE, Plan, Trouble
from bank_pipeline.simulation.run import build_world
from bank_pipeline.simulation.troubles import chances
from bank_pipeline.simulation.year import Year

SEED: Final = 11
SETTLED: Final = timedelta(days=2)
SILENT: Final = Plan("silent", rates={Trouble.WEBHOOK_LOST: 1.0})
TIMES_LEAST_MAX: Final = 1.1  # of calls that are limited by the day, or billed
_LIMITED: Final = frozenset({"transactions", "balances", "/transactions/sync"})
_SHARED: Final = frozenset({
    "token_new", "institution", "institutions", "aspsps", "/webhook_verification_key/get",
    "/institutions/get_by_id",
})  # fmt: skip
_CALLS_OF_ONE_ANSWER: Final = {Provider.PLAID: 1}
"""Plaid tells what changed of all accounts, and their balances, in one answer."""
_OK: Final = 200
_PARTS: Final = 2  # rows and balances: elsewhere a call each, for every account
_ACCOUNTS: Final = sa.text("""
    SELECT c.provider, count(DISTINCT c.id) AS connections, count(a.id) AS accounts
    FROM bank.connections c JOIN bank.accounts a ON a.connection_id = c.id
    WHERE a.closed_at IS NULL GROUP BY 1
""")


@dataclass(frozen=True)
class Size:
    """Customers of each provider, and days."""

    of_each: int
    days: int


SIZES: Final = {"short": Size(of_each=1, days=3), "full": Size(of_each=2, days=12)}


class _DaysAreOver(Exception):  # noqa: N818 - no error
    """There is nothing more to count."""


@dataclass
class _Counts:
    """Calls by provider and operation from `begins` until `ends`."""

    place: Installation
    begins: datetime
    ends: datetime
    calls: dict[Provider, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def watch_plaid(self) -> None:
        """Count at Plaid's own gate, which every call has to pass."""
        limits, clock = self.place.sandbox.plaid.limits, self.place.world.clock
        admit = limits.admit

        def counted(operation: str, item_id: str, now: datetime) -> None:
            self._count(Provider.PLAID, operation, clock.now())
            admit(operation, item_id, now)

        vars(limits).update(admit=counted)

    def begin_day(self) -> None:
        """
        Take what the logs of the others hold, before the oldest of it is forgotten.

        Raises:
            _DaysAreOver: all days were counted; how everything settles then costs nobody.
        """
        self._collect()
        if self.place.world.clock.now() >= self.ends:
            raise _DaysAreOver

    def _collect(self) -> None:
        place = self.place
        with place.gocardless.state.lock:
            self._take(Provider.GOCARDLESS, place.gocardless.state.log.to_json())
            place.gocardless.state.log.clear()
        for provider, wing in (
            (Provider.ENABLE_BANKING, place.enable_banking),
            (Provider.TELLER, place.teller),
        ):
            with wing.lock:
                self._take(provider, list(wing.requests))
                wing.requests.clear()

    def _take(self, provider: Provider, requests: Iterable[Mapping[str, Any]]) -> None:
        for one in requests:
            if one["status"] == _OK:
                self._count(provider, one["operation"], datetime.fromisoformat(one["at"]))

    def _count(self, provider: Provider, operation: str, at: datetime) -> None:
        if operation not in _SHARED and self.begins <= at < self.ends:
            self.calls[provider][operation] += 1


def measure(size_name: str) -> dict[str, Any]:
    """Live through the weeks; return the calls beside the least possible."""
    size = SIZES[size_name]
    logging.disable(logging.WARNING)
    people = [
        one
        for one in customers(SEED, count=4 * size.of_each, days=1, has_odd_banks=False)
        if one.arrives_after < SETTLED
    ]
    with tempfile.TemporaryDirectory(prefix="bank-cost-") as name:
        folder = Path(name)
        with database_server(folder / "server") as url:
            told = {
                kind: _live(folder, url, people, plan, size)
                for kind, plan in (("schedule_only", SILENT), ("with_webhooks", NONE))
            }
    days = size.days - SETTLED.days
    found = {
        provider.value: _to_figures(provider, told, days)
        for provider in sorted({one.provider for one in people})
    }
    broken = [
        f"{provider}: {one['times_least']} times the least that is limited or billed"
        for provider, one in found.items()
        if one["times_least"] > TIMES_LEAST_MAX
    ]
    return {"days": days, "providers": found, "broken": broken}


@dataclass(frozen=True)
class _Lived:
    """What some weeks came to: calls, connections and accounts by provider."""

    calls: dict[Provider, Counter[str]]
    connections: dict[Provider, int]
    accounts: dict[Provider, int]


def _live(folder: Path, url: str, people: list[Customer], plan: Plan, size: Size) -> _Lived:
    world = build_world(SEED, NONE)
    own = folder / plan.name
    own.mkdir()
    with (
        installation(
            world, seed=SEED, folder=own, server_url=url, faults=chances(SEED, plan)
        ) as place,
        Killer() as killer,
    ):
        start = world.clock.now()
        counts = _Counts(place, start + SETTLED, start + timedelta(days=size.days))
        counts.watch_plaid()
        year = Year(
            place, killer, seed=SEED, days=size.days, plan=plan, customers=people,
            findings=Findings(), on_day=counts.begin_day,
        )  # fmt: skip
        with suppress(_DaysAreOver):
            year.live()
        with place.context.engine.connect() as db:
            rows = [*db.execute(_ACCOUNTS)]
    return _Lived(
        counts.calls,
        {Provider(row.provider): row.connections for row in rows},
        {Provider(row.provider): row.accounts for row in rows},
    )


def _to_figures(provider: Provider, told: dict[str, _Lived], days: int) -> dict[str, Any]:
    lived = told["schedule_only"]
    connections, accounts = lived.connections[provider], lived.accounts[provider]
    each = accounts / connections
    least = _CALLS_OF_ONE_ANSWER.get(provider, _PARTS * each)
    ours = {
        kind: round(one.calls[provider].total() / days / connections, 2)
        for kind, one in told.items()
    }
    operations = {
        operation: round(count / days / connections, 2)
        for operation, count in lived.calls[provider].most_common()
    }
    limited = sum(count for name, count in operations.items() if name in _LIMITED)
    return {
        "connections": connections,
        "accounts_each": round(each, 2),
        **ours,
        "operations_schedule_only": operations,
        "least": round(least, 2),
        "limited": round(limited, 2),
        "times_least": round(limited / least, 2),
        "midday": round(1 + _PARTS * each, 2),
    }
