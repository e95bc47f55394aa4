"""
`kill -9` in syncs, links and renewals of providers that are asked account by account.

Whatever point it is, the planned try ends with the bank's truth: nothing lost, nothing doubled,
under our ids of old, and without a call beyond those that the provider counts. Some points are
tried, and every one with HYPOTHESIS_PROFILE=explore.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from bank_pipeline.cli.playground import wings_environment
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import LEASE
from bank_pipeline.errors import ConfigurationError, RateLimitedError
from bank_pipeline.sandbox.gocardless.quotas import DailyCalls
from bank_pipeline.sandbox.gocardless.simulator import GoCardless
from bank_pipeline.storage.credentials import Vault
from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline.sync.linked import LinkState
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.providers.contract.banks import GATEWAY, Banks
from bank_pipeline_tests.providers.contract.cases import CASES
from bank_pipeline_tests.providers.contract.stage import Stage, stage_of
from bank_pipeline_tests.sync.killing import Death, Killer, snapshot

DAY: Final = timedelta(days=1)
TRIED: Final = 3  # points of each story, spread evenly
ARE_ALL_TRIED: Final = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
COUNTED: Final = tuple(case for case in CASES if case.capabilities.quotas)


@dataclass(frozen=True)
class Scene:
    """A stage, and somebody who dies on it."""

    stage: Stage
    killer: Killer
    settings: dict[str, Any]

    def kill(self, point: int, **order: Any) -> Death:
        told = {
            "provider": self.stage.case.provider.value,
            "settings": self.settings,
            "cache_dir": self.settings["state_dir"],
            **order,
        }
        return self.killer.kill_over(self.stage.context, point, told)

    def forget_calls(self) -> None:
        """Have the banks forget how often they were asked, as our tables do with a snapshot."""
        gocardless = self.stage.sandbox.wings["gocardless"]
        assert isinstance(gocardless, GoCardless)
        gocardless.state.daily = DailyCalls()
        url = f"{self.stage.sandbox.url}/_sim/enable_banking/quota"
        httpx.post(url, json={"per_day": 4}).raise_for_status()

    def next_try(self, connection: ConnectionId) -> None:
        """Do what is planned, when it is; what has no plan is the schedule's."""
        due = self.stage.connection(connection).next_attempt_at
        if due is None:
            self.stage.sync(connection, SyncReason.SCHEDULE)
            return
        wait = due - self.stage.sandbox.clock.now()
        assert wait <= LEASE
        self.stage.pass_time(max(wait, timedelta(0)))
        self.stage.sync(connection, SyncReason.RECOVERY)

    def begin(self, login: str, *, renews: ConnectionId | None = None) -> dict[str, str]:
        """Have a customer agree at their bank; return what comes back with them."""
        started = start_link(
            self.stage.context,
            self.stage.case.provider,
            team_name="home",
            institution=None if renews else self.stage.institution_of(login),
            renews=renews,
        )
        answer = httpx.post(started.url, data={"outcome": "approve", "login": login})
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def come_back(self, returned: dict[str, str]) -> LinkState | None:
        """Complete a link once more; None when it is said to be lost."""
        try:
            return accept_return(self.stage.context, self.stage.case.provider, returned)
        except ConfigurationError:
            return None


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as one:
        yield one


@pytest.fixture(params=COUNTED, ids=str)
def scene(
    request: pytest.FixtureRequest, banks: Banks, engine: sa.Engine, vault: Vault, killer: Killer
) -> Iterator[Scene]:
    folder = banks.settings.state_dir
    settings = {
        **wings_environment(folder, banks.sandbox.url),
        "gateway_url": GATEWAY,
        "state_dir": str(folder),
    }
    with stage_of(request.param, banks, engine, vault) as stage:
        yield Scene(stage, killer, settings)


def first_sync(scene: Scene) -> ConnectionId:
    """Link a login with booked and pending rows."""
    stage = scene.stage
    login = stage.new_login()
    twin = stage.world.add_booked(stage.account(login), Decimal("-1.50"))
    stage.world.add_twin(twin.id)
    stage.world.add_pending(stage.account(login), Decimal("-20.00"))
    return stage.link(login)


def changed(scene: Scene, *, is_renewed: bool) -> ConnectionId:
    """Let everything happen that can happen to rows, after a first sync."""
    stage = scene.stage
    world, login = stage.world, stage.new_login()
    checking = stage.account(login)
    altered, gone, restored = (world.add_booked(checking, Decimal(-n)) for n in (1, 2, 3))
    held = world.add_pending(checking, Decimal("-20.00"), description="Fuel")
    unlinked = world.add_pending(checking, Decimal("-21.00"), description="Blue Cup", linked=False)
    ended = world.add_pending(checking, Decimal("-22.00"))
    connection = stage.link(login)
    stage.sync(connection)
    world.remove(restored.id)
    stage.sync(connection)
    stage.pass_time(DAY)
    world.change(altered.id, amount=Decimal("-1.11"))
    world.remove(gone.id)
    world.restore(restored.id)
    world.book(held.id)
    world.book(unlinked.id)
    world.vanish(ended.id)
    world.add_twin(altered.id)
    if is_renewed:
        assert stage.consent(login, renews=connection).connection_ids == (connection,)
    stage.pass_time(DAY)
    return connection


def later_sync(scene: Scene) -> ConnectionId:
    return changed(scene, is_renewed=False)


def renewed_sync(scene: Scene) -> ConnectionId:
    return changed(scene, is_renewed=True)


def state_of(stage: Stage) -> tuple[Any, ...]:
    """Return what every sync that ends well leaves alike, whatever was killed before."""
    counted = ("accounts", "balances", "transactions", "transaction_revisions", "quarantine")
    counts = [stage.query(f"SELECT count(*) FROM bank.{name}")[0][0] for name in counted]
    rows = [(row.external_id, row.status, row.amount, row.is_removed) for row in stage.rows()]
    return counts, sorted(rows, key=str)


def covered_since(stage: Stage) -> dict[str, date]:
    """Return the first covered day of each account; all are covered until today."""
    found = stage.query("SELECT account_id::text, first_day, last_day FROM bank.account_coverage")
    assert {row[2] for row in found} == {stage.sandbox.clock.now().date()}
    return {row[0]: row[1] for row in found}


def points_of(whole: Death, *, offset: int) -> list[int]:
    """Return the points to die at: some of all, and always the last but one commit."""
    assert (whole.was_killed, whole.status) == (False, 0), whole.points
    count = len(whole.points)
    commits = [number for number, name in enumerate(whole.points, 1) if name == "commit"]
    step = 1 if ARE_ALL_TRIED else max(1, count // TRIED)
    return sorted({*range(1 + offset % step, count + 1, step), commits[-1]})


@pytest.mark.parametrize("prepare", [first_sync, later_sync, renewed_sync])
def test_a_sync_killed_at_any_point_is_made_good_by_the_planned_try(
    scene: Scene, prepare: Callable[[Scene], ConnectionId]
) -> None:
    stage = scene.stage
    connection = prepare(scene)
    reason = SyncReason.INITIAL if prepare is first_sync else SyncReason.SCHEDULE
    known = {row.id for row in stage.rows()}
    with snapshot(stage.context.engine) as before:
        scene.forget_calls()
        stage.sync(connection, reason)
        assert stage.differences(connection) == []
        expected, since = state_of(stage), covered_since(stage)
        begun_on = stage.sandbox.clock.now().date()
        before.restore()
        scene.forget_calls()
        whole = scene.kill(0, connection_id=connection, reason=reason)
        for point in points_of(whole, offset=len(prepare.__name__)):
            before.restore()
            scene.forget_calls()
            begun = stage.calls()
            death = scene.kill(point, connection_id=connection, reason=reason)
            assert death.was_killed, death
            where = f"killed before {death.points[-1]!r}, point {point}"

            scene.next_try(connection)

            assert stage.differences(connection) == [], where
            assert state_of(stage) == expected, where
            assert known <= {row.id for row in stage.rows()}, where
            assert most_calls(stage, begun) <= 4, where
            covered = covered_since(stage)
            assert covered.keys() == since.keys(), where
            passed = stage.sandbox.clock.now().date() - begun_on  # a day later, a day less is given
            assert all(covered[one] <= since[one] + passed for one in since), where


def most_calls(stage: Stage, begun: Any) -> int:
    """Return how often one scope of one account was asked for, of those that are counted."""
    names = {name.partition(":")[2] for name in stage.case.operations.values()}
    made = stage.calls() - begun
    return max((count for (name, _), count in made.items() if name in names), default=0)


def test_deaths_in_a_row_spend_no_call_too_many(scene: Scene) -> None:
    """Each dies later than the one before; the ledger counts what none of them could finish."""
    stage = scene.stage
    connection = first_sync(scene)
    scene.forget_calls()
    begun = stage.calls()
    point, died = 12, 0
    while died < 14 and point < 400:
        death = scene.kill(point, connection_id=connection, reason=SyncReason.RECOVERY)
        if not death.was_killed:
            break
        died += 1
        point += 3
        stage.pass_time(LEASE)
    assert died > 8
    assert most_calls(stage, begun) <= 4
    for _ in range(12):  # each scope of each account has a time of its own
        due = stage.connection(connection).next_attempt_at or stage.sandbox.clock.now()
        stage.pass_time(max(due - stage.sandbox.clock.now(), timedelta(0)))
        try:
            stage.sync(connection, SyncReason.RECOVERY)
        except RateLimitedError:
            continue
        break
    assert stage.differences(connection) == []


def test_a_link_killed_at_any_point_is_whole_or_says_that_it_is_lost(scene: Scene) -> None:
    """Lost is only what dies between an answer that is given once, and our commit."""
    stage = scene.stage
    login = stage.new_login()
    lost = []
    with snapshot(stage.context.engine) as before:
        scene.kill(0, returned=scene.begin(login))  # so that what is cached is cached for all
        before.restore()
        scene.forget_calls()
        whole = scene.kill(0, returned=scene.begin(login))
        points = range(1, len(whole.points) + 1, 1 if ARE_ALL_TRIED else 9)
        for point in points:
            before.restore()
            scene.forget_calls()
            returned = scene.begin(login)
            death = scene.kill(point, returned=returned)
            assert death.was_killed, death
            state = scene.come_back(returned)
            kept = state is not None and len(state.connection_ids) == 1
            lost += [] if kept else [point]
            counts = [
                stage.query(f"SELECT count(*) FROM bank.{table}")[0][0]
                for table in ("connections", "credentials")
            ]
            assert counts == [kept, kept], death
    is_told_once = stage.case.provider is Provider.ENABLE_BANKING
    fatal = whole.between("POST /enable_banking/sessions") if is_told_once else range(0)
    assert lost == [point for point in points if point in fatal]
    assert bool(lost) is is_told_once


def test_a_renewal_killed_at_any_point_keeps_rows_and_a_consent_that_works(scene: Scene) -> None:
    stage = scene.stage
    login = stage.new_login()
    stage.world.add_pending(stage.account(login), Decimal("-20.00"))
    connection = stage.link(login)
    scene.forget_calls()
    stage.sync(connection)
    before = {row.id for row in stage.rows()}
    whole = scene.kill(0, returned=scene.begin(login, renews=connection))
    assert (whole.was_killed, whole.status) == (False, 0), whole.points
    for point in range(1, len(whole.points) + 1, 1 if ARE_ALL_TRIED else 13):
        stage.pass_time(DAY)
        returned = scene.begin(login, renews=connection)
        death = scene.kill(point, returned=returned)
        state = scene.come_back(returned)
        assert state is None or state.connection_ids == (connection,), death
        stage.sync(connection)
        assert stage.differences(connection) == [], death
        assert {row.id for row in stage.rows()} == before, death
        assert len(stage.query("SELECT 1 FROM bank.connections")) == 1, death
