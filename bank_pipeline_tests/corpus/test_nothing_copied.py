"""The cases are private: what people and shops are called in them stands nowhere in here."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from bank_pipeline_tests.architecture.sources import python_files
from bank_pipeline_tests.corpus.cases import FILE, load_cases

ROW_KINDS: Final = frozenset({"transaction", "dedupe", "sync_sequence", "starting_balance"})
TEXT_LENGTH_MIN: Final = 16
WORDS_MIN: Final = 3
TEXT_KEYS: Final = frozenset(
    {
        "remittanceInformationUnstructured",
        "remittanceInformationUnstructuredArray",
        "remittanceInformationStructured",
        "remittanceInformationStructuredArray",
        "remittance_information",
        "additionalInformation",
        "description",
        "counterparty",
        "name",
    }
)


def is_somebodys(text: str) -> bool:
    """Say whether a text is one customer's, and not the wording of a bank."""
    return any(map(str.isdigit, text)) or len(text.split()) >= WORDS_MIN


def texts(value: Any, *, is_text: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        if is_text and len(value) >= TEXT_LENGTH_MIN and is_somebodys(value):
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, is_text=is_text)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, is_text=key in TEXT_KEYS)


def test_no_text_of_a_row_was_copied() -> None:
    """Tests invent their rows: a copied one says nothing of the rule that it is about."""
    if not FILE.is_file():
        pytest.skip("no folder `shared` beside the project")
    ours = {path: path.read_text(encoding="utf-8") for path in python_files("bank_pipeline_tests")}
    whole = "\n".join(ours.values())
    copied: dict[str, set[str]] = {}
    for case in load_cases():
        for text in texts(case.input) if case.kind in ROW_KINDS else ():
            if text in whole:
                holders = {Path(path).name for path, source in ours.items() if text in source}
                copied[case.id] = copied.get(case.id, set()) | holders

    assert copied == {}
