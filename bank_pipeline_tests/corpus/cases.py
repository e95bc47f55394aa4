"""
Cases of real shape that lie beside the project, where they do; elsewhere tests are skipped.

A case is what a bank sent and what another client made of it, in that client's words. Nothing
of it is copied into the project, nor shown by a test that fails: its id has to do.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[3] / "shared" / "corpus" / "ALL.jsonl"
PROVIDERS: Final = frozenset({"gocardless", "enablebanking", "plaid", "teller", "any"})
TODAY: Final = date(2026, 11, 20)
"""The day that cases mean which say "today"."""

_EXPRESSION: Final = re.compile(r"<ruby:(?P<code>.*)>")
_DAYS_OFF: Final = re.compile(r"Date\.(?:today|current) ?(?P<days>[-+] \d+)\.days?")
_MERGED: Final = re.compile(r"base\.merge\((?P<key>\w+): \"(?P<value>[^\"]*)\"\)")
_NAMED_DAYS: Final[Mapping[str, date]] = {
    "Date.today": TODAY,
    "Date.current": TODAY,
    "Date.current.to_s": TODAY,
    "booked_date": TODAY,
    "pending_date": TODAY - timedelta(days=2),
    "1.day.ago.to_date": TODAY - timedelta(days=1),
}


@dataclass(frozen=True)
class Case:
    """
    One case. `expected` is another client's answer, in the signs of `convention`.

    Its contents stay out of what a failing test prints.
    """

    id: str
    provider: str
    kind: str
    institution: str | None
    context: Mapping[str, Any] = field(repr=False)
    input: Any = field(repr=False)
    expected: Any = field(repr=False)
    convention: str = field(repr=False)

    @property
    def institution_id(self) -> str | None:
        """Return the bank as its provider spells it."""
        return self.institution.upper().replace("-", "_") if self.institution else None

    @property
    def stated(self) -> Mapping[str, Any]:
        """Return what is expected by field; nothing where it is no object."""
        return self.expected if isinstance(self.expected, dict) else {}


@lru_cache(maxsize=1)
def load_cases() -> tuple[Case, ...]:
    """Load the cases of our providers, none where there are none."""
    if not FILE.is_file():
        return ()
    lines = FILE.read_text(encoding="utf-8").splitlines()
    read = (_to_case(json.loads(line)) for line in lines if line.strip())
    return tuple(case for case in read if case.provider in PROVIDERS)


def _to_case(raw: Mapping[str, Any]) -> Case:
    given = raw["input"]
    return Case(
        id=raw["id"],
        provider=raw["provider"],
        kind=raw["kind"],
        institution=raw.get("institution"),
        context=raw.get("context") or {},
        input=evaluated(given, _base_of(given)),
        expected=raw.get("expected"),
        convention=raw.get("expected_convention") or "",
    )


def _base_of(given: Any) -> Mapping[str, Any]:
    values = given.get("values") if isinstance(given, dict) else None
    base = values.get("base") if isinstance(values, dict) else None
    return base if isinstance(base, dict) else {}


def evaluated(value: Any, base: Mapping[str, Any]) -> Any:
    """Put values in the place of the expressions that a case was written with."""
    if isinstance(value, dict):
        return {key: evaluated(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluated(item, base) for item in value]
    found = _EXPRESSION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    return _of_code(found["code"], base)


def _of_code(code: str, base: Mapping[str, Any]) -> Any:
    merged = _MERGED.fullmatch(code)
    if merged is not None:
        return {**base, merged["key"]: merged["value"]}
    days_off = _DAYS_OFF.fullmatch(code)
    if days_off is not None:
        days = int(days_off["days"].replace(" ", ""))
        return (TODAY + timedelta(days=days)).isoformat()
    if code in _NAMED_DAYS:
        return _NAMED_DAYS[code].isoformat()
    return None if code.startswith("nil") else code
