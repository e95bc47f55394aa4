"""Banks that give so many rows, not days, take away none of those that they gave before."""

from datetime import date, timedelta
from typing import Final

from bank_pipeline.domain.looks import Look, believed, plan_looks
from bank_pipeline.domain.window import DateWindow
from bank_pipeline_tests.domain.held import Held
from bank_pipeline_tests.domain.test_changes import movement

D: Final = timedelta(days=1)
FIRST: Final = date(2026, 3, 1)
A_DAY: Final = 4
DAYS: Final = 60
GIVEN: Final = 100  # rows of 25 days, where 36 are asked for


def test_a_bank_that_gives_the_newest_hundred_rows_takes_none_of_ours_away() -> None:
    """What left its hundred is older than every row that it shows: nothing says it is gone."""
    held = Held()
    rows = [
        movement(f"{day}-{one}", amount=f"-{A_DAY * day + one}.5", day=FIRST + day * D)
        for day in range(DAYS)
        for one in range(A_DAY)
    ]
    for today in (FIRST + day * D for day in range(DAYS)):
        told = [row for row in rows if row.booking_date is not None and row.booking_date <= today]
        asked = DateWindow(first=today - 36 * D, last=today)
        given = tuple(told[-GIVEN:])
        look = Look("a", given, asked, held.covered, sure_from=today - 35 * D)
        look = believed(look, held.rows.values())
        held.write(plan_looks(held.rows.values(), [look]))
        assert look.covered is not None
        held.covered = (look.covered,)

    assert len(held.live) == A_DAY * DAYS
