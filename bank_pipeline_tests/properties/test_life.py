"""Whatever happens at the bank, on the network and to us, in whatever order: the truth is held."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import BankPipelineError
from bank_pipeline.sandbox.faults import TRANSIENT_KINDS, Fault, FaultKind
from bank_pipeline.sync.reports import SyncReason
from bank_pipeline_tests.properties.life import Deed, Life, deeds
from bank_pipeline_tests.sync.ground import ACCOUNTS, READY, SYNC, Ground

LIES_NOT: Final = (
    *TRANSIENT_KINDS,
    FaultKind.MUTATION,
    FaultKind.CURSOR_REJECTED,
    FaultKind.NOT_READY,
    FaultKind.LOGIN_REQUIRED,
    FaultKind.DUPLICATE_ROWS,
    FaultKind.EXTRA_KEY,
    FaultKind.UNKNOWN_REMOVED_ID,
    FaultKind.MISSING_ACCOUNT,
    FaultKind.ENDLESS_PAGES,
)
"""Faults that keep the truth from us, and tell nothing false of it."""

WAITS: Final = (timedelta(seconds=1), timedelta(seconds=15), READY, timedelta(days=1))
FOREIGN_CURSOR: Final = "Zm9yZWlnbg=="

steps: Final = st.one_of(
    deeds.map(lambda deed: ("deed", deed)),
    deeds.map(lambda deed: ("deed", deed)),
    st.sampled_from(WAITS).map(lambda wait: ("wait", wait)),
    st.just(("sync", None)),
    st.just(("sync", None)),
    st.integers(1, 25).map(lambda statement: ("crash", statement)),
    st.tuples(st.sampled_from(LIES_NOT), st.sampled_from((SYNC, ACCOUNTS)), st.integers(1, 3)).map(
        lambda fault: ("fault", fault)
    ),
    st.just(("lose_cursor", None)),
    st.just(("repair", None)),
)


class CrashError(Exception):
    """The process ends here."""


@settings(
    max_examples=18,
    deadline=None,
    phases=(Phase.reuse, Phase.generate, Phase.shrink),  # explaining costs minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps, min_size=3, max_size=25))
def test_after_any_life_a_sync_holds_the_truth(
    announced: Ground, script: list[tuple[str, Any]]
) -> None:
    """And a row, once given an id, has it for ever: through booking, removal and return."""
    ground = announced
    login = ground.world.add_login("us-harbor")
    accounts = login.account_ids[:2]
    keeper = Life(ground.world, accounts)
    for which in (0, 1):  # an account of which nothing at all is shown is denied by no replay
        keeper.do(("add_booked", which, 1))
    life = Life(ground.world, accounts)
    connection = ground.link(login.id, *accounts)
    known: dict[str, str] = {}
    for step in script:
        _take(ground, connection, life, step)
        known = _still_the_same(ground, connection, known)

    ground.sandbox.faults.clear()
    ground.repair_item(connection)
    ground.pass_time(READY)
    ground.sync(connection)

    assert ground.differences(connection) == []
    _still_the_same(ground, connection, known)
    before = ground.rows()
    ground.sync(connection)
    assert ground.rows() == before


@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.reuse, Phase.generate, Phase.shrink),  # explaining costs minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.lists(deeds, min_size=2, max_size=8), min_size=3, max_size=5))
def test_every_sync_of_a_quiet_life_holds_the_truth(
    ground: Ground, rounds: list[list[Deed]]
) -> None:
    """What was removed returns to its row, and equal purchases stay as many as the bank shows."""
    login = ground.world.add_login("us-harbor")
    life = Life(ground.world, login.account_ids[:1])
    connection = ground.link(login.id, *login.account_ids[:1])
    ground.pass_time(READY)
    known: dict[str, str] = {}
    for happening in rounds:
        for deed in happening:
            life.do(deed)
        ground.sync(connection)
        assert ground.differences(connection) == []
        known = _still_the_same(ground, connection, known)


def _sync(ground: Ground, connection: ConnectionId) -> None:
    try:
        ground.sync(connection, SyncReason.SCHEDULE)
    except (BankPipelineError, CrashError):
        return  # what is planned then is another test's concern


def _crash(ground: Ground, connection: ConnectionId, statement: int) -> None:
    with _cut_before(ground.engine, statement):
        _sync(ground, connection)


def _add_fault(ground: Ground, fault: tuple[FaultKind, str, int]) -> None:
    kind, operation, times = fault
    ground.sandbox.faults.add(operation, Fault(kind), times=times)


def _lose_cursor(ground: Ground, connection: ConnectionId) -> None:
    ground.execute(
        "UPDATE bank.connections SET cursor = :cursor WHERE id = :id AND cursor IS NOT NULL",
        cursor=FOREIGN_CURSOR,
        id=connection,
    )


def _take(ground: Ground, connection: ConnectionId, life: Life, step: tuple[str, Any]) -> None:
    match step:
        case ("deed", deed):
            life.do(deed)
        case ("wait", wait):
            ground.pass_time(wait)
        case ("crash", statement):
            _crash(ground, connection, statement)
        case ("fault", fault):
            _add_fault(ground, fault)
        case ("repair", _):
            ground.repair_item(connection, tell=True)
        case ("lose_cursor", _):
            _lose_cursor(ground, connection)
        case _:
            _sync(ground, connection)


@contextmanager
def _cut_before(engine: sa.Engine, statement: int) -> Iterator[None]:
    """End whoever is about to send the nth statement."""
    count = 0

    def cut(*_: object) -> None:
        nonlocal count
        count += 1
        if count == statement:
            raise CrashError

    sa.event.listen(engine, "before_cursor_execute", cut)
    try:
        yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", cut)


def _still_the_same(
    ground: Ground, connection: ConnectionId, known: dict[str, str]
) -> dict[str, str]:
    """Check that no row is gone or has another id; return what is known now."""
    found = ground.query(
        "SELECT t.external_id, t.id::text FROM bank.transactions t"
        " JOIN bank.accounts a ON a.id = t.account_id WHERE a.connection_id = :id",
        id=connection,
    )
    now = {row[0]: row[1] for row in found}
    assert set(known.values()) <= set(now.values())
    assert {key: now[key] for key in known.keys() & now.keys()} == {
        key: known[key] for key in known.keys() & now.keys()
    }
    return now
