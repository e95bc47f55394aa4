"""Complaint 23: no calls were left for whoever looked."""

from collections import Counter
from contextlib import suppress
from decimal import Decimal

import pytest

from bank_pipeline.domain.connection import ConnectionStatus
from bank_pipeline.errors import RateLimitedError
from bank_pipeline.providers.answers import PresentUser
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline.sync.connection import sync_connection
from bank_pipeline.sync.reports import SyncReason, SyncRequest
from bank_pipeline_tests.complaints.scene import DAY, HOUR, Scene


def asked(scene: Scene) -> Counter[tuple[str, str]]:
    """Count the calls for transactions and balances so far."""
    return Counter(
        {key: n for key, n in scene.stage.calls().items() if key[0] in ("transactions", "balances")}
    )


def test_23_the_schedule_leaves_calls_of_the_day_to_people_and_nobody_makes_one_too_many(
    european: Scene,
) -> None:
    """
    A bank allows four calls a day, and they were gone before anybody looked.

    actual#3120, actual#4039, actual#4854, actual-server#431, TampereHacklab/mulysa#497,
    OCA#809, firefly#9162, whisper#352.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    scene.stage.pass_time(DAY)
    before, done = asked(scene), Counter[SyncReason]()
    for reason in (SyncReason.SCHEDULE,) * 4 + (SyncReason.MANUAL,) * 4:
        with suppress(RateLimitedError):
            scene.sync(reason)
            done[reason] += 1
        held = scene.held()
        assert (held.status, held.error_retries) == (ConnectionStatus.ACTIVE, 0)
        scene.stage.pass_time(HOUR)

    assert 1 <= done[SyncReason.SCHEDULE] <= 2
    assert done[SyncReason.MANUAL] >= 1
    assert max((asked(scene) - before).values()) <= 4
    assert scene.held().next_attempt_at is not None
    scene.buy("-13.00")
    scene.next_day(2)
    assert scene.differences() == []


def test_23_a_limit_of_the_bank_is_waited_for_and_counts_as_no_failure(european: Scene) -> None:
    """
    A refused call was made again at once, and again, and then counted as a broken connection.

    actual#3120, OCA#809, whisper#352.
    """
    scene = european.customer()
    scene.link().sync()
    scene.stage.pass_time(DAY)
    scene.buy("-12.00")
    scene.fail(FaultKind.RATE_LIMITED, times=None, retry_after="7200")
    with pytest.raises(RateLimitedError):
        scene.sync(SyncReason.SCHEDULE)
    held = scene.held()
    assert (held.status, held.error_retries) == (ConnectionStatus.ACTIVE, 0)
    assert held.next_attempt_at is not None
    wait = held.next_attempt_at - scene.world.clock.now()
    assert wait >= 2 * HOUR

    before = scene.stage.calls()
    with pytest.raises(RateLimitedError):
        scene.sync(SyncReason.MANUAL)
    key = ("transactions", scene.stage.account_id(scene.connection, scene.account()))
    assert scene.stage.calls()[key] == before[key]
    scene.stage.heal()
    scene.stage.pass_time(wait)
    scene.sync(SyncReason.RECOVERY)
    assert scene.differences() == []


def test_23_a_customer_who_is_there_may_look_as_often_as_they_like(
    enable_banking: Scene,
) -> None:
    """
    Who stood before the screen was told to come back tomorrow.

    whisper#352, actual#4854.
    """
    scene = enable_banking.customer()
    scene.link().sync()
    user = PresentUser(ip_address="203.0.113.9", user_agent="Browser/1.0")
    request = SyncRequest(scene.connection, SyncReason.MANUAL, present_user=user)
    for number in range(1, 9):
        scene.buy(f"-{number}.00")
        scene.stage.pass_time(HOUR / 12)
        sync_connection(scene.stage.context, request)
        assert len(scene.rows()) == number
    assert {row.amount for row in scene.rows()} >= {Decimal(-8)}
    assert scene.differences() == []
