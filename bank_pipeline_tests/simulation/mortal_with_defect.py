"""
A mortal process with a defect in it; see `bank_pipeline.simulation.mortal`.

It dies at the latest where the defect hurts: before the rows of its sync are written.
"""

import os
import signal
from typing import Any

import pytest

from bank_pipeline.simulation import mortal
from bank_pipeline.sync import apply
from bank_pipeline_tests.simulation import plants

PLANTED = "PLANTED_DEFECT"
"""The variable that names the function of `plants`."""


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    getattr(plants, os.environ[PLANTED])(patch)
    patch.setattr(apply, "apply_fetched", _die)
    mortal.main()
