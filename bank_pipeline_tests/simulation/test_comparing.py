"""Each checker catches what is planted for it: a proof that finds nothing must be able to find."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.simulation.comparing import Comparison, compare
from bank_pipeline.simulation.evidence import HeldAccount, SetAside, ShownAccount
from bank_pipeline.simulation.findings import Checker, Findings
from bank_pipeline.simulation.limits import LOOKS_A_DAY, over_limit, unexcused_refusals
from bank_pipeline.simulation.matching import HeldRow, ShownRow

DAY: Final = date(2026, 6, 3)
NOON: Final = datetime(2026, 6, 3, 12, tzinfo=UTC)


def shown(number: int, amount: str = "-4.50", *, pending: bool = False) -> ShownRow:
    return ShownRow(
        entry_id=f"acc-1-1.20260603.{number}",
        external_id=f"tx-{number}",
        amount=Decimal(amount),
        currency="EUR",
        is_pending=pending,
        day=DAY,
        description=f"Coffee {number}",
    )


def held(row: ShownRow, *, name: str | None = None) -> HeldRow:
    return HeldRow(
        id=name or f"row of {row.entry_id}",
        account="account",
        external_id=row.external_id or "ours",
        amount=row.amount,
        currency=row.currency,
        is_pending=row.is_pending,
        day=row.day,
        description=row.description,
    )


BANK: Final = (shown(1), shown(2, "-9.00"), shown(3, "12.00"))
TABLES: Final = tuple(held(row) for row in BANK)


def compared(
    tables: Sequence[HeldRow],
    bank: Sequence[ShownRow] = BANK,
    *,
    booked: str | None = "100",
    available: str | None = "90",
    covered: tuple[tuple[date, date], ...] = ((DAY, DAY),),
    set_aside: Sequence[SetAside] = (),
) -> Comparison:
    account = ShownAccount(
        name="Giro",
        is_listed=True,
        booked=Decimal(100),
        available=Decimal(90),
        first_day=None,
        external_ids=["account"],
        rows={row.entry_id: row for row in bank},
    )
    ours = HeldAccount(
        id="1",
        external_id="account",
        is_open=True,
        booked=None if booked is None else Decimal(booked),
        available=None if available is None else Decimal(available),
        covered=covered,
        rows=tuple(tables),
    )
    return Comparison(
        where="bank",
        provider=Provider.TELLER,
        shown={"acc-1-1": account},
        held=[ours],
        world_accounts={"account": "acc-1-1"},
        names={"acc-1-1": {row.external_id: row.entry_id for row in bank if row.external_id}},
        older={},
        set_aside=set_aside,
        is_windowed=True,
    )


def found_in(one: Comparison) -> set[Checker]:
    findings = Findings()
    compare(one, findings)
    assert findings.looked[Checker.MISSING] == sum(len(each.rows) for each in one.shown.values())
    return {finding.checker for finding in findings.found}


def found(tables: Sequence[HeldRow], bank: Sequence[ShownRow] = BANK, **named: Any) -> set[Checker]:
    return found_in(compared(tables, bank, **named))


def test_equal_tables_have_no_findings() -> None:
    assert found(TABLES) == set()


@pytest.mark.parametrize(
    ("tables", "checker"),
    [
        (TABLES[1:], Checker.MISSING),
        ((*TABLES, replace(TABLES[0], id="again")), Checker.DOUBLED),
        ((*TABLES, replace(TABLES[0], id="again", external_id="other")), Checker.DOUBLED),
        ((*TABLES, held(shown(9, "-1.23"))), Checker.INVENTED),
        ((*TABLES, held(shown(9, "-1.23", pending=True))), Checker.ENDLESS_PENDING),
        ((replace(TABLES[0], amount=Decimal("-4.51")), *TABLES[1:]), Checker.WRONG_AMOUNT),
        ((replace(TABLES[0], amount=Decimal("4.50")), *TABLES[1:]), Checker.WRONG_AMOUNT),
        ((replace(TABLES[0], amount=None), *TABLES[1:]), Checker.WRONG_AMOUNT),
        ((replace(TABLES[0], day=DAY + timedelta(1)), *TABLES[1:]), Checker.WRONG_DATE),
        ((replace(TABLES[0], is_pending=True), *TABLES[1:]), Checker.ENDLESS_PENDING),
        ((replace(TABLES[0], currency="USD"), *TABLES[1:]), Checker.WRONG_CURRENCY),
        ((replace(TABLES[0], description="?"), *TABLES[1:]), Checker.WRONG_DESCRIPTION),
    ],
)
def test_a_planted_fault_in_the_rows_is_found(
    tables: tuple[HeldRow, ...], checker: Checker
) -> None:
    assert found(tables) == {checker}


@pytest.mark.parametrize(
    ("change", "checker"),
    [
        ({"amount": Decimal("4.50")}, Checker.WRONG_AMOUNT),
        ({"day": DAY + timedelta(1)}, Checker.WRONG_DATE),
        ({"description": "?"}, Checker.WRONG_DESCRIPTION),
    ],
)
def test_a_fault_is_found_at_a_bank_without_names_for_its_rows(
    change: dict[str, object], checker: Checker
) -> None:
    nameless = [replace(row, external_id=None) for row in BANK]
    tables = [replace(TABLES[0], **change), *TABLES[1:]]  # type: ignore[arg-type]

    assert found(tables, nameless) == {checker}


def test_a_booked_row_that_should_be_pending_is_in_a_wrong_state() -> None:
    bank = (shown(1, pending=True), *BANK[1:])

    assert found(TABLES, bank) == {Checker.WRONG_STATE}


def test_equal_purchases_are_counted() -> None:
    twins = [replace(shown(n), external_id=None, description="Coffee") for n in (1, 2)]

    assert found([held(row) for row in twins], twins) == set()
    assert found([held(twins[0])], twins) == {Checker.MISSING}


def test_a_row_beyond_the_covered_dates_is_a_gap_that_shows() -> None:
    covered = ((DAY + timedelta(1), DAY + timedelta(9)),)

    assert found(TABLES[1:], covered=covered) == set()


@pytest.mark.parametrize(
    ("account", "checkers"),
    [
        ("account", set()),
        ("another", {Checker.MISSING}),
        (None, {Checker.MISSING, Checker.UNREAD}),
    ],
)
def test_a_row_in_quarantine_is_not_lost_if_it_waits_for_this_account(
    account: str | None, checkers: set[Checker]
) -> None:
    waiting = SetAside("tx-1", account, "its account is not listed")

    assert found(TABLES[1:], set_aside=[waiting]) == checkers


def closed_beside(one: Comparison, rows: Sequence[HeldRow]) -> Comparison:
    """Put a closed account beside ours, under an id that the present consent does not have."""
    (ours,) = one.held
    again = tuple(
        replace(row, id=f"again {row.id}", account="former", external_id=f"once {row.external_id}")
        for row in rows
    )
    closed = replace(ours, id="2", external_id="former", is_open=False, rows=again)
    return replace(one, held=[ours, closed])


def test_a_second_set_of_rows_in_a_closed_account_of_an_unknown_id_is_found() -> None:
    assert found_in(closed_beside(compared(TABLES), TABLES)) == {Checker.INVENTED}
    assert found_in(closed_beside(compared(TABLES), [])) == set()


def test_an_account_closed_before_the_present_consent_has_the_rows_that_were_shown() -> None:
    one = replace(
        closed_beside(compared(TABLES), TABLES[:2]),
        world_accounts={"account": "acc-1-1", "former": "acc-1-2"},
        older={"acc-1-2": {row.entry_id: row for row in BANK[:2]}},
    )
    ours, closed = one.held
    twice = replace(closed, rows=(*closed.rows, replace(closed.rows[0], id="twice")))
    other = replace(closed, rows=(*closed.rows, held(shown(9, "-1.23"))))
    waiting = replace(closed, rows=(*closed.rows, held(shown(9, "-1.23", pending=True))))

    assert found_in(one) == set()
    assert found_in(replace(one, held=[ours, twice])) == {Checker.DOUBLED}
    assert found_in(replace(one, held=[ours, other])) == {Checker.INVENTED}
    assert found_in(replace(one, held=[ours, waiting])) == set()


@pytest.mark.parametrize("is_listed", [True, False])
def test_an_account_that_is_open_on_one_side_only_is_found(is_listed: bool) -> None:
    one = compared(TABLES)
    (ours,), shown_one = one.held, one.shown["acc-1-1"]
    there = {"acc-1-1": replace(shown_one, is_listed=is_listed)}
    same, other = (replace(ours, is_open=is_open) for is_open in (is_listed, not is_listed))

    assert found_in(replace(one, shown=there, held=[same])) == set()
    assert found_in(replace(one, shown=there, held=[other])) == {Checker.WRONG_ACCOUNT_STATE}


@pytest.mark.parametrize("is_shown", [True, False])
def test_rows_that_a_closed_account_had_at_an_earlier_look_stay(is_shown: bool) -> None:
    one = compared(TABLES)
    (ours,), shown_one = one.held, one.shown["acc-1-1"]
    closed = replace(
        one,
        shown={"acc-1-1": replace(shown_one, is_listed=False)} if is_shown else {},
        held=[replace(ours, is_open=False, rows=TABLES[1:])],
        older={} if is_shown else {"acc-1-1": shown_one.rows},
    )

    assert found_in(closed) == set()
    assert found_in(replace(closed, paired={BANK[1].entry_id})) == set()
    assert found_in(replace(closed, paired={BANK[0].entry_id})) == {Checker.MISSING}


def test_wrong_and_unknown_balances_are_found() -> None:
    assert found(TABLES, booked="100.01") == {Checker.WRONG_BALANCE}
    assert found(TABLES, booked="-100") == {Checker.WRONG_BALANCE}
    assert found(TABLES, available=None) == {Checker.WRONG_BALANCE}


@pytest.mark.parametrize(("told", "ours"), [("CAD", "USD"), ("CAD", None), (None, "USD")])
def test_an_account_in_another_currency_than_the_bank_tells_is_found(
    told: str | None, ours: str | None
) -> None:
    one = compared(TABLES)
    bank = {name: replace(account, currency=told) for name, account in one.shown.items()}
    held_in_it = [replace(account, currency=told) for account in one.held]

    assert found_in(replace(one, shown=bank, held=held_in_it)) == set()
    held_otherwise = [replace(account, currency=ours) for account in one.held]
    assert found_in(replace(one, shown=bank, held=held_otherwise)) == {Checker.WRONG_CURRENCY}


def test_a_balance_that_no_bank_told_is_found() -> None:
    one = compared(TABLES)
    untold = {"acc-1-1": replace(one.shown["acc-1-1"], booked=None, available=None)}
    (ours,) = one.held
    nothing = replace(ours, booked=None, available=None)

    assert found_in(replace(one, shown=untold, held=[nothing])) == set()
    for made_up in ({"booked": Decimal(0)}, {"available": Decimal(0)}):
        held_one = replace(nothing, **made_up)  # type: ignore[arg-type]
        assert found_in(replace(one, shown=untold, held=[held_one])) == {Checker.WRONG_BALANCE}


def test_one_call_too_many_in_any_24_hours_is_found() -> None:
    moments = [NOON + timedelta(hours=5 * n) for n in range(4)]
    within, after = NOON + timedelta(hours=23, minutes=59), NOON + timedelta(hours=24)

    assert over_limit([*moments, after], limit=4) == []
    assert over_limit([*moments, within], limit=4) == [(5, within)]


def test_a_refusal_is_excused_where_others_took_the_quota_of_that_account_under_any_consent() -> (
    None
):
    asked = ("enable_banking:transactions", "uid-2")
    of_one = {"uid-1": "acc-1", "uid-2": "acc-1"}

    assert unexcused_refusals({asked: 1}, {}, {"uid-1": 1}, bank_accounts=of_one) == {}
    again = LOOKS_A_DAY + 1
    assert unexcused_refusals({asked: again}, {}, {"uid-1": 1}, bank_accounts=of_one) == {
        ("enable_banking:transactions", "acc-1"): (again, LOOKS_A_DAY)
    }
    of_two = of_one | {"uid-2": "acc-2"}
    assert unexcused_refusals({asked: 1}, {}, {"uid-1": 1}, bank_accounts=of_two) == {
        ("enable_banking:transactions", "acc-2"): (1, 0)
    }
