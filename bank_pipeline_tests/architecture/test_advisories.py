"""What is known to be vulnerable: asked for by `make check`, where there is somebody to ask."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

import pytest

from bank_pipeline_tests.architecture.sources import ROOT

ACCEPTED: Final[Mapping[str, str]] = {}
"""Advisories by id that do not concern us, each with the reason; empty is best."""

_ANSWER_S: Final = "15"
_ALL_S: Final = 300


@pytest.mark.advisories
@pytest.mark.timeout(2 * _ALL_S)
@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-hosts.lock", "requirements-dev.lock"]
)
def test_nothing_pinned_is_known_to_be_vulnerable(lock: str) -> None:
    """Skipped without a network, or where the package index tells no advisories."""
    packages = ask_about(lock)
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    if len(unknown) == len(packages):
        pytest.skip("the package index of this machine tells no advisories")
    assert unknown == [], "not looked at"
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {flaw['fix_versions']}"
        for one in packages
        for flaw in one["vulns"]
        if not {flaw["id"], *flaw["aliases"]} & ACCEPTED.keys()
    ]
    assert found == []


def ask_about(lock: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--disable-pip"]
    told = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", _ANSWER_S],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_ALL_S,
        check=False,
    )
    if not told.stdout.startswith("{"):
        assert "requests.exceptions." in told.stderr, told.stderr[-2000:]
        pytest.skip("nobody to ask: no network")
    packages: list[dict[str, Any]] = json.loads(told.stdout)["dependencies"]
    assert packages, "a lock file names packages"
    return packages
