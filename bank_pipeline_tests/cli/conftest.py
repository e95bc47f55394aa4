"""The command line over an installation with linked banks."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bank_pipeline.bootstrap import build_services
from bank_pipeline.cli.main import main
from bank_pipeline.config import Settings
from bank_pipeline_tests.environment import kept_environment
from bank_pipeline_tests.installation import Installation, simulated_banks, variables


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON: nothing else may be on standard output."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """What it printed, in one line, whatever was wrapped."""
        return " ".join(self.out.split())


class CommandLine:
    """Runs commands in this process, through the entry point of the real one."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def __call__(self, *arguments: str) -> Outcome:
        self._captured.readouterr()
        self._patch.setattr(sys, "argv", ["bank-pipeline", *arguments])
        self._patch.setenv("COLUMNS", "240")
        code = 0
        try:
            with kept_environment():  # what a command changes ends with its process
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        said = self._captured.readouterr()
        return Outcome(code, said.out, said.err)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run a command and get its outcome."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of its own, and no variable of ours set: a fresh machine."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BANK_PIPELINE_{name.upper()}", raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installation(
    alone: Path, engine: sa.Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    """Simulated banks, an emptied database, and the variables that name them."""
    with simulated_banks(logins=2) as sandbox:
        named = variables(sandbox, database_url=database_url, state_dir=alone / "state")
        for name, value in named.items():
            monkeypatch.setenv(name, value)
        services = build_services(Settings())
        yield Installation(sandbox, services)
        services.close()
