"""Tests side by side: what cannot share a machine, a server or its logins keeps to one worker."""

import os

import pytest


@pytest.mark.xdist_group("workers")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="no tests side by side")
def test_the_runner_keeps_groups(request: pytest.FixtureRequest) -> None:
    """It reads them from the end of a test's id; where ids lose it, groups are lost in silence."""
    assert request.node.nodeid.endswith("@workers")
