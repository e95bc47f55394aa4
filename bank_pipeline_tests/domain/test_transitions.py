"""After a sync: no path to silence, and nobody is disconnected by an outage."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_pipeline.domain.connection import Connection, ConnectionStatus, HistoryStage, Provider
from bank_pipeline.domain.ids import ConnectionId, TeamId
from bank_pipeline.domain.transitions import (
    RATE_SPREAD,
    FailureKind,
    Transition,
    after_deferral,
    after_failure,
    after_part,
    after_success,
    settle,
)
from bank_pipeline_tests.architecture.sources import ROOT

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
        last_full_accounts_at=None,
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


@pytest.mark.parametrize(
    "kind", [*filter(lambda kind: kind.is_ours, FailureKind), FailureKind.RATE_LIMITED]
)
def test_our_own_failures_and_limits_leave_the_customers_status_alone(kind: FailureKind) -> None:
    transition = after_failure(
        connection(ConnectionStatus.EXPIRING), kind, code="X", retry_after=None, now=NOW
    )
    assert transition.status is ConnectionStatus.EXPIRING


def test_a_rate_limit_is_waited_out_and_counts_as_no_failure() -> None:
    transition = after_failure(
        connection(retries=2),
        FailureKind.RATE_LIMITED,
        code="TRANSACTIONS_SYNC_LIMIT",
        retry_after=timedelta(seconds=61),
        now=NOW,
    )
    assert transition.next_attempt_at is not None
    assert timedelta() <= transition.next_attempt_at - NOW - timedelta(seconds=61) < RATE_SPREAD
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


# --- what others said meanwhile ------------------------------------------------------------------

SEEN = connection().model_copy(update={"next_attempt_at": NOW})
LATER = NOW + timedelta(seconds=30)


def changed(status: ConnectionStatus, *, next_attempt_at: datetime | None = NOW) -> Connection:
    """The stored connection after somebody else changed it."""
    return SEEN.model_copy(
        update={
            "status": status,
            "status_reason": "THEIRS",
            "status_since": LATER,
            "next_attempt_at": next_attempt_at,
        }
    )


def wanted(status: ConnectionStatus, next_attempt_at: datetime | None = None) -> Transition:
    return Transition(status, "OURS", next_attempt_at, 0)


def test_a_stop_is_not_lifted_by_a_sync_that_began_before_it() -> None:
    stored = changed(ConnectionStatus.NEEDS_REAUTH, next_attempt_at=None)
    settled = settle(wanted(ConnectionStatus.ACTIVE), seen=SEEN, stored=stored, is_sync=True)
    assert (settled.status, settled.reason) == (ConnectionStatus.NEEDS_REAUTH, "THEIRS")
    assert settled.next_attempt_at is None


def test_a_stop_that_a_sync_found_before_a_renewal_does_not_undo_the_renewal() -> None:
    stored = changed(ConnectionStatus.ACTIVE, next_attempt_at=LATER)
    stop = wanted(ConnectionStatus.NEEDS_REAUTH)
    settled = settle(stop, seen=SEEN, stored=stored, is_sync=True)
    assert (settled.status, settled.next_attempt_at) == (ConnectionStatus.ACTIVE, LATER)


@pytest.mark.parametrize("is_sync", [False, True])
@pytest.mark.parametrize(
    "status", [one for one in ConnectionStatus if one is not ConnectionStatus.DISCONNECTED]
)
def test_nothing_leads_out_of_an_end(status: ConnectionStatus, *, is_sync: bool) -> None:
    """Neither a sync under way nor a provider's word that was read before it."""
    stored = changed(ConnectionStatus.DISCONNECTED, next_attempt_at=LATER)
    settled = settle(wanted(status), seen=SEEN, stored=stored, is_sync=is_sync)
    assert (settled.status, settled.reason) == (ConnectionStatus.DISCONNECTED, "THEIRS")
    assert settled.next_attempt_at == LATER


@pytest.mark.parametrize("status", ConnectionStatus)
def test_what_a_sync_found_under_a_replaced_consent_says_nothing_of_the_new_one(
    status: ConnectionStatus,
) -> None:
    """The old consent was ended by us: that it is gone is no news."""
    stored = SEEN.model_copy(update={"external_id": "renewed", "next_attempt_at": LATER})
    settled = settle(wanted(status), seen=SEEN, stored=stored, is_sync=True)
    assert (settled.status, settled.reason) == (stored.status, stored.status_reason)
    assert settled.next_attempt_at == LATER


def test_a_stop_by_webhook_holds_whatever_was_before() -> None:
    stored = changed(ConnectionStatus.ACTIVE)
    stop = wanted(ConnectionStatus.REVOKED)
    assert settle(stop, seen=SEEN, stored=stored, is_sync=False) == stop


@pytest.mark.parametrize("status", [ConnectionStatus.ACTIVE, ConnectionStatus.ERROR])
def test_a_warning_is_not_overwritten_by_a_sync_that_did_not_know_it(
    status: ConnectionStatus,
) -> None:
    """One that failed, too: Plaid repeats no warning."""
    stored = changed(ConnectionStatus.EXPIRING)
    settled = settle(wanted(status, LATER), seen=SEEN, stored=stored, is_sync=True)
    assert (settled.status, settled.reason) == (ConnectionStatus.EXPIRING, "THEIRS")
    assert settled.next_attempt_at == LATER


@pytest.mark.parametrize("planned", [None, LATER + timedelta(hours=1)])
def test_a_try_that_was_asked_for_meanwhile_is_not_put_off(planned: datetime | None) -> None:
    stored = SEEN.model_copy(update={"next_attempt_at": LATER})
    ours = wanted(ConnectionStatus.ACTIVE, planned)
    assert settle(ours, seen=SEEN, stored=stored, is_sync=True).next_attempt_at == LATER


def test_without_news_what_is_wanted_is_what_happens() -> None:
    for status in ConnectionStatus:
        ours = wanted(status, LATER)
        assert settle(ours, seen=SEEN, stored=SEEN, is_sync=True) == ours


def test_a_dated_consent_does_not_silence_a_warning() -> None:
    until = NOW + timedelta(days=200)
    warned = connection(ConnectionStatus.EXPIRING).model_copy(
        update={"consent_expires_at": until, "status_reason": "PENDING_DISCONNECT"}
    )
    for expires_at, status in (
        (until, ConnectionStatus.EXPIRING),
        (until + timedelta(days=365), ConnectionStatus.ACTIVE),
    ):
        stage = HistoryStage.COMPLETE
        transition = after_success(warned, stage=stage, consent_expires_at=expires_at, now=NOW)
        assert transition.status is status


_moments = st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours))
_retry_after = st.none() | st.integers(-10, 10**9).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def connections(draw: st.DrawFn) -> Connection:
    """Any connection that a sync may meet: who is stopped has a reason, and a look if it helps."""
    status = draw(st.sampled_from(ConnectionStatus))
    is_stopped = not status.is_syncable
    planned = draw(st.none() | _moments)
    if status is ConnectionStatus.NEEDS_REAUTH:
        planned = draw(_moments)
    return connection(status, draw(st.integers(0, 1000))).model_copy(
        update={
            "id": ConnectionId(draw(st.text(min_size=1, max_size=3))),
            "external_id": draw(st.sampled_from(["item", "item-2"])),
            "status_reason": "WHY" if is_stopped else draw(st.none() | st.just("WHY")),
            "status_since": draw(_moments),
            "history_stage": draw(st.sampled_from(HistoryStage)),
            "next_attempt_at": planned,
            "created_at": draw(_moments),
            "consent_expires_at": draw(st.none() | _moments),
        }
    )


@st.composite
def endings(draw: st.DrawFn) -> tuple[Connection, Transition]:
    """A connection, and what any end of a sync of it comes to."""
    seen = draw(connections())
    end = draw(st.sampled_from(["success", "part", "deferral", *FailureKind]))
    expires_at = draw(st.none() | _moments)
    if end == "success":
        stage = draw(st.sampled_from(HistoryStage))
        wanted = after_success(seen, stage=stage, consent_expires_at=expires_at, now=NOW)
    elif end == "part":
        wanted = after_part(seen, planned_attempt_at=seen.next_attempt_at)
    elif end == "deferral":
        wanted = after_deferral(seen, due=NOW + timedelta(minutes=5), now=NOW)
    else:
        wanted = after_failure(
            seen, FailureKind(end), code="CODE", retry_after=draw(_retry_after), now=NOW
        )
    return seen, wanted


def is_heard_of_again(status: ConnectionStatus, reason: str | None, due: datetime | None) -> bool:
    """Say whether there is a next step that somebody can see."""
    if status.is_syncable:
        return True  # by its plan, or by the daily schedule
    if status is ConnectionStatus.NEEDS_REAUTH:
        return reason is not None and due is not None
    return reason is not None


@given(endings(), connections(), st.booleans())
def test_no_path_leads_to_silence(
    ended: tuple[Connection, Transition], stored: Connection, is_sync: bool
) -> None:
    """Whatever failed and whatever happened meanwhile, there is a next try or a named act."""
    seen, wanted = ended
    assert is_heard_of_again(wanted.status, wanted.reason, wanted.next_attempt_at)
    settled = settle(wanted, seen=seen, stored=stored, is_sync=is_sync)
    assert is_heard_of_again(settled.status, settled.reason, settled.next_attempt_at)


@given(connections(), st.sampled_from(FailureKind), _retry_after)
def test_only_a_word_about_the_customer_stops_anybody(
    seen: Connection, kind: FailureKind, retry_after: timedelta | None
) -> None:
    after = after_failure(seen, kind, code="CODE", retry_after=retry_after, now=NOW)
    if kind not in MENDED_BY_A_PERSON:
        assert after.status.is_syncable is seen.status.is_syncable
    if kind.is_ours or kind is FailureKind.RATE_LIMITED:
        assert (after.status, after.reason) == (seen.status, seen.status_reason)
    if after.next_attempt_at is not None:
        longest = timedelta(days=1) + RATE_SPREAD
        assert NOW < after.next_attempt_at <= NOW + longest


@given(connections(), st.lists(st.sampled_from(FailureKind), max_size=12))
def test_any_row_of_failures_keeps_a_next_step(seen: Connection, kinds: list[FailureKind]) -> None:
    """Each failure is met by what the one before left."""
    at = NOW
    for kind in kinds:
        after = after_failure(seen, kind, code="CODE", retry_after=None, now=at)
        assert is_heard_of_again(after.status, after.reason, after.next_attempt_at)
        assert after.error_retries <= seen.error_retries + 1
        seen = seen.model_copy(
            update={
                "status": after.status,
                "status_reason": after.reason,
                "next_attempt_at": after.next_attempt_at,
                "error_retries": after.error_retries,
            }
        )
        at = after.next_attempt_at or at + timedelta(days=1)


def test_the_operators_guide_tells_the_same_as_the_code() -> None:
    """The table of states and transitions is checked row by row."""
    text = (ROOT / "docs" / "operations.md").read_text()
    for kind in FailureKind:
        seen = connection(ConnectionStatus.ACTIVE)
        after = after_failure(seen, kind, code="CODE", retry_after=None, now=NOW)
        status = "unchanged" if after.status is seen.status else after.status.value
        if after.status is ConnectionStatus.REVOKED:
            following = "none: the customer links again"
        elif after.status is ConnectionStatus.NEEDS_REAUTH:
            following = "a look every day"
        elif kind is FailureKind.RATE_LIMITED:
            following = "when the provider says, within a day"
        else:
            following = "growing waits"
        counted = "yes" if after.error_retries else "no"
        assert f"| `{kind}` | {status} | {following} | {counted} |" in text
