"""One sync from start to end: the stages of a history, and what each failure means."""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.connection import ConnectionStatus, HistoryStage
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import LOOK_EVERY, RATE_SPREAD, RETRY_WAITS
from bank_pipeline.errors import (
    AccessRevokedError,
    BankPipelineError,
    ConfigurationError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    ReauthRequiredError,
    SecretError,
    TransientError,
)
from bank_pipeline.sandbox.faults import FaultKind
from bank_pipeline_tests.sync.ground import (
    ACCOUNTS,
    CHECKING,
    READY,
    SYNC,
    Ground,
    ground_over,
)
from bank_pipeline_tests.vaults import load_unfit

COFFEE: Final = Decimal("-4.50")
BEYOND_30_DAYS: Final = timedelta(days=60)
NO_ONE: Final = ConnectionId("01900000-0000-7000-8000-000000000000")


def test_an_empty_first_answer_is_not_no_transactions(ground: Ground) -> None:
    """Plaid has nothing yet: nothing is remembered, and another look is planned."""
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()

    report = ground.sync(connection)

    held = ground.connection(connection)
    assert report.stage is HistoryStage.AWAITING_INITIAL
    assert held.status is ConnectionStatus.PENDING
    assert held.cursor is None
    assert held.next_attempt_at is not None
    assert held.next_attempt_at - ground.context.clock() <= timedelta(seconds=5)
    assert ground.runs(connection)[-1].outcome == "awaiting_initial"


def test_history_arrives_in_two_stages_and_each_is_whole(ground: Ground) -> None:
    """First the last 30 days, then all; the next look is planned until then, and no longer."""
    today = ground.world.today(CHECKING)
    old = today - BEYOND_30_DAYS
    ground.world.add_booked(CHECKING, COFFEE)
    ground.world.add_booked(CHECKING, Decimal(-9), booking_date=old, transaction_date=old)
    connection = ground.link()
    ground.sync(connection)
    stages = [ground.connection(connection).history_stage]

    ground.pass_time(timedelta(seconds=15))
    ground.sync(connection)
    recent = ground.connection(connection)
    assert [row.amount for row in ground.rows()] == [COFFEE]
    assert ground.differences(connection) == []
    ground.pass_time(READY)
    ground.sync(connection)
    whole = ground.connection(connection)

    stages += [recent.history_stage, whole.history_stage]
    assert stages == [*HistoryStage]
    assert recent.status is ConnectionStatus.ACTIVE
    assert recent.next_attempt_at is not None
    assert (whole.status, whole.next_attempt_at) == (ConnectionStatus.ACTIVE, None)
    assert {row.amount for row in ground.rows()} == {COFFEE, Decimal(-9)}
    assert ground.differences(connection) == []


def test_the_connections_path_is_told(ground: Ground) -> None:
    connection = ground.link()
    ground.sync(connection)
    ground.pass_time(READY)

    ground.sync(connection)

    waiting = "waiting for the bank's first data"
    assert ground.events(connection) == [
        (None, "pending", "linked"),
        ("pending", "pending", waiting),
        ("pending", "active", None),
    ]


@pytest.mark.parametrize(
    ("code", "raised", "status", "is_planned"),
    [
        ("ITEM_LOGIN_REQUIRED", ReauthRequiredError, ConnectionStatus.NEEDS_REAUTH, True),
        ("USER_PERMISSION_REVOKED", AccessRevokedError, ConnectionStatus.REVOKED, False),
        ("ITEM_NOT_FOUND", AccessRevokedError, ConnectionStatus.REVOKED, False),
        ("INTERNAL_SERVER_ERROR", TransientError, ConnectionStatus.ERROR, True),
        ("INSTITUTION_DOWN", TransientError, ConnectionStatus.ERROR, True),
        ("PRODUCTS_NOT_SUPPORTED", ProviderError, ConnectionStatus.ERROR, True),
        ("TRANSACTIONS_SYNC_LIMIT", RateLimitedError, ConnectionStatus.ACTIVE, True),
        ("INVALID_API_KEYS", ConfigurationError, ConnectionStatus.ACTIVE, True),
        ("INVALID_FIELD", ConfigurationError, ConnectionStatus.ACTIVE, True),
    ],
)
def test_every_failure_is_recorded_and_plans_or_names_what_comes_next(
    ground: Ground,
    code: str,
    raised: type[BankPipelineError],
    status: ConnectionStatus,
    is_planned: bool,
) -> None:
    connection = ground.link_ready()
    ground.fail(SYNC, code, times=None)

    with pytest.raises(raised):
        ground.sync(connection)

    held, run = ground.connection(connection), ground.runs(connection)[-1]
    assert held.status is status
    assert (held.next_attempt_at is not None) is is_planned
    assert run.next_attempt_at == held.next_attempt_at
    assert (run.outcome, run.error_code, run.ended_at is None) == ("failed", code, False)
    if status is not ConnectionStatus.ACTIVE:
        assert ground.events(connection)[-1] == ("active", status.value, code)
    else:
        assert ground.events(connection)[-1][1] == "active"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.RESET, "NO_ANSWER_ProtocolError"),
        (FaultKind.RESET_BODY, "NO_ANSWER_ProtocolError"),
        (FaultKind.TRUNCATED_BODY, "NOT_JSON"),
        (FaultKind.HTML_BODY, "NOT_JSON"),
        (FaultKind.EMPTY_BODY, "NOT_JSON"),
        (FaultKind.HTTP_STATUS, "HTTP_502"),
        (FaultKind.LOST_ANSWER, "NO_ANSWER_ProtocolError"),
    ],
)
def test_a_bad_network_is_outlived_when_brief_and_planned_around_when_not(
    ground: Ground, kind: FaultKind, code: str
) -> None:
    ground.world.add_booked(CHECKING, COFFEE)
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(SYNC, kind, times=2)
    ground.sync(connection)  # tried again within the call
    assert ground.differences(connection) == []
    ground.world.add_booked(CHECKING, COFFEE)
    ground.fail(SYNC, kind, times=None)
    with pytest.raises(TransientError):
        ground.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ERROR, code)
    assert held.next_attempt_at == ground.context.clock() + RETRY_WAITS[0]
    ground.sandbox.faults.clear()
    ground.sync(connection)
    assert ground.differences(connection) == []


def test_a_provider_that_hangs_ends_with_a_plan(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail(SYNC, FaultKind.HANG, times=None)

    with (
        ground_over(
            ground.sandbox,
            ground.engine,
            ground.context.vault,
            ground.cache_dir,
            timeout_s=0.05,
        ) as hasty,
        pytest.raises(TransientError),
    ):
        hasty.sync(connection)

    assert ground.connection(connection).status_reason == "TIMEOUT"
    assert ground.connection(connection).next_attempt_at is not None


def test_a_limit_in_the_middle_of_the_pages_is_planned_around_not_waited_for(
    ground: Ground,
) -> None:
    """It counts as no failure, keeps the status, and writes none of the pages it got."""
    for number in range(1, 601):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)
    before = ground.connection(connection)

    ground.fail(SYNC, FaultKind.RATE_LIMITED, after=1, retry_after="120")
    with pytest.raises(RateLimitedError):
        ground.sync(connection)

    held = ground.connection(connection)
    assert held.next_attempt_at is not None
    wait = held.next_attempt_at - ground.context.clock()
    assert timedelta(seconds=120) <= wait <= timedelta(seconds=120) + RATE_SPREAD
    assert (held.status, held.error_retries) == (before.status, 0)
    assert ground.slept == []
    assert ground.rows() == []
    ground.pass_time(wait)
    ground.sync(connection)
    assert ground.differences(connection) == []


def test_failures_in_a_row_wait_longer_and_never_give_up(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.fail(SYNC, "INTERNAL_SERVER_ERROR", times=None)
    waits = []

    for _ in range(len(RETRY_WAITS) + 2):
        with pytest.raises(TransientError):
            ground.sync(connection)
        planned = ground.connection(connection).next_attempt_at
        assert planned is not None
        waits.append(planned - ground.context.clock())

    assert waits == [*RETRY_WAITS, RETRY_WAITS[-1], RETRY_WAITS[-1]]
    assert ground.connection(connection).error_retries == len(waits)
    ground.sandbox.faults.clear()
    ground.sync(connection)
    well = ground.connection(connection)
    assert (well.status, well.error_retries, well.next_attempt_at) == (
        ConnectionStatus.ACTIVE,
        0,
        None,
    )


def test_our_own_wrong_keys_blame_no_customer(ground: Ground) -> None:
    connection = ground.link_ready()

    with (
        ground_over(
            ground.sandbox, ground.engine, ground.context.vault, ground.cache_dir, secret="wrong"
        ) as locked_out,
        pytest.raises(ConfigurationError),
    ):
        locked_out.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.status_reason) == (ConnectionStatus.ACTIVE, None)
    assert held.next_attempt_at is not None
    assert ground.runs(connection)[-1].error_code == "INVALID_API_KEYS"


def test_a_secret_that_does_not_open_blames_no_customer(ground: Ground) -> None:
    connection = ground.link_ready()
    ground.execute("UPDATE bank.credentials SET ciphertext = ciphertext || '\\x00'")

    with pytest.raises(SecretError):
        ground.sync(connection)

    assert ground.connection(connection).status is ConnectionStatus.ACTIVE
    assert ground.runs(connection)[-1].error_class == "configuration"


def test_an_items_own_error_beside_good_accounts_is_believed(ground: Ground) -> None:
    """The accounts still come from Plaid's cache; the status says that they will not for long."""
    connection = ground.link_ready()
    ground.world.add_booked(CHECKING, COFFEE)
    ground.fail(ACCOUNTS, FaultKind.LOGIN_REQUIRED)

    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)

    assert ground.connection(connection).status is ConnectionStatus.NEEDS_REAUTH
    assert ground.runs(connection)[-1].outcome == "failed"
    assert [row.amount for row in ground.rows()] == [COFFEE]
    ground.repair_item(connection)
    ground.sync(connection)
    assert ground.connection(connection).status is ConnectionStatus.ACTIVE
    assert ground.differences(connection) == []


def test_a_stop_is_not_lifted_by_a_failure_that_says_nothing_of_it(ground: Ground) -> None:
    """A try of a connection that waits for its customer meets an outage: it goes on waiting."""
    connection = ground.link_ready()
    ground.break_item(connection)
    with pytest.raises(ReauthRequiredError):
        ground.sync(connection)

    for operation in ("/item/get", SYNC):
        ground.fail(operation, "INSTITUTION_DOWN")
    with pytest.raises(TransientError):
        ground.sync(connection)

    held = ground.connection(connection)
    assert (held.status, held.status_reason, held.next_attempt_at) == (
        ConnectionStatus.NEEDS_REAUTH,
        "ITEM_LOGIN_REQUIRED",
        ground.context.clock() + LOOK_EVERY,
    )


@pytest.mark.parametrize("key", ["transaction_id", "amount", "date", "pending"])
def test_one_bad_row_is_kept_aside_and_its_siblings_land(ground: Ground, key: str) -> None:
    """It is seen in the report, in the run and in quarantine, with its text; the next is fine."""
    for number in (1, 2, 3):
        ground.world.add_booked(CHECKING, Decimal(-number))
    connection = ground.link()
    ground.pass_time(READY)

    ground.fail(SYNC, FaultKind.MISSING_KEY, key=key)
    report = ground.sync(connection)
    ground.sync(connection)

    assert report.quarantined_count == 1
    assert ground.runs(connection)[0].counts["quarantined"] == 1
    assert len(ground.rows()) == 2
    [unfit] = load_unfit(ground.engine)
    assert key in unfit.reason
    assert "SCRIPTED ENTRY" in unfit.raw


def test_an_unknown_connection_is_named(ground: Ground) -> None:
    with pytest.raises(NotFoundError, match="no connection"):
        ground.sync(NO_ONE)
