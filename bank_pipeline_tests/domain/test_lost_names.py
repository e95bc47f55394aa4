"""Banks whose ids come, go and are shared: whatever days they show, no row is lost or doubled."""

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import pytest

from bank_pipeline.domain.identity import identified
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held

ACCOUNT: Final = "a"
START: Final = date(2026, 1, 1)
DAYS: Final = 50
OVERLAP: Final = timedelta(days=10)
Told = tuple[str | None, Transaction]


def booked(day: date, amount: str, text: str, currency: str | None = "EUR") -> Transaction:
    return Transaction(
        account_external_id=ACCOUNT,
        external_id="not named yet",
        status=TransactionStatus.BOOKED,
        amount=Decimal(amount),
        currency=currency,
        booking_date=day,
        description=text,
        original_description=text,
    )


class Table(Held):
    """The table of transactions, in memory."""

    def sync(self, told: list[Told], covered: DateWindow) -> None:
        self.look(identified(told), covered)

    def contents(self) -> list[tuple[object, ...]]:
        return sorted(((r.booking_date, r.amount, r.description) for r in self.live), key=str)


@pytest.mark.parametrize("seed", range(25))
def test_rows_with_all_kinds_of_ids_are_neither_lost_nor_doubled(seed: int) -> None:
    """Some have none, some share one; some days the bank ignores the dates, or shows nothing."""
    chance = random.Random(seed)
    table, bank = Table(), list[Told]()
    for number in range(DAYS):
        today = START + timedelta(days=number)
        is_last = number == DAYS - 1
        for _ in range(0 if is_last else chance.randint(0, 2)):
            own = f"own-{len(bank)}"
            name = chance.choice([None, own, f"shared-{number}"])
            day = today - timedelta(days=chance.randint(0, 2))
            row = booked(day, chance.choice(["-1.00", "-2.00"]), chance.choice(["Tram", "Cafe"]))
            bank.append((name, row))
        first = today - (OVERLAP if number else timedelta(days=365))
        told = [one for one in bank if one[1].booking_date and one[1].booking_date >= first]
        habit = "usual" if is_last else chance.choice(["usual"] * 7 + ["empty", "all", "all"])
        told = {"usual": told, "empty": [], "all": bank}[habit]
        table.sync(told, DateWindow(first=first, last=today))

    # Of one id and one content there is one row, told twice.
    truth = {
        (name or str(number), row.booking_date, row.amount, row.description)
        for number, (name, row) in enumerate(bank)
    }
    assert table.contents() == sorted((row[1:] for row in truth), key=str)


def test_a_row_whose_shared_id_is_trusted_again_keeps_our_id() -> None:
    """Also where only the margin of an answer shows it: of the two no more than one is left."""
    table = Table()
    one, other = booked(START, "-1.00", "Tram"), booked(START + timedelta(days=2), "-2.00", "Cafe")
    today = START + timedelta(days=20)
    table.sync([("shared", one), ("shared", other)], DateWindow(first=START, last=today))
    ids = {*table.rows}

    table.sync([("shared", other)], DateWindow(first=START + timedelta(days=9), last=today))
    assert {*table.rows} == ids
    table.sync([("shared", one), ("shared", other)], DateWindow(first=START, last=today))

    assert {*table.rows} == ids
    assert len(table.live) == 2


def test_of_equal_rows_that_are_not_asked_for_none_is_denied() -> None:
    table = Table()
    one = booked(START, "-1.00", "Tram")
    today = START + timedelta(days=20)
    table.sync([("a", one), ("b", one)], DateWindow(first=START, last=today))

    table.sync([("a", one)], DateWindow(first=today, last=today))

    assert len(table.live) == 2


@pytest.mark.parametrize("is_named", [True, False])
def test_a_currency_that_is_told_later_makes_no_second_row(is_named: bool) -> None:
    table = Table()
    name = "own" if is_named else None
    window = DateWindow(first=START, last=START)
    table.sync([(name, booked(START, "-1.00", "Tram", currency=None))], window)
    ids = {*table.rows}

    table.sync([(name, booked(START, "-1.00", "Tram"))], window)

    assert {*table.rows} == ids
    assert [row.currency for row in table.rows.values()] == ["EUR"]
