"""What is written down is complete and true: help, settings, errors, links."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from bank_pipeline import errors
from bank_pipeline.cli.main import app
from bank_pipeline.config import Settings
from bank_pipeline_tests.architecture.sources import ROOT, relative, text_files

DOCS: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK: Final = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")
_HOME: Final = re.compile(r"(?<![\w.~])/(home|Users|work|root)/\w")
# Spelt so that this line is none of its own findings.
_REGISTRIES: Final = re.compile(
    r"py[p]i\.org|python[h]osted\.org|np[m]js\.(org|com)|artifactor[y]|nexu[s]\."
)
_OPEN_WORK: Final = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XXX(?=:))")


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        below: dict[str, Any] | None = getattr(command, "commands", None)
        if below is None:
            yield name, command
        for part, one in (below or {}).items():
            yield from walk(f"{name} {part}", one)

    yield from walk("bank-pipeline", typer.main.get_command(app))


def docs() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCS)


def test_every_command_and_option_has_help() -> None:
    """`--help` leaves nothing to be guessed."""
    bare = [name for name, command in commands() if not command.help]
    bare += [
        f"{name} {parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if parameter.name != "help" and not getattr(parameter, "help", None)
    ]

    assert bare == []


def test_every_command_is_in_the_docs() -> None:
    """A command that nobody reads of is a command that nobody has."""
    text = docs()

    assert [name for name, _ in commands() if name not in text] == []


def test_env_example_and_settings_agree() -> None:
    """Every setting is in .env.example with its default, and nothing else is."""
    documented = set(
        re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )
    fields = {
        field.alias or f"BANK_PIPELINE_{name.upper()}"
        for name, field in Settings.model_fields.items()
    }

    assert documented == fields


def test_every_error_is_in_the_operators_guide() -> None:
    """Whoever meets an error finds there what to do."""
    text = (ROOT / "docs" / "operations.md").read_text()
    classes = [
        name
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if issubclass(one, errors.BankPipelineError) and one is not errors.BankPipelineError
    ]

    assert [name for name in classes if name not in text] == []


@pytest.mark.parametrize("page", DOCS, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a folder of one machine", _HOME),
        ("a package registry", _REGISTRIES),
        ("a mark of open work", _OPEN_WORK),
    ],
)
def test_no_file_holds(what: str, pattern: re.Pattern[str]) -> None:
    """The project names no machine, no registry, and keeps open work in the tracker."""
    found = [
        f"{relative(path)}:{number}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line) and path != Path(__file__)
    ]

    assert found == [], what
