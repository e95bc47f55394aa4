"""Random lives of payments at banks that name rows in any way: one live row for each, always."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.identity import identified
from bank_pipeline.domain.transaction import Transaction, TransactionStatus
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement

MARCH: Final = DateWindow(first=date(2026, 3, 1), last=date(2026, 3, 31))
NAMINGS: Final = ("stable", "new when booked", "numbered", "restless", "none")
_LETTERS: Final = str.maketrans("0123456789-.", "abcdefghijxy")
AMOUNTS: Final = ("-5", "-7", "8")


@dataclass
class Entry:
    """What really happened: paid on a day, booked later or never, perhaps taken back."""

    number: int
    amount: str
    paid: int
    booked: int | None = None
    is_shown: bool = True

    def to_row(self) -> Transaction:
        """Return it without a name; the text loses its date when it settles."""
        shop = self.amount.translate(_LETTERS)
        if self.booked is None:
            day = DAY + timedelta(days=self.paid)
            return movement("-", PENDING, amount=self.amount, description=f"{day} {shop}", day=day)
        day = DAY + timedelta(days=self.booked)
        return movement("-", amount=self.amount, description=shop, day=day)


@dataclass
class Bank:
    """A bank that names its rows in one way."""

    naming: str
    entries: list[Entry] = field(default_factory=list)
    looks: int = 0

    def do(self, deed: str, day: int, amount: str, which: int) -> None:
        """Let one thing happen, where there is an entry for it."""
        open_ones = [one for one in self.entries if one.is_shown and one.booked is None]
        booked = [one for one in self.entries if one.is_shown and one.booked is not None]
        gone = [one for one in self.entries if not one.is_shown and one.booked is not None]
        if deed == "pay":
            self.entries.append(Entry(len(self.entries), amount, day))
        elif deed == "add":
            self.entries.append(Entry(len(self.entries), amount, day, day))
        elif deed == "book" and open_ones:
            one = open_ones[which % len(open_ones)]
            one.booked = one.paid + which % 3
        elif deed == "end" and open_ones:
            open_ones[which % len(open_ones)].is_shown = False
        elif deed == "take back" and booked:
            booked[which % len(booked)].is_shown = False
        elif deed == "restore" and gone:
            gone[which % len(gone)].is_shown = True

    def look(self, dice: Random) -> tuple[Transaction, ...]:
        """Tell every row, in any order."""
        self.looks += 1
        shown = [(one, one.to_row()) for one in self.entries if one.is_shown]
        named = [(self._name(one), row) for one, row in shown]
        if self.naming == "numbered":
            named = self._numbered([row for _, row in reversed(shown)])
        dice.shuffle(named)
        return (movement("anchor", amount="1", day=MARCH.first), *identified(named))

    def _name(self, one: Entry) -> str | None:
        is_pending = one.booked is None
        return {
            "stable": f"id {one.number}",
            "new when booked": f"{'p' if is_pending else 'b'} {one.number}",
            "restless": f"{self.looks} {one.number}",
        }.get(self.naming)

    def _numbered(self, rows: list[Transaction]) -> list[tuple[str | None, Transaction]]:
        def day(row: Transaction) -> date:
            return row.booking_date or row.transaction_date or DAY

        return [
            (f"{when:%d} no {place}", row)
            for when, group in itertools.groupby(sorted(rows, key=day), key=day)
            for place, row in enumerate(group, start=1)
        ]


coming: Final = st.sampled_from(["add", "pay", "pay", "book", "restore"])
going: Final = st.sampled_from(["end", "take back"])


def rounds() -> st.SearchStrategy[list[list[tuple[str, int, str, int]]]]:
    """
    Return what happens between looks.

    In one round rows come or go: one that takes another's place, amount and day at once is that
    one, as far as anybody can tell.
    """
    one_round = st.sampled_from([coming, going]).flatmap(
        lambda deed: st.lists(
            st.tuples(deed, st.integers(0, 3), st.sampled_from(AMOUNTS), st.integers(0, 50)),
            max_size=4,
        )
    )
    return st.lists(one_round, min_size=1, max_size=6)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(NAMINGS), rounds(), st.randoms(use_true_random=False))
def test_each_entry_has_one_live_row_and_notes_stay_with_their_money(
    naming: str, lives: list[list[tuple[str, int, str, int]]], dice: Random
) -> None:
    """None is lost or doubled, ids stay, the same answer again changes nothing."""
    bank, held = Bank(naming), Held()
    notes: dict[str, Decimal | None] = {}
    for happening in lives:
        for deed in happening:
            bank.do(*deed)
        held.look(bank.look(dice), MARCH)
        truth = Counter(
            (one.booked is not None, Decimal(one.amount)) for one in bank.entries if one.is_shown
        )
        live = Counter(
            (row.status is TransactionStatus.BOOKED, row.amount)
            for row in held.live
            if row.external_id != "anchor"
        )
        assert live == truth
        for row in held.rows.values():
            assert notes.setdefault(row.id, row.amount) == row.amount, "a note is on other money"
        if naming != "restless":
            assert held.plan(bank.look(dice), MARCH).is_empty
        else:
            again = held.plan(bank.look(dice), MARCH)
            assert (again.inserts, again.removals, again.vanished) == ((), (), ())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMINGS), rounds(), st.randoms(use_true_random=False))
def test_a_payment_keeps_its_id_from_the_first_look_to_the_last(
    naming: str, lives: list[list[tuple[str, int, str, int]]], dice: Random
) -> None:
    """Of one amount there is one entry here, so nothing can be mistaken for it."""
    bank, held = Bank(naming), Held()
    taken: set[str] = set()
    for happening in lives:
        for deed, day, amount, which in happening:
            unique = f"{amount}.{len(taken):02}"
            if deed in ("pay", "add"):
                taken.add(unique)
            bank.do(deed, day, unique, which)
        held.look(bank.look(dice), MARCH)
    ids = Counter(row.amount for row in held.rows.values())
    assert max(ids.values()) == 1
