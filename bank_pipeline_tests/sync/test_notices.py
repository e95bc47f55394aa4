"""What syncs tell: once, with what it tells of, and nothing to those who want nothing."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.ids import ConnectionId
from bank_pipeline.domain.transitions import FailureKind
from bank_pipeline.errors import ProviderError
from bank_pipeline.storage.faults import FaultName, FaultSource
from bank_pipeline.sync.disconnect import disconnect
from bank_pipeline.sync.expiring import note_expiring
from bank_pipeline.sync.faults import load_faults, load_over, note_fault
from bank_pipeline.sync.notice_targets import add_target, change_wishes
from bank_pipeline.sync.prune import NOTICES_KEPT, prune
from bank_pipeline_tests.providers.contract.stage import Stage
from bank_pipeline_tests.sync.ground import CHECKING, SAVINGS, SYNC, Ground
from bank_pipeline_tests.sync.staging import staged_at

DAY: Final = timedelta(days=1)
NOBODY: Final = SecretStr("json://127.0.0.1:9/nobody")
gocardless = staged_at(Provider.GOCARDLESS)
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{10,}\b")


def want(ground: Ground, *, large: int | None = None, low: int | None = None) -> None:
    """Let the team want the usual notices."""
    add_target(ground.context, "home", "nobody", NOBODY)
    limits: dict[str, dict[str, Decimal | None]] = {
        "large": {} if large is None else {"USD": Decimal(large)},
        "low": {} if low is None else {"USD": Decimal(low)},
    }
    change_wishes(ground.context, "home", kinds=None, large=limits["large"], low=limits["low"])


def told(ground: Ground) -> list[str]:
    return [row[0] for row in ground.query("SELECT kind FROM bank.notifications ORDER BY id")]


def payloads(ground: Ground, kind: str) -> Sequence[Any]:
    rows = ground.query(
        "SELECT payload FROM bank.notifications WHERE kind = :kind ORDER BY id", kind=kind
    )
    return [row[0] for row in rows]


def fail(ground: Ground, connection: ConnectionId, code: str = "INSTITUTION_DOWN") -> None:
    """Have one sync fail."""
    ground.fail(SYNC, code, times=None)
    with pytest.raises(ProviderError):
        ground.sync(connection)
    ground.sandbox.faults.clear()
    ground.pass_time(timedelta(hours=1))


def test_the_first_history_is_no_news(ground: Ground) -> None:
    """However large its rows, and however low its balances."""
    want(ground, large=1, low=1_000_000)
    ground.world.add_booked(CHECKING, Decimal(-5000))

    connection = ground.link_ready()
    ground.pass_time(DAY)
    ground.sync(connection)

    assert ground.rows()
    assert told(ground) == []


def test_new_transactions_are_told_by_account(ground: Ground) -> None:
    """Counts and sums, and neither texts nor names."""
    want(ground)
    connection = ground.link_ready()
    ground.pass_time(DAY)
    ground.world.add_booked(CHECKING, Decimal("-12.50"), description="Rent of Alice Miller")
    ground.world.add_booked(CHECKING, Decimal("-7.50"))
    ground.world.add_booked(SAVINGS, Decimal(100))
    ground.sync(connection)
    ground.sync(connection)

    assert told(ground) == ["new_transactions"]
    [payload] = payloads(ground, "new_transactions")
    assert payload["count"] == 3
    by_type = {one["type"]: one for one in payload["accounts"]}
    [sums] = by_type["checking"]["totals"]
    assert (sums["currency"], sums["in"], Decimal(sums["out"])) == ("USD", "0", Decimal(20))
    assert by_type["savings"]["totals"][0]["in"] == "100"
    assert "Alice" not in str(payload)


def test_a_large_transaction_is_told_once_even_when_it_books(ground: Ground) -> None:
    """Pending first, then booked under another id: it is one movement of money."""
    want(ground, large=1000)
    connection = ground.link_ready()
    ground.pass_time(DAY)
    entry = ground.world.add_pending(CHECKING, Decimal(-1000))
    ground.world.add_booked(CHECKING, Decimal("-999.99"))
    ground.sync(connection)
    ground.pass_time(DAY)
    ground.world.book(entry.id)
    ground.sync(connection)

    [payload] = payloads(ground, "large_transaction")
    [row] = payload["transactions"]
    assert (row["amount"], row["currency"], row["is_pending"]) == ("-1000", "USD", True)


def test_a_low_balance_is_told_when_it_falls(ground: Ground) -> None:
    """Not while it stays low, and again when it has been up in between."""
    connection = ground.link_ready()
    [[balance]] = ground.query(
        "SELECT available_balance FROM analytics.accounts WHERE type = 'checking'"
    )
    want(ground, low=int(balance) - 100)
    for amount in (-500, -1, 1000, -1000):
        ground.pass_time(DAY)
        ground.world.add_booked(CHECKING, Decimal(amount))
        ground.sync(connection)

    found = payloads(ground, "low_balance")
    assert [Decimal(one["amount"]) for one in found] == [balance - 500, balance - 501]
    assert {one["type"] for one in found} == {"checking"}


def test_a_failure_is_told_when_it_lasts_and_its_end_once(ground: Ground) -> None:
    """The third failure in a row is told, later ones are not; the first success ends it."""
    want(ground)
    connection = ground.link_ready()
    for number in range(1, 6):
        fail(ground, connection)
        assert told(ground) == (["sync_failed"] if number >= 3 else [])
    ground.sync(connection)
    ground.sync(connection)

    assert told(ground) == ["sync_failed", "sync_recovered"]
    [payload] = payloads(ground, "sync_failed")
    assert (payload["cause"], payload["failures"]) == ("transient", 3)
    assert payload["accounts_count"] > 0

    for _ in range(3):
        fail(ground, connection)
    assert told(ground).count("sync_failed") == 2


def test_a_failure_that_lasts_a_quarter_is_told_again_once(ground: Ground) -> None:
    """Its notice was sent and forgotten meanwhile; who forgot it as well hears of it anew."""
    want(ground)
    connection = ground.link_ready()
    for _ in range(3):
        fail(ground, connection)
    ground.execute("UPDATE bank.notifications SET state = 'sent', next_attempt_at = NULL")
    ground.pass_time(NOTICES_KEPT - DAY)
    prune(ground.context, retention=NOTICES_KEPT)
    fail(ground, connection)
    [first] = payloads(ground, "sync_failed")

    ground.pass_time(2 * DAY)
    prune(ground.context, retention=NOTICES_KEPT)
    for _ in range(3):
        fail(ground, connection)

    [again] = payloads(ground, "sync_failed")
    assert again["told_at"] > first["told_at"]
    assert again["failures"] > first["failures"]
    ground.sync(connection)
    assert told(ground) == ["sync_failed", "sync_recovered"]


def test_what_passes_by_itself_is_not_told(ground: Ground) -> None:
    want(ground)
    connection = ground.link_ready()
    fail(ground, connection)
    fail(ground, connection)
    ground.sync(connection)

    assert told(ground) == []


def test_a_stop_is_told_once_however_often_it_is_found(ground: Ground) -> None:
    want(ground)
    connection = ground.link_ready()
    ground.break_item(connection)
    for _ in range(4):
        with pytest.raises(ProviderError):
            ground.sync(connection)
        ground.pass_time(DAY)
    assert told(ground) == ["disconnected"]

    ground.repair_item(connection)
    ground.sync(connection)
    ground.break_item(connection)
    with pytest.raises(ProviderError):
        ground.sync(connection)

    assert told(ground) == ["disconnected", "disconnected"]
    assert {one["status"] for one in payloads(ground, "disconnected")} == {"needs_reauth"}


def test_a_withdrawal_by_webhook_and_an_end_here_are_told(announced: Ground) -> None:
    want(announced)
    first = announced.link_ready()
    announced.fire(first, "USER_PERMISSION_REVOKED")
    second = announced.link_ready("login-2")
    disconnect(announced.context, second)
    disconnect(announced.context, second)

    found = payloads(announced, "disconnected")
    assert [one["status"] for one in found] == ["revoked", "disconnected"]


def test_a_fault_is_over_once_its_last_connection_is_withdrawn(announced: Ground) -> None:
    """Nobody syncs that one any more: it would last, and the next outage be told to nobody."""
    connection = announced.link_ready()
    fail(announced, connection)
    name = FaultName(FaultSource.CONNECTIONS, "connections", FailureKind.TRANSIENT.value)
    assert note_fault(announced.context, name, seen_at=announced.context.clock(), facts={})
    announced.pass_time(DAY)
    assert load_over(announced.context, load_faults(announced.context)) == []

    announced.fire(connection, "USER_PERMISSION_REVOKED")

    [fault] = load_faults(announced.context)
    assert load_over(announced.context, [fault]) == [fault.id]


def test_an_announced_end_without_a_day_is_told_once(announced: Ground) -> None:
    want(announced)
    connection = announced.link_ready()
    announced.execute("UPDATE bank.connections SET consent_expires_at = NULL")
    announced.fire(connection, "PENDING_DISCONNECT")

    assert [note_expiring(announced.context) for _ in range(3)] == [1, 0, 0]
    announced.pass_time(DAY)
    assert note_expiring(announced.context) == 0
    [payload] = payloads(announced, "expiring")
    assert (payload["ends_at"], payload["days_left"]) == (None, None)


def test_an_announced_end_is_told_of_a_consent_that_would_last_for_months(
    announced: Ground,
) -> None:
    """As when a bank moves its customers: the day that is known of it says nothing."""
    want(announced)
    connection = announced.link_ready("login-2", "acc-2-1")
    ends_at = announced.connection(connection).consent_expires_at
    assert ends_at is not None
    assert ends_at - announced.context.clock() > 100 * DAY
    announced.fire(connection, "PENDING_DISCONNECT")

    assert [note_expiring(announced.context) for _ in range(2)] == [1, 0]

    [payload] = payloads(announced, "expiring")
    assert (payload["ends_at"], payload["days_left"]) == (None, None)


def test_a_team_without_a_target_is_told_nothing(ground: Ground) -> None:
    """Wishes alone, or another team's target, are not enough."""
    connection = ground.link_ready()
    change_wishes(ground.context, "home", kinds="all", large={"USD": Decimal(1)}, low={})
    add_target(ground.context, "another", "nobody", NOBODY)
    ground.pass_time(DAY)
    ground.world.add_booked(CHECKING, Decimal(-5000))
    ground.sync(connection)
    ground.break_item(connection)
    with pytest.raises(ProviderError):
        ground.sync(connection)

    assert told(ground) == []


def test_only_what_was_chosen_is_told(ground: Ground) -> None:
    want(ground, large=1000)
    change_wishes(ground.context, "home", kinds="none", large={}, low={})
    connection = ground.link_ready()
    ground.pass_time(DAY)
    ground.world.add_booked(CHECKING, Decimal(-5000))
    ground.sync(connection)

    assert told(ground) == []


def test_nothing_is_told_of_what_was_not_written(ground: Ground) -> None:
    """A notice goes with the transaction of its rows: it is taken back with them."""
    want(ground)
    connection = ground.link_ready()
    ground.pass_time(DAY)
    ground.world.add_booked(CHECKING, Decimal(-5))
    ground.execute(
        "ALTER TABLE bank.notifications ADD CONSTRAINT never CHECK (kind = 'never') NOT VALID"
    )
    with pytest.raises(Exception, match="never"):
        ground.sync(connection)
    ground.execute("ALTER TABLE bank.notifications DROP CONSTRAINT never")
    assert (ground.rows(), told(ground)) == ([], [])

    ground.sync(connection)

    assert (len(ground.rows()), told(ground)) == (1, ["new_transactions"])


def test_no_payload_names_a_person_or_an_account_number(ground: Ground) -> None:
    want(ground, large=1, low=1_000_000)
    connection = ground.link_ready()
    ground.pass_time(DAY)
    ground.world.add_booked(CHECKING, Decimal(-5), description="DE89370400440532013000 Alice")
    ground.sync(connection)
    for _ in range(3):
        fail(ground, connection)
    names = [row[0] for row in ground.query("SELECT name FROM bank.accounts")]
    texts = [str(row) for row in ground.query("SELECT payload FROM bank.notifications")]

    assert texts
    for text in texts:
        assert not _IBAN.search(text)
        assert not [name for name in [*names, "Alice"] if name in text]


def test_a_low_balance_is_told_in_the_balances_own_currency(gocardless: Stage) -> None:
    """The bank opened the account in one currency and tells its balance in another."""
    login = gocardless.new_login()
    connection = gocardless.link(login)
    gocardless.sync(connection)
    with gocardless.context.engine.begin() as db:
        db.execute(sa.text("UPDATE bank.accounts SET currency = 'GBP'"))
    [[balance]] = gocardless.query(
        "SELECT available_balance FROM analytics.accounts WHERE type = 'checking'"
    )
    add_target(gocardless.context, "home", "nobody", NOBODY)
    low = {"GBP": balance - 100, "EUR": balance - 100}
    change_wishes(gocardless.context, "home", kinds=None, large={}, low=low)
    for one in gocardless.world.login_accounts(login):
        gocardless.world.add_booked(one.id, Decimal(-500))
    gocardless.pass_time(DAY)
    gocardless.sync(connection)

    found = gocardless.query("SELECT payload FROM bank.notifications WHERE kind = 'low_balance'")
    assert [one[0]["currency"] for one in found] == ["EUR"]


def test_a_balance_falls_in_its_own_currency_alone(gocardless: Stage) -> None:
    """What the bank told before was another currency's: nobody knows whether this one fell."""
    login = gocardless.new_login()
    connection = gocardless.link(login)
    gocardless.sync(connection)
    [[balance]] = gocardless.query(
        "SELECT available_balance FROM analytics.accounts WHERE type = 'checking'"
    )
    with gocardless.context.engine.begin() as db:  # as a bank that tells of another wallet since
        db.execute(sa.text("UPDATE bank.balances SET currency = 'GBP'"))
        db.execute(sa.text("UPDATE bank.balance_series SET currency_code = 'GBP'"))
    add_target(gocardless.context, "home", "nobody", NOBODY)
    low = {"EUR": balance - 100}
    change_wishes(gocardless.context, "home", kinds=None, large={}, low=low)
    for one in gocardless.world.login_accounts(login):
        gocardless.world.add_booked(one.id, Decimal(-500))
    gocardless.pass_time(DAY)
    gocardless.sync(connection)

    chosen = "SELECT available_balance_currency FROM analytics.accounts WHERE type = 'checking'"
    assert gocardless.query(chosen) == [("EUR",)]
    found = gocardless.query("SELECT payload FROM bank.notifications WHERE kind = 'low_balance'")
    assert found == []
