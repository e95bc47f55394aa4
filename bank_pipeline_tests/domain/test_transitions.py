"""After a sync: no path to silence, and nobody is disconnected by an outage."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.domain.transitions import FailureKind, after_failure, after_success

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MENDED_BY_A_PERSON = {FailureKind.REAUTH_REQUIRED, FailureKind.ACCESS_REVOKED}


def connection(status: ConnectionStatus = ConnectionStatus.ACTIVE, retries: int = 0) -> Connection:
    return Connection(
        id=ConnectionId("c"),
        team_id=TeamId("t"),
        provider=Provider.PLAID,
        external_id="item",
        institution_external_id=None,
        institution_name=None,
        status=status,
        status_reason=None,
        status_since=NOW,
        history_stage=HistoryStage.COMPLETE,
        cursor="c1",
        consent_expires_at=None,
        next_attempt_at=None,
        error_retries=retries,
        last_success_at=None,
        created_at=NOW - timedelta(days=30),
    )


_syncable = st.sampled_from([status for status in ConnectionStatus if status.is_syncable])


@given(
    _syncable,
    st.sampled_from(FailureKind),
    st.integers(0, 1000),
    st.none() | st.integers(0, 90_000),
)
def test_every_failure_plans_a_next_try_or_names_what_a_person_must_do(
    status: ConnectionStatus, kind: FailureKind, retries: int, retry_after_s: int | None
) -> None:
    transition = after_failure(
        connection(status, retries),
        kind,
        code="CODE",
        retry_after=None if retry_after_s is None else timedelta(seconds=retry_after_s),
        now=NOW,
    )
    if kind in MENDED_BY_A_PERSON:
        assert not transition.status.is_syncable
        assert transition.reason == "CODE"
    else:
        assert transition.status.is_syncable
        assert transition.next_attempt_at is not None
        assert transition.next_attempt_at > NOW


@given(st.sampled_from(FailureKind), st.integers(0, 1000))
def test_no_number_of_failures_disconnects_anybody(kind: FailureKind, retries: int) -> None:
    transition = after_failure(
        connection(retries=retries), kind, code="CODE", retry_after=None, now=NOW
    )
    assert transition.status is not ConnectionStatus.DISCONNECTED
    assert (transition.status.is_syncable) is (kind not in MENDED_BY_A_PERSON)


def test_waits_grow_with_each_failure_in_a_row_and_stay_daily() -> None:
    waits = [
        after_failure(
            connection(retries=n), FailureKind.TRANSIENT, code="X", retry_after=None, now=NOW
        ).next_attempt_at
        for n in range(9)
    ]
    assert waits == sorted(waits)  # type: ignore[type-var]
    assert waits[-1] == NOW + timedelta(days=1)


@pytest.mark.parametrize("kind", [FailureKind.CONFIGURATION, FailureKind.RATE_LIMITED])
def test_our_own_failures_and_limits_leave_the_customers_status_alone(kind: FailureKind) -> None:
    transition = after_failure(
        connection(ConnectionStatus.EXPIRING), kind, code="X", retry_after=None, now=NOW
    )
    assert transition.status is ConnectionStatus.EXPIRING


def test_a_rate_limit_is_waited_out_to_the_second_and_counts_as_no_failure() -> None:
    transition = after_failure(
        connection(retries=2),
        FailureKind.RATE_LIMITED,
        code="TRANSACTIONS_SYNC_LIMIT",
        retry_after=timedelta(seconds=61),
        now=NOW,
    )
    assert transition.next_attempt_at == NOW + timedelta(seconds=61)
    assert transition.error_retries == 2


def test_no_data_yet_is_looked_for_again_soon_and_is_not_active() -> None:
    fresh = connection(ConnectionStatus.PENDING).model_copy(update={"created_at": NOW})
    transition = after_success(
        fresh, stage=HistoryStage.AWAITING_INITIAL, consent_expires_at=None, now=NOW
    )
    assert transition.status is ConnectionStatus.PENDING
    assert transition.next_attempt_at == NOW + timedelta(seconds=5)


def test_a_consent_that_ends_within_two_weeks_is_expiring_and_still_syncs() -> None:
    transition = after_success(
        connection(),
        stage=HistoryStage.COMPLETE,
        consent_expires_at=NOW + timedelta(days=13),
        now=NOW,
    )
    assert transition.status is ConnectionStatus.EXPIRING
    assert transition.status.is_syncable
