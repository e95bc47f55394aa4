"""The page of figures says what was measured, and nothing else."""

from bank_pipeline_tests.architecture.sources import ROOT
from benchmarks.page import PAGE, to_page, to_table
from benchmarks.parts import PARTS
from benchmarks.results import load_results


def test_the_page_shows_the_results_as_they_are() -> None:
    """`python -m benchmarks --tables` has been run since the last measurement."""
    text = PAGE.read_text()

    assert text == to_page(text, load_results())


def test_every_part_has_its_table() -> None:
    """What is measured is shown, and what is shown can be measured."""
    text = PAGE.read_text()

    assert {name for name in PARTS if f"<!-- table: {name} -->" in text} == {*PARTS}


def test_what_misses_its_aim_is_named() -> None:
    """A reader need not compare columns to find it."""
    found = {"us_per_transaction": {"all": 1}, "size": "full", "on": "2026-01-01"}

    table = to_table("parsing", {"parsing": found | {"broken": ["too slow"]}})

    assert "**Missed:** too slow" in table
    assert "Missed" not in to_table("parsing", {"parsing": found | {"broken": []}})


def test_only_benchmarks_install_what_they_compare_with() -> None:
    """Nobody who runs, develops or tests needs dlt."""
    makefile = (ROOT / "Makefile").read_text()
    users = [line for line in makefile.splitlines() if "$(VENV)/.bench" in line]

    assert [line.partition(":")[0] for line in users] == ["bench", "bench-short", "$(VENV)/.bench"]
