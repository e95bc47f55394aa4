"""The lock files: every package pinned, every file hashed, no index named."""

import re
from typing import Final

import pytest

from bank_pipeline_tests.architecture.sources import ROOT

LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")
_REQUIREMENT: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==[^\s;]+( ;.*)?")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: str) -> list[str]:
    """Return the requirements with their hashes, each on one line."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_is_pinned_and_hashed(lock: str) -> None:
    """A release that was altered, or a newer one, is not installed."""
    found = entries(lock)
    assert len(found) > 20
    for entry in found:
        requirement, *hashes = [part.strip() for part in entry.split("    ") if part.strip()]
        assert _REQUIREMENT.fullmatch(requirement), requirement
        assert hashes, requirement
        assert all(_HASH.fullmatch(one) for one in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_named(lock: str) -> None:
    """Where packages come from is each machine's own setting."""
    text = (ROOT / lock).read_text()

    assert not re.search(
        r"--(extra-)?index-url|--find-links|https?://|^-[ief]\b", text, re.MULTILINE
    )


def test_every_dependency_is_in_its_lock() -> None:
    """Each lock holds what the smaller one does, in the same versions."""
    runtime, development, benchmarks = ({e.split()[0] for e in entries(lock)} for lock in LOCKS)

    assert runtime <= development <= benchmarks
    assert "dlt==" not in "".join(development)
