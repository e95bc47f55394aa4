"""Our own keys refused: nobody's connection is touched, nobody calls, and one probe ends it."""

import logging
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

import pytest

from bank_pipeline.domain.circuit import MASS_REFUSAL, PROBE_WAITS, SUSPICION_LEAST
from bank_pipeline.domain.connection import ConnectionStatus, Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.errors import (
    AccessRevokedError,
    CredentialsRefusedError,
    ProviderPausedError,
    ReauthRequiredError,
)
from bank_pipeline.providers.enable_banking.link import LinkSettings
from bank_pipeline.storage.listing import load_due_attempts
from bank_pipeline.sync.circuit import PAUSED
from bank_pipeline.sync.reports import Step, SyncReason
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.between import just_before
from bank_pipeline_tests.sync.ground import SYNC, Ground
from bank_pipeline_tests.sync.staging import staged_at

PROBE = "/institutions/get"  # what proves Plaid's keys


def health(ground: Ground) -> tuple[str, str | None]:
    [row] = ground.query("SELECT state, code FROM analytics.provider_health")
    return row[0], row[1]


def refuse_keys(ground: Ground) -> None:
    """Have Plaid refuse our keys, whatever is asked."""
    for operation in (SYNC, PROBE, "/accounts/get", "/item/get"):
        ground.fail(operation, "INVALID_API_KEYS", times=None)


def paused(ground: Ground, connection: ConnectionId) -> None:
    """Sync, which must be put off without a call of its own."""
    before = ground.calls(SYNC)
    with pytest.raises(ProviderPausedError):
        ground.sync(connection, SyncReason.SCHEDULE)
    assert ground.calls(SYNC) == before


def test_the_first_refusal_of_our_keys_stops_the_calls_of_all(
    ground: Ground, caplog: pytest.LogCaptureFixture
) -> None:
    """The next ones are put off, visibly, until after the probe; no customer is touched."""
    first, second = ground.link_ready("login-1"), ground.link_ready("login-2")
    refuse_keys(ground)
    with caplog.at_level(logging.ERROR), pytest.raises(CredentialsRefusedError):
        ground.sync(first)
    assert "refuses our credentials (INVALID_API_KEYS)" in caplog.text
    assert health(ground) == ("open", "INVALID_API_KEYS")

    paused(ground, second)

    held, run = ground.connection(second), ground.runs(second)[-1]
    assert (held.status, held.error_retries) == (ConnectionStatus.ACTIVE, 0)
    assert (run.outcome, run.error_class, run.error_code) == ("deferred", "configuration", PAUSED)
    assert held.next_attempt_at is not None
    assert PROBE_WAITS[0] <= held.next_attempt_at - ground.context.clock() < 2 * PROBE_WAITS[0]
    steps = ground.query("SELECT DISTINCT next_step, is_provider_paused FROM analytics.connections")
    assert [tuple(step) for step in steps] == [("the operator checks our keys (doctor)", True)]


def test_one_probe_a_time_and_the_one_that_passes_lets_everybody_go_on(ground: Ground) -> None:
    first, second = ground.link_ready("login-1"), ground.link_ready("login-2")
    refuse_keys(ground)
    with pytest.raises(CredentialsRefusedError):
        ground.sync(first)
    ground.pass_time(PROBE_WAITS[0])
    probed = ground.calls(PROBE)
    for connection in (first, second, first):
        paused(ground, connection)
    assert ground.calls(PROBE) == probed + 1  # the first who came looked, and the others believed

    ground.sandbox.faults.clear()
    paused(ground, first)
    ground.pass_time(PROBE_WAITS[1])
    ground.sync(second, SyncReason.RECOVERY)
    ground.sync(first, SyncReason.RECOVERY)
    assert health(ground) == ("closed", None)
    assert ground.differences(first) == ground.differences(second) == []


def test_balances_that_a_pause_puts_off_plan_no_whole_sync(ground: Ground) -> None:
    """Nothing was asked, so nothing failed; the schedule of balances asks for them again."""
    first, second = ground.link_ready("login-1"), ground.link_ready("login-2")
    refuse_keys(ground)
    with pytest.raises(CredentialsRefusedError):
        ground.sync(first)
    before = ground.connection(second)

    with pytest.raises(ProviderPausedError):
        ground.sync(second, SyncReason.REFRESH, steps=frozenset({Step.BALANCES}))

    assert ground.runs(second)[-1].outcome == "deferred"
    assert ground.connection(second) == before


def test_a_probe_that_a_clock_planned_that_was_days_ahead_is_due(ground: Ground) -> None:
    """Set back again, no connection of the provider was read until the time came."""
    connection = ground.link_ready()
    refuse_keys(ground)
    with pytest.raises(CredentialsRefusedError):
        ground.sync(connection)
    ground.sandbox.faults.clear()
    ahead = "next_probe_at = next_probe_at + interval '30 days'"
    ground.execute(f"UPDATE bank.provider_health SET {ahead}")

    ground.sync(connection, SyncReason.RECOVERY)

    assert health(ground) == ("closed", None)


def test_a_request_that_was_wrong_by_itself_pauses_nobody(ground: Ground) -> None:
    first, second = ground.link_ready("login-1"), ground.link_ready("login-2")
    ground.fail(SYNC, "INVALID_FIELD")
    with pytest.raises(Exception, match="INVALID_FIELD"):
        ground.sync(first)
    ground.sync(second)
    assert health(ground) == ("closed", None)


def test_an_outage_at_the_probe_proves_nothing_and_is_tried_again(ground: Ground) -> None:
    connection = ground.link_ready()
    refuse_keys(ground)
    with pytest.raises(CredentialsRefusedError):
        ground.sync(connection)
    ground.sandbox.faults.clear()
    ground.fail(PROBE, "INTERNAL_SERVER_ERROR", times=None)
    ground.pass_time(PROBE_WAITS[0])
    paused(ground, connection)
    assert health(ground) == ("open", "INVALID_API_KEYS")


crowd = staged_at(Provider.TELLER)
european = staged_at(Provider.ENABLE_BANKING)
"""Many customers of one provider."""


def told_to_act(stage: Stage, connections: list[ConnectionId]) -> list[ConnectionStatus]:
    for connection in connections:
        with pytest.raises((ReauthRequiredError, AccessRevokedError, ProviderPausedError)):
            stage.sync(connection, SyncReason.SCHEDULE)
    return [stage.connection(one).status for one in connections]


def test_many_customers_told_to_act_at_once_are_not_marked_and_those_that_were_go_back(
    crowd: Stage,
) -> None:
    """The probe shows that it was us: everybody stands where they stood, and comes back."""
    stage = crowd
    connections = [stage.link(stage.new_login()) for _ in range(SUSPICION_LEAST + 2)]
    for one in connections:
        stage.sync(one)
    stage.pass_time(timedelta(days=1))
    stage.fail("teller:*", "forbidden", times=None)
    stage.fail("teller:institutions", "unauthorized", times=None)

    statuses = told_to_act(stage, connections)

    # The last two found the provider paused, and the first of them its probe refused.
    assert ConnectionStatus.REVOKED not in {stage.connection(one).status for one in connections}
    assert statuses[-3:] == [ConnectionStatus.ACTIVE] * 3
    [row] = stage.query("SELECT state, connections_stopped FROM analytics.provider_health")
    assert tuple(row) == ("open", 0)
    told = stage.query("SELECT DISTINCT reason FROM bank.connection_events ORDER BY 1")
    assert "our credentials were refused" in {row[0] for row in told}

    stage.heal()
    stage.pass_time(PROBE_WAITS[-1])
    with stage.context.engine.connect() as db:
        due = load_due_attempts(db, now=stage.context.clock(), limit=99)
    assert {one.connection_id for one in due} == {*connections}
    for one in connections:
        stage.sync(one, SyncReason.RECOVERY)
        assert stage.differences(one) == []


def test_customers_are_believed_once_a_probe_has_proven_our_keys(crowd: Stage) -> None:
    """A bank that ends all its consents at once is no fault of ours, after one look."""
    stage = crowd
    connections = [stage.link(stage.new_login()) for _ in range(SUSPICION_LEAST + 1)]
    for one in connections:
        stage.sync(one)
    stage.pass_time(timedelta(days=1))
    stage.fail("teller:accounts", "enrollment.disconnected", times=None)
    told_to_act(stage, connections[:SUSPICION_LEAST])
    [code] = stage.query("SELECT code FROM bank.provider_health")[0]
    assert code == MASS_REFUSAL

    statuses = told_to_act(stage, connections)

    assert statuses == [ConnectionStatus.NEEDS_REAUTH] * len(connections)
    assert stage.query("SELECT state FROM bank.provider_health")[0][0] == "closed"


def test_what_only_links_need_ends_no_pause_late(
    european: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our return address is not on Enable Banking's list any more; no sync minds."""
    stage = european
    _, connection = stage.linked()
    elsewhere = LinkSettings("https://elsewhere.example/back", None)
    monkeypatch.setattr(stage.provider, "_links", elsewhere)
    stage.fail("enable_banking:*", "UNAUTHORIZED_ACCESS", times=None)
    stage.pass_time(timedelta(days=1))
    with pytest.raises(CredentialsRefusedError):
        stage.sync(connection, SyncReason.SCHEDULE)
    stage.heal()
    stage.pass_time(PROBE_WAITS[0] + timedelta(minutes=1))
    stage.sync(connection, SyncReason.RECOVERY)
    assert stage.query("SELECT state FROM bank.provider_health") == [("closed",)]


RESTORES = "bank.connection_events.from_status"


class KilledError(BaseException):
    """A process that dies: nothing handles it."""


def die() -> NoReturn:
    raise KilledError


@pytest.mark.parametrize("is_refused_again", [False, True])
def test_who_was_marked_goes_back_although_the_prober_died_after_its_word(
    crowd: Stage, is_refused_again: bool
) -> None:
    """The next probe puts them back, whatever comes of it."""
    stage = crowd
    *marked, last = [stage.link(stage.new_login()) for _ in range(SUSPICION_LEAST + 1)]
    for one in (*marked, last):
        stage.sync(one)
    stage.pass_time(timedelta(days=1))
    stage.fail("teller:*", "forbidden", times=None)
    told_to_act(stage, marked)
    with pytest.raises(KilledError), just_before(stage.context.engine, RESTORES, act=die):
        stage.sync(last, SyncReason.SCHEDULE)
    assert ConnectionStatus.REVOKED in {stage.connection(one).status for one in marked}

    if not is_refused_again:
        stage.heal()
    stage.pass_time(PROBE_WAITS[-1])
    with suppress(ProviderPausedError):
        stage.sync(last, SyncReason.RECOVERY)

    [[state]] = stage.query("SELECT state FROM bank.provider_health")
    assert state == ("open" if is_refused_again else "closed")
    assert {stage.connection(one).status for one in marked} == {ConnectionStatus.ACTIVE}


def revoked_by_a_sync(ground: Ground) -> ConnectionId:
    """Link a login of which Plaid says at once that it was revoked."""
    connection = ground.link_ready("login-2")
    ground.fail(SYNC, "USER_PERMISSION_REVOKED")
    with pytest.raises(AccessRevokedError):
        ground.sync(connection)
    return connection


def test_who_was_marked_goes_back_although_the_sync_that_was_refused_died(ground: Ground) -> None:
    connection, marked = ground.link_ready("login-1"), revoked_by_a_sync(ground)
    refuse_keys(ground)
    with pytest.raises(KilledError), just_before(ground.engine, RESTORES, act=die):
        ground.sync(connection)

    ground.pass_time(PROBE_WAITS[0])
    paused(ground, connection)

    assert ground.connection(marked).status is ConnectionStatus.ACTIVE


def test_who_was_put_back_and_then_revoked_by_a_webhook_stays_so(announced: Ground) -> None:
    """It was us, and then it was the customer: a later probe does not take that back."""
    connection, marked = announced.link_ready("login-1"), revoked_by_a_sync(announced)
    refuse_keys(announced)
    with pytest.raises(CredentialsRefusedError):
        announced.sync(connection)
    assert announced.connection(marked).status is ConnectionStatus.ACTIVE
    announced.fire(marked, "USER_PERMISSION_REVOKED")

    announced.pass_time(PROBE_WAITS[0])
    paused(announced, connection)

    assert announced.connection(marked).status is ConnectionStatus.REVOKED
