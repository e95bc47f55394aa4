"""
What a request may hold: unknown, missing and ill-typed fields become Plaid's errors. Pure.

Source: request schemas of https://github.com/plaid/plaid-openapi (2020-09-14.yml).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from bank_pipeline.sandbox.plaid.errors import plaid_error


@dataclass(frozen=True)
class Text:
    """A string; not empty unless `empty`; at most `longest` characters; a web `url`."""

    required: bool = False
    nullable: bool = False
    empty: bool = False
    longest: int = 10_000
    choices: frozenset[str] = frozenset()
    url: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no such string."""
        if not isinstance(value, str) or not (value or self.empty):
            _refuse(f"{name} must be a properly formatted, non-empty string")
        elif len(value) > self.longest:
            _refuse(f"{name} must be at most {self.longest} characters")
        elif self.url and not value.startswith(("http://", "https://")):
            _refuse(f"{name} must be a URL")
        elif self.choices and value not in self.choices:
            _refuse(f"{name} must be one of: {', '.join(sorted(self.choices))}")


@dataclass(frozen=True)
class Whole:
    """An integer from `least` to `most`, both allowed."""

    least: int
    most: int
    required: bool = False
    nullable: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no such integer."""
        if isinstance(value, bool) or not isinstance(value, int):
            _refuse(f"{name} must be an integer")
        elif not self.least <= value <= self.most:
            _refuse(f"{name} must be between {self.least} and {self.most}")


@dataclass(frozen=True)
class Number:
    """Any number."""

    required: bool = False
    nullable: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no number."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            _refuse(f"{name} must be a number")


@dataclass(frozen=True)
class Flag:
    """True or false."""

    required: bool = False
    nullable: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no boolean."""
        if not isinstance(value, bool):
            _refuse(f"{name} must be a boolean")


@dataclass(frozen=True)
class Day:
    """A date as YYYY-MM-DD."""

    required: bool = False
    nullable: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no date."""
        try:
            date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            _refuse(f"{name} must be a date in the format YYYY-MM-DD")


@dataclass(frozen=True)
class Anything:
    """Whatever Plaid accepts there and this simulator has no use for."""

    required: bool = False
    nullable: bool = True

    def check(self, name: str, value: object) -> None:
        """Accept."""


@dataclass(frozen=True)
class Many:
    """A list of `each`, of at most `most`; not empty when `some`."""

    each: "Kind"
    required: bool = False
    nullable: bool = False
    some: bool = False
    most: int = 1_000

    def check(self, name: str, value: object) -> None:
        """Refuse what is no such list."""
        if not isinstance(value, list):
            _refuse(f"{name} must be an array")
            return
        if not (value or not self.some) or len(value) > self.most:
            _refuse(f"{name} must have between {int(self.some)} and {self.most} elements")
        for index, one in enumerate(value):
            self.each.check(f"{name}[{index}]", one)


@dataclass(frozen=True)
class Shape:
    """An object with these fields and no others."""

    fields: Mapping[str, "Kind"] = field(default_factory=dict)
    required: bool = False
    nullable: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse what is no such object, naming nested fields as Plaid does: `options.count`."""
        if not isinstance(value, dict):
            _refuse(f"{name or 'body'} must be an object")
            return
        prefix = f"{name}." if name else ""
        self._check_names(prefix, value)
        for one, kind in self.fields.items():
            if one in value and not (value[one] is None and kind.nullable):
                kind.check(prefix + one, value[one])

    def _check_names(self, prefix: str, value: Mapping[str, Any]) -> None:
        if unknown := [prefix + one for one in value if one not in self.fields]:
            _refuse_fields("UNKNOWN_FIELDS", unknown, "are not recognized by this endpoint")
        missing = [
            prefix + one for one, kind in self.fields.items() if kind.required and one not in value
        ]
        if missing:
            _refuse_fields("MISSING_FIELDS", missing, "are missing", "required ")


Kind = Text | Whole | Number | Flag | Day | Anything | Many | Shape


def _refuse(message: str) -> None:
    raise plaid_error("INVALID_FIELD", message)


def _refuse_fields(code: str, names: list[str], verb: str, adjective: str = "") -> None:
    raise plaid_error(code, f"the following {adjective}fields {verb}: {', '.join(names)}")
