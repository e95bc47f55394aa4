"""What the watcher says of connections, sync runs and logs."""

import logging
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.connection import Provider
from bank_pipeline.simulation import banks
from bank_pipeline.simulation.agenda import Agenda
from bank_pipeline.simulation.driver import Driver
from bank_pipeline.simulation.findings import Checker, Finding, Findings, Known
from bank_pipeline.simulation.installation import Installation
from bank_pipeline.simulation.kills import Killer
from bank_pipeline.simulation.logs import LogChecker, listening, secrets_of
from bank_pipeline.simulation.matching import HeldRow, Pair, ShownRow
from bank_pipeline.simulation.members import Member
from bank_pipeline.simulation.plan import NONE
from bank_pipeline.simulation.troubles import Span, Troubles
from bank_pipeline.simulation.watcher import Watcher
from bank_pipeline.sync.reports import SyncReason, SyncReport

DAY: Final = date(2026, 4, 17)
_ONE: Final = (
    "(SELECT transaction_id FROM analytics.transactions WHERE status = 'booked' "
    "AND amount < 0 ORDER BY 1 LIMIT 1)"
)


def checked(place: Installation, member: Member) -> set[Checker]:
    watcher = Watcher(place, Findings())
    watcher.check_states([member])
    return {one.checker for one in watcher.findings.found}


def update(place: Installation, words: str) -> None:
    with place.context.engine.begin() as db:
        db.execute(sa.text(f"UPDATE bank.connections SET {words}"))


def test_a_stop_without_a_reason_is_found(place: Installation, member: Member) -> None:
    assert checked(place, member) == set()

    update(place, "status = 'needs_reauth', status_reason = NULL, next_attempt_at = NULL")

    assert checked(place, member) == {Checker.SILENT_STOP}


def test_a_stop_of_what_the_bank_still_serves_is_found(place: Installation, member: Member) -> None:
    update(place, "status = 'needs_reauth', status_reason = 'X', next_attempt_at = NULL")
    place.world.clock.advance(timedelta(days=4))

    assert checked(place, member) == {Checker.SILENT_STOP}
    banks.require_login(place, member)
    assert checked(place, member) == set()


def test_a_stop_after_a_renewal_is_found(place: Installation, renewed: Member) -> None:
    update(place, "status = 'needs_reauth', status_reason = 'X', next_attempt_at = NULL")
    place.world.clock.advance(timedelta(days=4))

    assert checked(place, renewed) == {Checker.SILENT_STOP}


def test_days_without_a_success_and_without_a_plan_are_found(
    place: Installation, member: Member
) -> None:
    update(place, "status = 'active', status_reason = NULL, next_attempt_at = NULL")
    place.world.clock.advance(timedelta(days=4))

    assert checked(place, member) == {Checker.SILENT_STOP}


@pytest.mark.parametrize(("has_left", "found"), [(False, {Checker.UNVERIFIED}), (True, set())])
def test_a_customer_who_came_and_has_no_connection_in_the_end_is_found(
    place: Installation, member: Member, has_left: bool, found: set[Checker]
) -> None:
    assert member.connection_id is not None
    member.earlier.append(member.connection_id)
    member.connection_id, member.has_left = None, has_left
    now = place.world.clock.now()
    troubles = Troubles(place, Agenda(), seed=1, plan=NONE, span=Span(now, now))
    watcher = Watcher(place, Findings())

    watcher.conclude([member], troubles, kills=0)

    assert {one.checker for one in watcher.findings.found} == found


@pytest.mark.parametrize(
    ("reason", "retries", "due_in", "found"),
    [
        ("X", 0, timedelta(hours=12), set()),
        (None, 3, timedelta(hours=12), set()),
        (None, 0, timedelta(hours=12), {Checker.SILENT_STOP}),
        (None, 3, timedelta(days=300), {Checker.SILENT_STOP}),
        ("X", 3, timedelta(days=300), {Checker.SILENT_STOP}),
    ],
)
def test_a_planned_try_excuses_silence_only_with_a_reason_and_in_time(
    place: Installation,
    member: Member,
    reason: str | None,
    retries: int,
    due_in: timedelta,
    found: set[Checker],
) -> None:
    place.world.clock.advance(timedelta(days=4))
    bound = {"reason": reason, "retries": retries, "due": place.world.clock.now() + due_in}
    with place.context.engine.begin() as db:
        words = "status_reason = :reason, error_retries = :retries, next_attempt_at = :due"
        db.execute(sa.text(f"UPDATE bank.connections SET status = 'active', {words}"), bound)

    assert checked(place, member) == found


@pytest.mark.parametrize(
    ("harm", "checker"),
    [
        (f"UPDATE bank.transactions SET removed_at = now() WHERE id = {_ONE}", Checker.MISSING),
        (f"UPDATE bank.transactions SET amount = -amount WHERE id = {_ONE}", Checker.WRONG_AMOUNT),
        ("DELETE FROM bank.account_coverage", Checker.HIDDEN_GAP),
        ("DELETE FROM bank.balances", Checker.WRONG_BALANCE),
    ],
)
def test_what_is_planted_in_the_tables_is_found_after_a_sync(
    place: Installation, member: Member, harm: str, checker: Checker
) -> None:
    findings = Findings()
    watcher = Watcher(place, findings)
    reports: list[SyncReport] = []
    driver = Driver(place, lambda _, report: reports.append(report))
    assert member.connection_id is not None
    driver.sync(member.connection_id, SyncReason.INITIAL)
    watcher.ask_for_look([member], is_last=True)
    watcher.after_sync(member, reports[-1])
    assert findings.found == []
    assert findings.looked[Checker.MISSING] > 20

    with place.context.engine.begin() as db:
        db.execute(sa.text(harm))
    watcher.ask_for_look([member], is_last=True)
    watcher.after_sync(member, reports[-1])

    assert {one.checker for one in findings.found} == {checker}


def test_what_a_bank_took_back_and_restored_behind_a_closed_account_is_not_lost(
    place: Installation, renewed: Member
) -> None:
    """It was seen to go; that it came again was never shown."""
    assert renewed.connection_id is not None
    watcher = Watcher(place, Findings())
    driver = Driver(place, lambda _, __: None)
    watcher.remember(renewed)
    watcher.look_at(renewed, is_last=False)
    account = place.world.login_accounts(renewed.login_id)[-1].id
    truth = place.world.truth(account, place.world.clock.now())
    entry = [one for one in truth.entries if one.booking_date is not None][-1]
    place.world.remove(entry.id)
    place.world.clock.advance(timedelta(days=1))
    driver.sync(renewed.connection_id, SyncReason.SCHEDULE)
    place.world.restore(entry.id)
    place.world.close_account(account)
    place.world.clock.advance(timedelta(days=1))
    driver.sync(renewed.connection_id, SyncReason.SCHEDULE)

    watcher.look_at(renewed, is_last=True)

    assert watcher.findings.found == []
    assert watcher.findings.looked[Checker.MISSING] > 0


@pytest.mark.parametrize(
    ("looks", "kept_days"),
    [
        pytest.param(0, 3, id="days since the link"),
        pytest.param(1, 6, id="days that an earlier look saw covered"),
    ],
)
def test_history_that_is_lost_together_with_its_coverage_is_found(
    place: Installation, member: Member, looks: int, kept_days: int
) -> None:
    assert member.connection_id is not None
    findings = Findings()
    watcher = Watcher(place, findings)
    driver = Driver(place, lambda _, __: None)
    driver.sync(member.connection_id, SyncReason.INITIAL)
    for _ in range(looks):
        watcher.look_at(member, is_last=False)
    for _ in range(6):
        place.world.clock.advance(timedelta(days=1))
        driver.sync(member.connection_id, SyncReason.SCHEDULE)
    watcher.look_at(member, is_last=True)
    assert findings.found == []

    bound = {"day": place.world.clock.now().date() - timedelta(days=kept_days)}
    with place.context.engine.begin() as db:
        db.execute(sa.text("DELETE FROM bank.transactions WHERE booking_date < :day"), bound)
        db.execute(sa.text("UPDATE bank.account_coverage SET first_day = :day"), bound)
    watcher.look_at(member, is_last=True)

    assert Checker.HIDDEN_GAP in {one.checker for one in findings.found}
    assert findings.looked[Checker.MISSING] > 20


def test_a_renewed_consent_is_known_from_its_first_sync_on(
    place: Installation, renewed: Member
) -> None:
    assert renewed.connection_id is not None
    reports: list[SyncReport] = []
    Driver(place, lambda _, report: reports.append(report)).sync(
        renewed.connection_id, SyncReason.SCHEDULE
    )
    watcher = Watcher(place, Findings())

    watcher.after_sync(renewed, reports[-1])

    assert renewed.external_ids[1:] == [renewed.connection(place).external_id]
    assert renewed.renames == 1


def test_two_triggers_at_once_make_one_sync(place: Installation, member: Member) -> None:
    assert member.connection_id is not None
    driver = Driver(place, lambda _, __: None)

    assert driver.sync_twice_at_once(member.connection_id)

    with place.context.engine.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM bank.sync_runs")) == 1


@pytest.mark.parametrize("what", ["a token of Teller", "a name", "our key"])
def test_a_secret_in_a_log_is_found(place: Installation, member: Member, what: str) -> None:
    findings = Findings()
    secret = next(text for name, text in secrets_of(place) if name == what)
    with listening() as listener:
        checker = LogChecker(listener, findings)
        checker.prove(place)
        assert findings.found == []
        logging.getLogger("somebody").debug("told %s", secret)
        checker.search(place)

    assert findings.found == [Finding(Checker.SECRET_IN_LOG, "logger somebody", what)]


def test_what_a_killed_process_logged_is_searched_too(place: Installation, member: Member) -> None:
    """And nothing of it reaches the terminal of who asked for the year."""
    assert member.connection_id is not None
    beyond, heard = 10_000, []
    with listening() as listener, Killer() as killer:
        for _ in range(2):
            assert not killer.kill(place, member.connection_id, beyond)
            heard.append(sum("sync.connection:synced" in one for one in listener.lines))

    assert heard == [1, 2]


def test_a_known_finding_is_told_and_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(Checker.MISSING, "Belfius", "duplicate ids of that bank")
    monkeypatch.setattr("bank_pipeline.simulation.findings.KNOWN", (known,))
    findings = Findings()
    findings.add(Checker.MISSING, "gocardless Belfius", "a row")
    findings.add(Checker.MISSING, "gocardless Monzo", "a row")

    assert [one.where for one in findings.violations()] == ["gocardless Monzo"]
    assert findings.known() == {"duplicate ids of that bank": 1}


@pytest.mark.parametrize(("account_now", "is_known"), [("acc-1", True), ("acc-2", False)])
def test_a_link_to_a_pending_row_tells_nothing_under_a_new_consent(
    place: Installation, account_now: str, is_known: bool
) -> None:
    """It names the pending row as the new consent would have: what we hold was named before."""
    login = place.world.add_login()
    account = place.world.login_accounts(login.id)[0].id
    entry = place.world.add_booked(account, Decimal("-38.10"))
    before = Pair(
        ShownRow(entry.id, "pending-1", Decimal("-19.05"), "USD", True, DAY, "Taqueria"),
        HeldRow("row-1", "acc-1", "pending-1", Decimal("-19.05"), "USD", True, DAY, "Taqueria"),
        is_sure=True,
    )
    now = Pair(
        ShownRow(entry.id, "booked-1", Decimal("-38.10"), "USD", False, DAY, "Taqueria"),
        HeldRow("row-2", account_now, "booked-1", Decimal("-38.10"), "USD", False, DAY, "Taqueria"),
        is_sure=True,
    )
    watcher = Watcher(place, Findings())
    assert watcher.is_recognisable(before, now, Provider.PLAID) is is_known
