"""Balances: every change is kept, and nothing but changes."""

from datetime import date, datetime, timedelta
from itertools import groupby

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.balance import Balance, BalanceKind
from bank_pipeline.domain.ids import SyncRunId
from bank_pipeline.storage.balances import load_latest_balances, save_balances
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.tables import balances
from bank_pipeline_tests.builders import balance
from bank_pipeline_tests.storage.linked import Linked, link


def save(db: sa.Connection, linked: Linked, *given_ones: Balance, now: datetime) -> int:
    """Save balances as a sync does."""
    return save_balances(
        db,
        linked.connection,
        given_ones,
        account_ids=linked.account_ids,
        sync_run_id=SyncRunId(new_id()),
        now=now,
    )


def amounts_of(db: sa.Connection) -> list[str]:
    """All snapshots' amounts, oldest first."""
    return [
        f"{amount:f}" for amount in db.scalars(sa.select(balances.c.amount).order_by(balances.c.id))
    ]


def test_a_newer_time_alone_is_no_new_snapshot(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """A quiet day adds no row, whatever time the bank puts on the same balance."""
    first = save(db, linked, balance("10.5", as_of=now, as_of_date=date(2026, 6, 16)), now=now)

    tomorrow = now + timedelta(days=1)
    same = balance("10.50", as_of=tomorrow, as_of_date=date(2026, 6, 17))
    assert (first, save(db, linked, same, now=tomorrow)) == (1, 0)


def test_a_balance_that_returns_to_an_earlier_amount_is_a_new_snapshot(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Only the last one counts for the comparison."""
    for day, amount in enumerate(["10", "-2.5", "10"]):
        save(db, linked, balance(amount), now=now + timedelta(days=day))

    assert amounts_of(db) == ["10", "-2.5", "10"]


def test_each_type_currency_and_account_has_its_own_series(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """An account in two currencies does not write both anew every day."""
    given_ones = [
        balance("1"),
        balance("2", currency="CHF"),
        balance("3", currency=None, unofficial_currency="BTC"),
        balance("4", kind=BalanceKind.AVAILABLE, provider_type="available"),
        balance("5", account_external_id="acc-2"),
    ]

    first = save(db, linked, *given_ones, now=now)
    second = save(db, linked, *given_ones, now=now + timedelta(days=1))

    assert (first, second) == (5, 0)
    latest = load_latest_balances(db, linked.account_ids.values())
    assert {f"{stored.amount:f}" for stored in latest} == {"1", "2", "3", "4", "5"}


def test_an_account_of_which_nothing_came_is_left_as_it_was(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Nobody has told its balance again: a snapshot of today would be made up."""
    save(db, linked, balance("10"), balance("5", account_external_id="acc-2"), now=now)

    save(db, linked, balance("10", account_external_id="acc-2"), now=now + timedelta(days=1))

    observed = sa.select(balances.c.amount, balances.c.observed_at).where(
        balances.c.account_id == linked.account_ids["acc-1"]
    )
    assert db.execute(observed).all() == [(10, now)]


def test_a_balance_of_an_unknown_account_is_left_out(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """There is no account to hang it on; no balance at all is nothing to do."""
    assert save(db, linked, balance("1", account_external_id="acc-9"), now=now) == 0
    assert save(db, linked, now=now) == 0


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(amounts=st.lists(st.sampled_from(["0", "1", "-1"]), min_size=1, max_size=8))
def test_snapshots_are_the_observations_without_repetitions(
    engine: sa.Engine, now: datetime, amounts: list[str]
) -> None:
    """Whatever a bank says day after day, each run of equal balances is one row."""
    with engine.connect() as db:
        linked = link(db, now)
        for day, amount in enumerate(amounts):
            save(db, linked, balance(amount), now=now + timedelta(days=day))

        assert amounts_of(db) == [amount for amount, _ in groupby(amounts)]
