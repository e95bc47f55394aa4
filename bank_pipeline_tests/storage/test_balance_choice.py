"""What is chosen is written where it changes; what people decide outlives every sync."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.domain.account import AccountType
from bank_pipeline.domain.balance import BalanceKind
from bank_pipeline.domain.balance_choice import BalanceRule
from bank_pipeline.domain.ids import AccountId
from bank_pipeline.domain.roll_forward import DifferenceState
from bank_pipeline.errors import NotFoundError
from bank_pipeline.storage.accounts import save_accounts
from bank_pipeline.storage.balance_checks import (
    RowsAsked,
    list_differences,
    load_row_sums,
)
from bank_pipeline.storage.balance_choice import list_choices, save_choices
from bank_pipeline.storage.balances import rebuild_series
from bank_pipeline.storage.encryption_keys import open_vault
from bank_pipeline.storage.engine import build_engine
from bank_pipeline.storage.identifiers import new_id
from bank_pipeline.storage.migrate import downgrade, migrate
from bank_pipeline.sync.balance_rules import (
    reset_balance_rule,
    resolve_difference,
    set_balance_rule,
)
from bank_pipeline_tests.builders import account, balance, pending, transaction
from bank_pipeline_tests.storage.chosen import WHOLE, shown, told
from bank_pipeline_tests.storage.linked import Linked, apply, link
from bank_pipeline_tests.storage.rows import insert_row_everywhere
from bank_pipeline_tests.vaults import VAULT


def versions(db: sa.Connection) -> list[Any]:
    """Postgres' own versions of the rows."""
    query = "SELECT xmin::text, ctid::text FROM bank.{}"
    tables = ("balance_series", "chosen_balances", "balances")
    return [db.execute(sa.text(query.format(table))).all() for table in tables]


ITBD = balance("10", provider_type="ITBD", preference=0)
CLBD = balance("20", provider_type="CLBD", preference=1)


def test_a_type_that_is_no_longer_told_gives_way_and_stays_visible(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    told(db, linked, ITBD, CLBD, now=now)
    assert shown(db, "booked_balance", "booked_balance_type") == (Decimal(10), "ITBD")

    told(db, linked, CLBD, now=now + timedelta(days=1))
    assert shown(db, "booked_balance", "is_booked_balance_current") == (Decimal(20), True)
    current = db.execute(
        sa.text("SELECT provider_type, is_current FROM analytics.balances ORDER BY 1")
    ).all()
    assert current == [("CLBD", True), ("ITBD", False)]

    told(db, linked, ITBD, CLBD, now=now + timedelta(days=2))
    assert shown(db, "booked_balance") == (Decimal(10),)


@pytest.mark.parametrize("whole", [(), WHOLE])
def test_an_answer_without_balances_changes_nothing(
    db: sa.Connection, linked: Linked, now: datetime, whole: tuple[str, ...]
) -> None:
    told(db, linked, ITBD, now=now)
    before = versions(db)

    assert told(db, linked, now=now + timedelta(days=1), whole=()) == 0
    told(db, linked, CLBD, now=now + timedelta(days=1), whole=whole)

    assert shown(db, "booked_balance") == (Decimal(20 if whole else 10),)
    assert versions(db) != before


def test_the_same_again_writes_nothing(db: sa.Connection, linked: Linked, now: datetime) -> None:
    limit = balance("500", kind=BalanceKind.CREDIT_LIMIT, provider_type="credit_limit")
    told(db, linked, ITBD, CLBD, limit, now=now)
    before = versions(db)

    assert told(db, linked, CLBD, ITBD, now=now + timedelta(days=1)) == 0

    assert versions(db) == before
    assert shown(db, "credit_limit") == (Decimal(500),)


def test_a_card_that_tells_what_is_left_owes_the_rest_of_its_limit(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    save_accounts(
        db, linked.connection, [account(1, type=AccountType.CREDIT_CARD)], now=now, vault=VAULT
    )
    left = balance("5900", kind=BalanceKind.AVAILABLE, provider_type="ITAV")
    limit = balance("7500", kind=BalanceKind.CREDIT_LIMIT, provider_type="credit_limit")
    told(db, linked, left, limit, now=now)

    columns = ("booked_balance", "available_balance", "credit_limit", "is_booked_balance_derived")
    assert shown(db, *columns) == (Decimal(-1600), Decimal(5900), Decimal(7500), True)
    assert shown(db, "is_credit_limit_in_available") == (True,)


@pytest.mark.parametrize(
    ("named", "told_codes", "row_codes", "expected"),
    [
        ("EUR", ["CHF"], ["CHF"], ("EUR", None, "account")),
        (None, ["CHF", "CHF"], ["EUR"], ("CHF", None, "balances")),
        (None, ["CHF", "EUR"], ["EUR"], (None, None, None)),
        (None, [None], ["EUR", "EUR"], ("EUR", None, "transactions")),
        (None, [], ["EUR", None], ("EUR", None, "transactions")),
        (None, [], ["EUR", "CHF"], (None, None, None)),
        (None, [], [], (None, None, None)),
        (None, ["CHF", None], [], ("CHF", None, "balances")),
    ],
)
def test_an_unknown_currency_is_healed_where_the_evidence_agrees(
    db: sa.Connection,
    linked: Linked,
    now: datetime,
    *,
    named: str | None,
    told_codes: list[str | None],
    row_codes: list[str | None],
    expected: tuple[str | None, ...],
) -> None:
    save_accounts(db, linked.connection, [account(1, currency=named)], now=now, vault=VAULT)
    ones = [
        balance("1", provider_type=f"type-{number}", currency=code)
        for number, code in enumerate(told_codes)
    ]
    told(db, linked, *ones, now=now)
    apply(db, linked, *[transaction(n + 1, currency=c) for n, c in enumerate(row_codes)], now=now)

    assert shown(db, "currency", "unofficial_currency", "currency_source") == expected


def test_a_row_that_is_gone_is_no_evidence_of_a_currency(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    save_accounts(db, linked.connection, [account(1, currency=None)], now=now, vault=VAULT)
    apply(db, linked, transaction(1), transaction(2, currency="CHF"), now=now)
    apply(db, linked, removed=frozenset({("acc-1", "txn-2")}), now=now)

    assert shown(db, "currency", "currency_source") == ("EUR", "transactions")


def test_what_a_person_decides_takes_effect_at_once_and_outlives_syncs(
    engine: sa.Engine, now: datetime
) -> None:
    with engine.begin() as db:
        linked = link(db, now)
        told(db, linked, ITBD, CLBD, now=now)
    account_id = linked.account_ids["acc-1"]

    set_balance_rule(engine, account_id, BalanceRule(booked_type="CLBD"), now=now)
    set_balance_rule(engine, account_id, BalanceRule(is_sign_flipped=True), now=now)
    with engine.begin() as db:
        assert shown(db, "booked_balance", "booked_balance_reason") == (-20, "chosen by hand")
        told(db, linked, ITBD, CLBD.model_copy(update={"amount": Decimal(30)}), now=now)
        assert shown(db, "booked_balance") == (-30,)
        [one] = [c for c in list_choices(db) if c.kind == "booked" and c.account_id == account_id]
        assert (one.sign, one.is_rule_own, one.told_types) == ("flipped", True, "CLBD, ITBD")

    reset_balance_rule(engine, account_id, now=now)
    with engine.begin() as db:
        assert shown(db, "booked_balance") == (10,)


def test_a_rule_is_found_however_the_id_of_its_account_is_written(
    engine: sa.Engine, now: datetime
) -> None:
    with engine.begin() as db:
        linked = link(db, now)
        told(db, linked, ITBD, CLBD, now=now)
    account_id = linked.account_ids["acc-1"]

    for written in (AccountId(account_id.upper()), AccountId(account_id.replace("-", ""))):
        set_balance_rule(engine, account_id, BalanceRule(booked_type="CLBD"), now=now)
        set_balance_rule(engine, written, BalanceRule(is_sign_flipped=True), now=now)
        with engine.begin() as db:
            assert shown(db, "booked_balance") == (-20,)
        reset_balance_rule(engine, written, now=now)
        with engine.begin() as db:
            assert shown(db, "booked_balance") == (10,)


def test_a_rule_for_nothing_is_an_error_that_says_what_there_is(
    engine: sa.Engine, now: datetime
) -> None:
    with engine.begin() as db:
        linked = link(db, now)
        told(db, linked, ITBD, now=now)
    rule = BalanceRule(booked_type="CLBD")

    with pytest.raises(NotFoundError, match="it tells: ITBD"):
        set_balance_rule(engine, linked.account_ids["acc-1"], rule, now=now)
    with pytest.raises(NotFoundError, match="no account typo"):
        set_balance_rule(engine, AccountId("typo"), rule, now=now)
    with pytest.raises(NotFoundError, match="no unresolved"):
        resolve_difference(engine, 0, now=now)


def test_rows_are_summed_by_day_and_currency_and_only_live_booked_ones(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    apply(
        db,
        linked,
        transaction(1),
        transaction(2),
        transaction(3, currency="CHF"),
        transaction(4, currency=None),
        transaction(40),
        transaction(7, booking_date=None, value_date=transaction(3).booking_date),
        pending(5),
        transaction(6),
        now=now,
    )
    apply(db, linked, removed=frozenset({("acc-1", "txn-6")}), now=now)
    first, last = transaction(2).booking_date, transaction(5).transaction_date
    assert first is not None
    assert last is not None
    account_id = linked.account_ids["acc-1"]
    euros, any_currency = (account_id, "ITBD", "EUR"), (account_id, "CLBD", "")
    other = (linked.account_ids["acc-2"], "ITBD", "EUR")

    sums = load_row_sums(db, [RowsAsked(one, first, last) for one in (euros, any_currency, other)])

    found = {one: [s.rows_sum, s.later_sum, s.has_rows, s.is_known] for one, s in sums.items()}
    assert found[euros] == [-13, -40, True, True]
    assert found[any_currency][3] is False
    assert found[other] == [0, 0, False, True]


def test_whoever_deletes_snapshots_can_have_the_rest_chosen_anew(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    told(db, linked, ITBD, now=now)
    told(db, linked, ITBD.model_copy(update={"amount": Decimal(11)}), now=now + timedelta(days=1))
    db.execute(sa.text("DELETE FROM bank.balances WHERE amount = 11"))
    assert shown(db, "booked_balance") == (None,)

    rebuild_series(db, [*linked.account_ids.values()])
    save_choices(db, linked.account_ids.values(), now=now)

    assert shown(db, "booked_balance") == (10,)


def test_a_person_can_be_done_with_a_difference(engine: sa.Engine, now: datetime) -> None:
    with engine.begin() as db:
        rows = insert_row_everywhere(db, now)
        db.execute(
            sa.text("UPDATE bank.balance_checks SET state = 'confirmed', resolved_at = NULL")
        )
        [one] = list_differences(db)
        assert one.account_id == str(rows["accounts"]["id"])
    resolve_difference(engine, one.id, now=now)
    with engine.begin() as db:
        assert list_differences(db) == []
        assert len(list_differences(db, states=[*DifferenceState])) == 1


def test_what_counted_before_the_migration_counts_after_it(server_url: str, now: datetime) -> None:
    name = f"older_{new_id().replace('-', '')}"
    server = build_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as db:
        db.execute(sa.text(f"CREATE DATABASE {name}"))
    older = build_engine(sa.make_url(server_url).set(database=name).render_as_string())
    migrate(older)
    open_vault(older, VAULT, now=now)
    with older.begin() as db:
        linked = link(db, now)
        told(db, linked, ITBD, CLBD, now=now)
        fallen = ITBD.model_copy(update={"amount": Decimal(-3)})
        told(db, linked, fallen, CLBD, now=now + timedelta(days=1))
    downgrade(older, "0004", VAULT)
    with older.begin() as db:
        assert shown(db, "booked_balance") == (-3,)
    migrate(older, VAULT)
    with older.begin() as db:
        assert shown(db, "booked_balance", "currency_source") == (-3, "account")
    older.dispose()
    with server.connect() as db:
        db.execute(sa.text(f"DROP DATABASE {name}"))
    server.dispose()
