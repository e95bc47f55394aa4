"""What the views tell analysts is what the banks told, and no more."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.connection import Provider
from bank_pipeline.domain.quota import PERIOD, calls_left
from bank_pipeline.domain.transaction import TransactionStatus
from bank_pipeline.storage.calls import (
    APPLIED,
    CallResult,
    NewCall,
    insert_ended_calls,
    load_recent_calls,
)
from bank_pipeline.storage.duplicates import list_suspected_duplicates
from bank_pipeline.storage.findings import find_suspected
from bank_pipeline.storage.migrate import downgrade
from bank_pipeline.storage.roles import ROLES
from bank_pipeline_tests.architecture.sources import ROOT
from bank_pipeline_tests.builders import balance, transaction
from bank_pipeline_tests.storage.chosen import shown, told
from bank_pipeline_tests.storage.linked import Linked, apply
from bank_pipeline_tests.storage.tenants import plain_login
from bank_pipeline_tests.vaults import VAULT

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CALLS_MAX = 4


@pytest.mark.parametrize("kind", [BalanceKind.BOOKED, BalanceKind.AVAILABLE])
def test_a_balance_of_an_earlier_day_is_not_told_as_of_now(
    db: sa.Connection, linked: Linked, now: datetime, kind: BalanceKind
) -> None:
    """A bank that names a day and no time: it was so at the end of that day, and not later."""
    earlier = balance("10", kind=kind, as_of_date=(now - 15 * DAY).date())
    told(db, linked, earlier, now=now)

    assert shown(db, f"{kind}_balance_as_of") == (datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC),)


@pytest.mark.parametrize("days", [0, 1])
def test_a_balance_of_today_is_as_of_when_it_was_seen(
    db: sa.Connection, linked: Linked, now: datetime, days: int
) -> None:
    """Nor is one of tomorrow, by the bank's clock, as of later than it was told."""
    told(db, linked, balance("10", as_of_date=(now + days * DAY).date()), now=now)

    assert shown(db, "booked_balance_as_of") == (now,)


def test_a_balance_says_in_which_currency_it_is(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Official or not: an account in euros of which a bank tells what it holds in a coin."""
    coins = balance("3", currency=None, unofficial_currency="USDC")
    dollars = balance("10", kind=BalanceKind.AVAILABLE, currency="USD", provider_type="av")
    told(db, linked, coins, dollars, now=now)

    assert shown(
        db,
        "currency",
        "booked_balance_currency",
        "booked_balance_unofficial_currency",
        "available_balance_currency",
        "available_balance_unofficial_currency",
        "credit_limit_unofficial_currency",
    ) == ("EUR", None, "USDC", "USD", None, None)


def test_an_available_balance_that_is_told_no_more_says_so(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    booked = balance("10")
    available = balance("9", kind=BalanceKind.AVAILABLE, provider_type="available")
    told(db, linked, booked, available, now=now)
    assert shown(db, "is_available_balance_current") == (True,)

    told(db, linked, booked, now=now + DAY)

    assert shown(db, "available_balance", "is_available_balance_current") == (9, False)


def test_a_doubt_is_over_when_the_row_that_it_is_about_counts_no_more(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """As when a bank says of a booked row that it was cancelled."""
    apply(db, linked, transaction(1), transaction(2), now=now)
    db.execute(
        sa.text(
            "UPDATE bank.transactions SET suspected_duplicate_of = "
            "(SELECT id FROM bank.transactions WHERE external_id = 'txn-1') "
            "WHERE external_id = 'txn-2'"
        )
    )
    assert len(list_suspected_duplicates(db)) == find_suspected(db, limit=1).found == 1

    apply(db, linked, transaction(1, status=TransactionStatus.CANCELLED), now=now + DAY)

    rows = "SELECT external_id, suspected_duplicate_of FROM analytics.transactions"
    assert db.execute(sa.text(rows)).all() == [("txn-2", None)]
    assert (list_suspected_duplicates(db), find_suspected(db, limit=1).found) == ([], 0)


@pytest.mark.parametrize(
    ("told_left", "resets_in", "left"),
    [(None, None, 2), (1, None, 1), (3, HOUR, 2), (1, HOUR, 1), (1, -HOUR, 2), (0, HOUR, 0)],
)
def test_the_calls_that_are_left_are_those_that_a_sync_reckons_with(
    db: sa.Connection,
    linked: Linked,
    told_left: int | None,
    resets_in: timedelta | None,
    left: int,
) -> None:
    """Others may spend of the same quota: the bank's word of less goes before our own count."""
    clock = db.scalar(sa.text("SELECT now()"))
    assert isinstance(clock, datetime)
    for hours in (3, 2):
        call = NewCall(
            provider=Provider.GOCARDLESS,
            operation="balances",
            connection_id=linked.connection.id,
            sync_run_id=None,
            account_external_id="acc-1",
            scope="balances",
            is_scheduled=True,
            is_counted=True,
            called_at=clock - hours * HOUR,
            calls_max=CALLS_MAX,
            scheduled_max=2,
        )
        resets_at = None if resets_in is None else clock + resets_in
        result = CallResult(APPLIED, is_counted=True, calls_left=told_left, resets_at=resets_at)
        insert_ended_calls(db, [(call, result)])

    past = load_recent_calls(db, linked.connection.id, now=clock)["acc-1", "balances"]
    assert calls_left(past, CALLS_MAX, now=clock) == left
    assert db.scalars(sa.text("SELECT calls_left FROM analytics.quota")).all() == [left]
    assert all(one.called_at > clock - PERIOD for one in past)


def test_an_older_release_finds_the_views_open_to_whom_they_were_and_guarded(
    server_url: str,
) -> None:
    """A view that is made anew forgets its rights, and how it reads."""
    query = sa.text(
        """
        SELECT c.relname, coalesce(c.reloptions, '{}') @>
                   ARRAY['security_invoker=true', 'security_barrier=true'] AS is_guarded,
               ARRAY(SELECT role FROM unnest(CAST(:roles AS text[])) AS role
                     WHERE has_table_privilege(role, c.oid, 'SELECT')) AS roles
        FROM pg_class c WHERE c.relnamespace = 'analytics'::regnamespace ORDER BY 1
        """
    )
    with plain_login(server_url) as engine:
        with engine.connect() as db:
            before = db.execute(query, {"roles": [*ROLES]}).all()
        downgrade(engine, "0019", VAULT)
        with engine.connect() as db:
            after = db.execute(query, {"roles": [*ROLES]}).all()

    assert after == before
    assert all(row.is_guarded and row.roles == [*ROLES] for row in before)


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def ask_as_the_readme_does(db: sa.Connection) -> list[Sequence[sa.Row[Any]]]:
    """Run its examples as they stand, and return what each of them shows."""
    [block] = re.findall(r"```sql\n(.*?)```", readme(), re.DOTALL)
    return [db.exec_driver_sql(one).all() for one in block.split(";") if one.strip()]


def test_the_examples_never_sum_one_currency_with_another(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Nor name the account's where a balance is in another."""
    told(db, linked, balance("10", currency="USD"), now=now)
    spent = [(1, "EUR", None), (2, None, "USDC"), (4, None, "BTC"), (8, None, None)]
    rows = [
        transaction(number, currency=code, unofficial_currency=coin, booking_date=date(2026, 6, 1))
        for number, code, coin in spent
    ]
    apply(db, linked, *rows, now=now)

    held, by_month = ask_as_the_readme_does(db)

    assert [row.booked_balance_currency for row in held if row.booked_balance] == ["USD"]
    assert {row.in_currency: row.spent for row in by_month} == {
        "EUR": 1,
        "USDC": 2,
        "BTC": 4,
        None: 8,
    }


def test_every_view_is_in_the_readme(db: sa.Connection) -> None:
    views = sa.inspect(db).get_view_names("analytics")

    assert sorted(re.findall(r"^\| `analytics\.(\w+)` \|", readme(), re.MULTILINE)) == sorted(views)
