"""
`kill -9` at every point of a sync, a link and a disconnect, and then once more.

Whatever point it is, the next try ends with the bank's truth: nothing lost, nothing doubled.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.domain.ids import ConnectionId, LinkSessionId
from bank_pipeline.errors import ConcurrentSyncError, ConfigurationError
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline_tests.sync.ground import CARD, CHECKING, READY, SAVINGS, Ground
from bank_pipeline_tests.sync.killing import Killer, snapshot

CHUNKS: Final = 4  # shares of the points, so that both workers have some
POINTS_LEAST: Final = 40
DAY: Final = timedelta(days=1)


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as one:
        yield one


@dataclass(frozen=True)
class _Expected:
    """What an undisturbed sync leaves behind, in terms that every sync shares."""

    rows: list[Any]
    counts: dict[str, int]


_COUNTED: Final = ("accounts", "balances", "transactions", "transaction_revisions", "quarantine")


def _state(ground: Ground) -> _Expected:
    rows = ground.query(
        "SELECT external_id, status, amount, removed_at IS NULL FROM bank.transactions ORDER BY 1"
    )
    return _Expected([tuple(row) for row in rows], {one: ground.count(one) for one in _COUNTED})


def _first_sync(ground: Ground) -> ConnectionId:
    """Link a login with booked and pending entries on three accounts."""
    for number in range(1, 4):
        ground.world.add_booked(CHECKING, Decimal(-number))
    ground.world.add_pending(CARD, Decimal(-20))
    ground.world.add_booked(SAVINGS, Decimal("0.07"))
    connection = ground.link()
    ground.pass_time(READY)
    return connection


def _later_sync(ground: Ground) -> ConnectionId:
    """Let everything happen that can happen to entries, after a first sync."""
    world = ground.world
    changed, gone, restored = (world.add_booked(CHECKING, Decimal(-n)) for n in (1, 2, 3))
    held = world.add_pending(CARD, Decimal(-20), description="Fuel")
    unlinked = world.add_pending(CARD, Decimal(-21), description="Blue Cup", linked=False)
    ended = world.add_pending(CARD, Decimal(-22))
    connection = ground.link_ready()
    world.remove(restored.id)
    ground.sync(connection)
    ground.pass_time(DAY)
    world.change(changed.id, amount=Decimal("-1.11"))
    world.remove(gone.id)
    world.restore(restored.id)
    world.book(held.id, amount=Decimal("-18.18"))
    world.book(unlinked.id)
    world.vanish(ended.id)
    world.add_twin(changed.id)
    ground.pass_time(DAY)
    return connection


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("prepare", [_first_sync, _later_sync], ids=["first", "later"])
def test_a_sync_killed_at_any_point_is_made_good_by_the_next(
    ground: Ground, killer: Killer, prepare: Any, chunk: int
) -> None:
    connection = prepare(ground)
    known = {row.id for row in (*ground.rows(), *ground.rows(removed=True))}
    with snapshot(ground.engine) as before:
        ground.sync(connection)
        expected = _state(ground)
        assert ground.differences(connection) == []
        before.restore()
        whole = killer.kill(ground, 0, connection_id=connection)
        assert (whole.was_killed, whole.status) == (False, 0), whole.points
        assert len(whole.points) >= POINTS_LEAST
        for point in range(1 + chunk, len(whole.points) + 1, CHUNKS):
            before.restore()
            death = killer.kill(ground, point, connection_id=connection)
            assert death.was_killed, death
            if ground.runs(connection) and ground.runs(connection)[-1].outcome is None:
                assert ground.connection(connection).next_attempt_at is not None, death

            ground.sync(connection)

            where = f"killed before {death.points[-1]!r}, point {point}"
            assert ground.differences(connection) == [], where
            assert _state(ground) == expected, where
            ids = {row.id for row in (*ground.rows(), *ground.rows(removed=True))}
            assert known <= ids, where
            outcomes = [run.outcome for run in ground.runs(connection)]
            assert None not in outcomes, where
            assert outcomes[-1] == "synced", where


def _completes(ground: Ground, session_id: LinkSessionId) -> bool:
    """Complete a link once more; say whether it is whole, as opposed to said to be lost."""
    try:
        return ground.complete(session_id).is_finished
    except ConfigurationError as error:
        if error.code != "INVALID_PUBLIC_TOKEN":
            raise
        return False


def test_a_link_killed_at_any_point_is_whole_or_says_that_it_is_lost(
    ground: Ground, killer: Killer
) -> None:
    """Lost is only what dies between Plaid's answer, given once, and our commit."""
    lost = []
    with snapshot(ground.engine) as before:
        for point in range(1, 100):
            before.restore()
            session_id, url = ground.begin_link()
            ground.decide(url)
            death = killer.kill(ground, point, session_id=session_id)
            if not death.was_killed:
                break
            kept = _completes(ground, session_id)
            lost += [] if kept else [point]
            assert (ground.count("connections"), ground.count("credentials")) == (kept, kept)

    assert death.status == 0, death.points
    assert lost == [*death.between("public_token/exchange")]


def test_a_disconnect_killed_at_any_point_is_finished_by_the_next(
    ground: Ground, killer: Killer
) -> None:
    with snapshot(ground.engine) as before:
        for point in range(1, 100):
            before.restore()
            connection = ground.link()
            death = killer.kill(ground, point, connection_id=connection, act="disconnect")

            disconnect(ground.context, connection)

            held = ground.connection(connection)
            assert held.status is ConnectionStatus.DISCONNECTED
            assert ground.sandbox.plaid.item(held.external_id).removed
            assert ground.count("credentials") == 0
            if not death.was_killed:
                break

    assert (death.was_killed, death.status) == (False, 0), death.points


def test_two_processes_at_once_do_the_work_once(ground: Ground, killer: Killer) -> None:
    """Each is alone or finds the other at work; neither doubles anything."""
    connection = _first_sync(ground)

    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(killer.kill, ground, 0, connection_id=connection)
        ours = pool.submit(ground.sync, connection)

    outcomes = [run.outcome for run in ground.runs(connection)]
    assert outcomes in (["synced"], ["synced", "synced"])
    assert isinstance(ours.exception(), ConcurrentSyncError | None)
    assert theirs.result().status == 0 or "being synced" in theirs.result().points[-1]
    assert len(ground.rows()) == 5
    assert ground.differences(connection) == []
