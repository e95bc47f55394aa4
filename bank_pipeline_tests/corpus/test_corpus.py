"""
Cases of real shape go through our code: none crashes, and every deviation has its reason.

`deviations.csv` is the one table of where we answer otherwise than another client states, and
why. A row belongs in there when that client is wrong by the provider's own documentation, or
wants something else; where it is right, our code is mended instead.
"""

import pytest

from bank_pipeline_tests.corpus.cases import FILE, load_cases
from bank_pipeline_tests.corpus.runner import Run, run

UNEXPLAINED_MAX = 0


@pytest.fixture(scope="module")
def corpus() -> Run:
    if not FILE.is_file():
        pytest.skip("no folder `shared` beside the project")
    return run()


def test_no_case_crashes(corpus: Run) -> None:
    assert list(corpus.crashes) == []


def test_every_case_of_our_providers_is_fed(corpus: Run) -> None:
    """A kind of case that nobody reads is no success."""
    assert list(corpus.unread) == []
    assert len(corpus.sheets) == len(load_cases()) > 400


def test_every_case_is_compared_or_left_out_for_a_reason(corpus: Run) -> None:
    silent = [
        sheet.case.id
        for sheet in corpus.sheets
        if not (sheet.compared or sheet.ignored or sheet.fed_count)
    ]
    assert silent == []


def test_a_row_that_cannot_be_read_is_set_aside_and_not_lost(corpus: Run) -> None:
    assert [lost for sheet in corpus.sheets for lost in sheet.lost] == []


def test_every_deviation_has_a_reason(corpus: Run) -> None:
    assert sorted(corpus.deviations - corpus.reasons.keys()) == []


def test_every_reason_is_still_needed(corpus: Run) -> None:
    """What is in the table and deviates no more is mended: its row goes."""
    assert sorted(corpus.reasons.keys() - corpus.deviations) == []


def test_every_reason_is_said(corpus: Run) -> None:
    assert [key for key, reason in corpus.reasons.items() if len(reason.split()) < 4] == []


def test_hardly_anything_is_unexplained(corpus: Run) -> None:
    """Most expectations are met; the share is in the message of a failure."""
    compared, deviating = corpus.compared_count, corpus.deviating_count
    share = (
        f"{compared} expectations of {len(corpus.sheets)} cases: {compared - deviating} equal, "
        f"{deviating - corpus.unexplained_count} explained, "
        f"{corpus.unexplained_count} unexplained"
    )
    print(share)  # noqa: T201 - `pytest -rP` shows it
    assert corpus.unexplained_count <= UNEXPLAINED_MAX, share
    assert compared > 900, share
    assert deviating < compared * 0.12, share
