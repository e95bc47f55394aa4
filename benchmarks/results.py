"""The file of all results: each benchmark writes its own part of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).with_name("results.json")


def record(part: Mapping[str, Any]) -> None:
    """Put these keys into the file, and leave the others as they are."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**known, **part}, indent=2) + "\n")
