"""Banks that give so many rows, not days, take away none of those that they gave before."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import pytest

from bank_pipeline.domain.changes import ChangePlan
from bank_pipeline.domain.identity import identified
from bank_pipeline.domain.looks import Look, believed, plan_looks
from bank_pipeline.domain.transaction import Transaction
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import movement

D: Final = timedelta(days=1)
FIRST: Final = date(2026, 3, 1)
DAYS: Final = 45
GIVEN: Final = 100


def look(held: Held, given: Sequence[Transaction], today: date) -> ChangePlan:
    """Take up an answer to a usual question: 36 days, of which 35 are believed."""
    asked = DateWindow(first=today - 36 * D, last=today)
    one = Look("a", tuple(given), asked, held.covered, sure_from=today - 35 * D)
    one = believed(one, held.rows.values())
    plan = plan_looks(held.rows.values(), [one])
    held.write(plan)
    if one.covered is not None:
        held.covered = (one.covered,)
    return plan


@pytest.mark.parametrize("begins", [0, 30])
@pytest.mark.parametrize("a_look", [1, 3, 7, 60])
def test_a_bank_that_gives_the_newest_hundred_rows_takes_none_of_ours_away(
    a_look: int, begins: int
) -> None:
    """
    What left its hundred is older than every row that it shows: nothing says it is gone.

    Two looks a day, so that the hundred begin in the middle of one: of the oldest that we hold,
    of the first that is asked for, or of today.
    """
    held = Held()
    rows: list[Transaction] = []
    for number in range(2 * DAYS):
        today = FIRST + number // 2 * D
        rows += [
            movement(f"{number}-{one}", amount=f"-{a_look * number + one}.5", day=today)
            for one in range(a_look)
        ]
        if today >= FIRST + begins * D:
            assert look(held, rows[-GIVEN:], today).removals == ()

    by_first_look = (2 * begins + 1) * a_look
    assert len(held.live) == len(rows) - max(0, by_first_look - GIVEN)


def test_a_row_of_the_oldest_day_of_a_long_answer_that_is_reworded_stays_one_row() -> None:
    """A bank without ids: the row is shown still, on its day and of its amount."""
    held = Held()
    today = FIRST + 20 * D
    rows = [movement("-", amount=f"-{one}.5", day=today) for one in range(GIVEN)]

    for words in ("Cafe", "Cafe Central, card 4321"):
        row = movement("-", amount="-7", day=FIRST, description=words)
        look(held, identified((None, one) for one in (row, *rows)), today)

    assert len(held.rows) == GIVEN + 1
