"""The 25 complaints, one number each: every one has its test, and says who complained."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

COMPLAINTS: Final = 25
_NUMBERED: Final = re.compile(r"test_(\d\d)_\w+")
_THREAD: Final = re.compile(r"\b[\w-]+(?:/[\w.-]+)?#\d+\b")  # sure#3497, plaid/support#116


def numbered_tests() -> dict[int, list[str]]:
    """Return the docstrings of the tests of this package by the number in their names."""
    found: dict[int, list[str]] = defaultdict(list)
    for file in Path(__file__).parent.glob("test_*.py"):
        for node in ast.parse(file.read_text()).body:
            named = isinstance(node, ast.FunctionDef) and _NUMBERED.fullmatch(node.name)
            if named:
                assert isinstance(node, ast.FunctionDef)
                found[int(named[1])].append(ast.get_docstring(node) or "")
    return found


def test_every_complaint_has_a_test_of_its_number() -> None:
    assert sorted(numbered_tests()) == [*range(1, COMPLAINTS + 1)]


def test_every_test_says_what_went_wrong_for_whom() -> None:
    for number, docstrings in numbered_tests().items():
        for docstring in docstrings:
            complaint, _, threads = docstring.partition("\n\n")
            assert complaint.endswith("."), number
            assert _THREAD.search(threads), number
