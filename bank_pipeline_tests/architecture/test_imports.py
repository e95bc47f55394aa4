"""Imports run one way."""

import subprocess
import sys
from pathlib import Path

from bank_pipeline_tests.architecture.sources import ROOT


def test_imports_run_one_way() -> None:
    """Every contract of pyproject.toml is kept."""
    linter = Path(sys.executable).parent / "lint-imports"

    outcome = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 0, outcome.stdout
