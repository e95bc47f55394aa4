"""`bank-pipeline demo`, as a stranger runs it: installed command, empty folder, no variables."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bank_pipeline.domain.connection import Provider
from bank_pipeline.storage import embedded

pytestmark = [pytest.mark.large, pytest.mark.xdist_group("processes")]


def demo(folder: Path, days: int) -> list[dict[str, Any]]:
    """Run the demo and return what it compared."""
    script = Path(sys.executable).parent / "bank-pipeline"
    outcome = subprocess.run(
        [script, "--state-dir", "state", "demo", "--days", str(days), "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    rows = json.loads(outcome.stdout)
    assert isinstance(rows, list)
    return rows


def test_the_demo_proves_itself_over_the_remains_of_another(tmp_path: Path) -> None:
    """It ends with 0 and identical tables, leaves no server behind, and begins anew."""
    remains = tmp_path / "state" / "demo" / "pg" / "postgresql.conf"
    remains.parent.mkdir(parents=True)
    remains.write_text("of a run that was killed")

    rows = demo(tmp_path, days=1)

    assert {row["verdict"] for row in rows} == {"identical"}
    assert {row["provider"] for row in rows} == {one.value for one in Provider}
    assert sum(row["table_rows"] for row in rows) > 100
    assert not embedded.status(tmp_path / "state" / "demo").is_running
