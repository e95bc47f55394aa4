"""What it takes to plant a defect in code that runs, and to take it out again."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bank_pipeline.simulation.findings import Checker
from bank_pipeline_tests.simulation.stages import Stage

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Defect:
    """
    A deliberate defect, and what has to catch it.

    `breaks` says what goes wrong. `caught_by` are checkers of the simulation `stage`, each of
    which has to find something; or `properties` are tests of properties, each of which fails.
    """

    name: str
    breaks: str
    plant: Plant
    stage: Stage | None = None
    caught_by: tuple[Checker, ...] = ()
    properties: tuple[Callable[[], None], ...] = ()


def everywhere(patch: pytest.MonkeyPatch, original: Any, other: Any) -> None:
    """Replace a function or class under every name by which a module of ours knows it."""
    count = 0
    for name, module in [*sys.modules.items()]:
        if name.startswith("bank_pipeline") and not name.startswith(__package__):
            for known_as, value in [*vars(module).items()]:
                if value is original:
                    patch.setattr(module, known_as, other)
                    count += 1
    assert count, f"nobody uses {original}"


def with_other(original: Callable[..., Any], **values: Any) -> Callable[..., Any]:
    """Return a function that is called with other values than its caller gave."""

    def changed(*positional: Any, **named: Any) -> Any:
        return original(*positional, **{**named, **values})

    return changed


def with_answer(original: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function whose answers are changed."""

    def changed(*positional: Any, **named: Any) -> Any:
        return change(original(*positional, **named))

    return changed


def always(value: Any) -> Callable[..., Any]:
    """Return a function that says the same whatever it is asked."""

    def constant(*_: Any, **__: Any) -> Any:
        return value

    return constant


def other_row(values: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a change that gives a row other values."""
    return lambda row: row.model_copy(update=dict(values))
