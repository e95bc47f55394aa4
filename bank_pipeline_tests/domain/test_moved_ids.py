"""Banks that give their ids to other rows: no history is overwritten, no row lost or doubled."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_pipeline.domain.changes import ChangePlan
from bank_pipeline.domain.identity import FINGERPRINT_PREFIX
from bank_pipeline.domain.identity_rules import DOUBTED, LASTING, IdentityRules
from bank_pipeline.domain.ids import TransactionId
from bank_pipeline.domain.matching import RETIRED_PREFIX
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import DAY, PENDING, movement

MARCH = DateWindow(first=date(2026, 3, 1), last=date(2026, 3, 31))


def row(
    name: str, amount: str, text: str, *, day: date = DAY, balance: str | None = None
) -> Transaction:
    told = movement(name, amount=amount, description=text, day=day)
    return told.model_copy(
        update={"running_balance": None if balance is None else Decimal(balance)}
    )


TRAM, CAFE, BREAD = ("-5", "Tram"), ("-7", "Cafe"), ("-9", "Bread")


def numbered(*contents: tuple[str, str]) -> list[Transaction]:
    """Name rows by their place among the rows of the day, as some banks do."""
    return [row(f"ref {place}", *content) for place, content in enumerate(contents, start=1)]


def look(held: Held, *contents: tuple[str, str]) -> ChangePlan:
    return held.look(numbered(*contents), MARCH)


def texts(held: Held) -> dict[str, str]:
    return {one.id: one.description for one in held.live}


def test_a_late_row_that_renumbers_the_day_overwrites_nothing() -> None:
    held = Held()
    look(held, TRAM, CAFE, BREAD)
    before = texts(held)

    plan = look(held, ("-1", "Late"), TRAM, CAFE, BREAD)

    assert texts(held) == {**before, "row-0004": "Late"}
    assert held.names["ref 2"] == "row-0001"
    assert plan.swaps_names
    assert not plan.removals


def test_a_row_that_is_taken_back_renumbers_the_day_and_only_it_goes() -> None:
    held = Held()
    look(held, TRAM, CAFE, BREAD)

    look(held, CAFE, BREAD)

    assert texts(held) == {"row-0002": "Cafe", "row-0003": "Bread"}
    gone = held.rows[TransactionId("row-0001")]
    assert gone.description == "Tram"
    assert gone.external_id.startswith(RETIRED_PREFIX)

    look(held, TRAM, CAFE, BREAD)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe", "row-0003": "Bread"}


def test_what_was_taken_back_comes_back_as_itself_whatever_its_id_and_the_balance_after_it() -> (
    None
):
    """It is booked once more, after others; that the account goes by other ids hides nothing."""
    held = Held()
    held.look([row("1", *TRAM, balance="95"), row("2", *CAFE, balance="88")], MARCH, rules=LASTING)
    held.look([row("2", *CAFE, balance="93")], MARCH, rules=LASTING)

    shown = [row("8", *CAFE, balance="93"), row("9", *TRAM, balance="88")]
    held.look(shown, MARCH, rules=LASTING, moved_by=timedelta(0))

    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe"}


def test_equal_amounts_do_not_hide_that_ids_have_moved() -> None:
    """A day of bus tickets of one price: the ids would fit, the texts tell."""
    held = Held()
    look(held, ("-5", "Tram"), ("-5", "Cafe"))

    look(held, ("-5", "Bread"), ("-5", "Tram"), ("-5", "Cafe"))

    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe", "row-0003": "Bread"}


def test_ids_that_count_over_all_days_are_seen_through_too() -> None:
    held = Held()
    days = [DAY + timedelta(days=number) for number in range(4)]
    shops = [("-5", "Tram"), ("-6", "Cafe"), ("-7", "Bread"), ("-8", "Wine")]
    for count in range(1, 5):
        newest_first = [*zip(shops, days, strict=True)][:count][::-1]
        held.look(
            [row(str(place), *shop, day=day) for place, (shop, day) in enumerate(newest_first)],
            MARCH,
        )

    assert texts(held) == {
        "row-0001": "Tram",
        "row-0002": "Cafe",
        "row-0003": "Bread",
        "row-0004": "Wine",
    }


def test_a_corrected_amount_is_a_correction_where_nothing_else_moved() -> None:
    held = Held()
    look(held, TRAM, CAFE)
    plan = look(held, TRAM, ("-7.50", "Cafe"))
    assert (len(plan.updates), plan.inserts, plan.removals) == (1, (), ())
    assert held.amounts["row-0002"] == Decimal("-7.50")


def test_a_corrected_amount_is_a_correction_beside_payments_of_that_price_that_book() -> None:
    """They went on under ids of their own: what they leave behind proves nothing of other ids."""
    held = Held()
    holds = [held_up(name, "-1.56", "Tram") for name in ("hold 1", "hold 2")]
    held.look([row("a", "-3.12", "Tram"), *holds], MARCH)
    later = [row(name, "-1.56", "Tram", day=DAY + timedelta(days=4)) for name in ("b", "c")]

    held.look([row("a", "-1.56", "Tram"), *later], MARCH)

    assert held.names == {"a": "row-0001", "b": "row-0002", "c": "row-0003"}


def test_a_verified_card_that_books_at_a_cent_is_itself_beside_another_one() -> None:
    """Rows of no amount and nearly the same words say nothing of where ids went."""
    held, words = Held(), "PENDING CARD VERIFICATION"
    held.look([held_up("a", "0", f"Bazaar {words}")], MARCH)
    shown = [row("a", "0.01", "Bazaar CARD VERIFICATION"), row("b", "0", f"Hopp {words}")]

    held.look(shown, MARCH)

    assert held.names == {"a": "row-0001", "b": "row-0002"}


def test_a_corrected_text_is_a_correction_though_another_row_has_that_text() -> None:
    held = Held()
    held.look([row("a", "-5", "UNKNOWN"), row("b", "-5", "Cafe")], MARCH)
    held.look([row("a", "-5", "Cafe"), row("b", "-5", "Cafe")], MARCH)
    assert held.names == {"a": "row-0001", "b": "row-0002"}


def test_an_id_of_an_earlier_month_is_another_row_and_stays_so() -> None:
    held = Held()
    september = DAY + timedelta(days=180)
    held.look([row("1", "-10", "Bakery")], MARCH)
    autumn = DateWindow(first=september - timedelta(days=10), last=september)
    for _ in range(3):
        held.look([row("1", "2500", "Salary", day=september)], autumn)
        assert texts(held) == {"row-0001": "Bakery", "row-0002": "Salary"}
    assert held.rows[held.live[1].id].external_id.startswith(FINGERPRINT_PREFIX)

    held.look([row("2", "2500", "Salary", day=september)], autumn)  # and a name of its own again
    assert held.names == {"1": "row-0001", "2": "row-0002"}


def test_lasting_ids_are_believed_whatever_they_say() -> None:
    held = Held()
    held.look([row("a", *TRAM), row("b", *CAFE)], MARCH)
    held.look([row("a", *CAFE), row("b", *TRAM)], MARCH, rules=LASTING)
    assert texts(held) == {"row-0001": "Cafe", "row-0002": "Tram"}


def test_equal_rows_that_changed_places_are_told_apart_by_the_balance_after_them() -> None:
    held = Held()
    first = [row("1", *TRAM, balance="95"), row("2", *TRAM, balance="90")]
    held.look([*first, row("3", *CAFE, balance="83")], MARCH)

    held.look([row("7", *TRAM, balance="90"), row("8", *TRAM, balance="95")], None)

    assert {name: held.names[name] for name in ("7", "8")} == {"7": "row-0002", "8": "row-0001"}


def test_a_currency_that_is_learned_while_ids_move_makes_no_second_row() -> None:
    held = Held()
    unknown = [one.model_copy(update={"currency": None}) for one in numbered(TRAM, CAFE)]
    held.look(unknown, MARCH)
    look(held, BREAD, TRAM, CAFE)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe", "row-0003": "Bread"}


def test_a_partial_answer_whose_ids_moved_removes_nothing() -> None:
    held = Held()
    look(held, TRAM, CAFE, BREAD)
    held.look(numbered(CAFE, BREAD), None)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe", "row-0003": "Bread"}
    look(held, TRAM, CAFE, BREAD)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Cafe", "row-0003": "Bread"}
    assert held.names["ref 1"] == "row-0001"


@pytest.mark.parametrize("rules", [DOUBTED, LASTING])
def test_a_row_that_a_partial_answer_did_not_reach_is_not_one_that_is_only_alike(
    rules: IdentityRules,
) -> None:
    held, anchor = Held(), row("anchor", *CAFE)
    first, second = row("a", "-5", "Tram 111"), row("b", "-5", "Tram 222")
    held.look([anchor, first], MARCH, rules=rules)
    held.look([second], None, rules=rules)
    held.look([anchor, first, second], MARCH, rules=rules)
    assert texts(held) == {"row-0001": "Cafe", "row-0002": "Tram 111", "row-0003": "Tram 222"}


def test_a_row_whose_numbers_change_with_its_id_stays_itself_in_a_whole_answer() -> None:
    held, anchor = Held(), row("anchor", *CAFE)
    held.look([anchor, row("a", "-5", "Tram 111")], MARCH)
    held.look([anchor, row("b", "-5", "Tram 222")], MARCH)
    assert texts(held) == {"row-0001": "Cafe", "row-0002": "Tram 222"}


def held_up(name: str, amount: str, text: str) -> Transaction:
    return movement(name, PENDING, amount=amount, description=text, day=DAY)


def test_pending_rows_that_are_numbered_too_stay_themselves() -> None:
    """A new payment on top of the day's list; then the first one books a day later."""
    held, booked = Held(), row("2", *BREAD)
    held.look([held_up("1", *TRAM), booked], MARCH)
    held.look([held_up("1", *CAFE), held_up("2", *TRAM), row("3", *BREAD)], MARCH)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Bread", "row-0003": "Cafe"}

    later = row("9", *TRAM, day=DAY + timedelta(days=1))
    shown = [held_up("1", *CAFE), row("2", *BREAD), later]
    held.look(shown, MARCH)
    assert texts(held) == {"row-0001": "Tram", "row-0002": "Bread", "row-0003": "Cafe"}
    assert held.names["9"] == "row-0001"
    assert held.plan(shown[::-1], MARCH).is_empty


def test_a_booked_row_is_not_made_pending_by_another_one_under_its_id() -> None:
    held = Held()
    held.look([row("1", *BREAD), row("2", *TRAM)], MARCH)
    held.look([held_up("1", *CAFE), row("2", *BREAD), row("3", *TRAM)], None)
    assert texts(held) == {"row-0001": "Bread", "row-0002": "Tram", "row-0003": "Cafe"}


def test_a_hold_that_books_at_another_amount_under_its_id_is_one_row() -> None:
    held = Held()
    held.look([held_up("1", "-100", "Fuel"), row("2", *BREAD)], MARCH)
    held.look([row("1", "-61.20", "Fuel Station 12"), row("2", *BREAD)], MARCH)
    assert held.names["1"] == "row-0001"


# --- the life of an account at a bank that numbers rows by their place ---------------------------


@dataclass(frozen=True)
class Entry:
    """What really happened. `note` is what a person wrote on its row, by the entry's number."""

    number: int
    day: int
    amount: str
    text: str


@dataclass
class Numbering:
    """A bank that names rows by the day and their place in it, late rows first."""

    entries: list[Entry] = field(default_factory=list)

    def shown(self) -> list[Transaction]:
        told = []
        for day, group in itertools.groupby(
            sorted(self.entries, key=lambda one: (one.day, -one.number)), key=lambda one: one.day
        ):
            for place, one in enumerate(group, start=1):
                when = DAY + timedelta(days=day)
                told.append(row(f"{when:%d} no {place}", one.amount, one.text, day=when))
        return told


def kind(entry: Entry) -> tuple[int, Decimal, str]:
    return entry.day, Decimal(entry.amount), entry.text


deeds = st.tuples(
    st.sampled_from(["add", "add", "add", "take back"]),
    st.integers(0, 2),
    st.sampled_from(["-5", "-7", "8"]),
    st.sampled_from(["Tram", "Cafe"]),
    st.integers(0, 50),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(deeds, max_size=4), min_size=1, max_size=6), st.randoms())
def test_whatever_a_renumbering_bank_does_annotations_stay_with_their_money(
    rounds: list[list[tuple[str, int, str, str, int]]], dice: object
) -> None:
    """
    As many live rows as entries, each with the id it ever had, in whatever order they are told.

    Equal rows cannot be told apart by anybody: notes are held against the kind of their entry.
    Nor can a row that takes the place of another one between two looks from a correction of it:
    in one round rows come, or they go.
    """
    bank, held = Numbering(), Held()
    anchor = Entry(0, 9, "1", "Anchor")  # an answer without any booked row denies none
    bank.entries.append(anchor)
    count = 0
    notes: dict[str, tuple[int, Decimal | None, str]] = {}
    for happening in rounds:
        is_adding = happening[:1] != [] and happening[0][0] == "add"
        for _, day, amount, text, which in happening:
            entries = [one for one in bank.entries if one is not anchor]
            if is_adding:
                count += 1
                bank.entries.append(Entry(count, day, amount, text))
            elif entries:
                bank.entries.remove(entries[which % len(entries)])
        shown = bank.shown()
        dice.shuffle(shown)  # type: ignore[attr-defined]
        held.look(shown, MARCH)

        live = [((one.booking_date or DAY) - DAY, one.amount, one.description) for one in held.live]
        truth = Counter(map(kind, bank.entries))
        assert Counter((days.days, amount, text) for days, amount, text in live) == truth
        for one in held.rows.values():
            told = ((one.booking_date or DAY) - DAY).days, one.amount, one.description
            assert notes.setdefault(one.id, told) == told, "a note is on other money"
        for again in (shown, shown[::-1]):
            assert held.plan(again, MARCH).is_empty, "what is known is told again"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["-5", "-7"])), max_size=6),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["-5", "-7"])), max_size=6),
    st.randoms(),
)
def test_the_order_of_an_answer_changes_nothing(
    first: list[tuple[str, str]], second: list[tuple[str, str]], dice: object
) -> None:
    outcomes = []
    for is_shuffled in (False, True):
        held = Held()
        for contents in (first, second):
            rows = numbered(*((amount, text) for text, amount in contents))
            if is_shuffled:
                dice.shuffle(rows)  # type: ignore[attr-defined]
            held.look(rows, MARCH)
        names = {one.external_id: (one.amount, one.description) for one in held.live}
        kept = Counter((one.amount, one.description) for one in held.rows.values())
        outcomes.append((names, kept))
    assert outcomes[0] == outcomes[1]


def test_a_dropped_row_stays_away_whatever_it_is_called() -> None:
    held = Held()
    held.look([row("a", *TRAM), row("b", *TRAM)], MARCH)
    held.drop("row-0002")

    for names in (("a", "b"), ("x", "y"), ("fp-1", "fp-2")):
        held.look([row(name, *TRAM) for name in names], MARCH)
        assert [one.id for one in held.live] == ["row-0001"]


@pytest.mark.parametrize("stays", ["a", "b"])
def test_of_a_dropped_and_a_kept_row_the_kept_one_is_what_the_bank_goes_on_to_show(
    stays: str,
) -> None:
    """The bank mends its double delivery, under either id: what counted counts."""
    held = Held()
    held.look([row("a", *TRAM), row("b", *TRAM)], MARCH)
    held.drop("row-0002")
    held.look([row(stays, *TRAM)], MARCH)
    held.look([row(stays, *TRAM)], MARCH)
    assert [one.id for one in held.live] == ["row-0001"]


def test_a_dropped_row_is_corrected_out_of_sight() -> None:
    held = Held()
    held.look([row("a", *TRAM), row("b", *TRAM)], MARCH)
    held.drop("row-0002")
    held.look([row("a", *TRAM), row("b", "-5.50", "Tram")], MARCH)
    assert [one.id for one in held.live] == ["row-0001"]
    assert held.amounts == {"row-0001": Decimal(-5)}
